import json

import numpy as np
import pytest
from fake_slices import make_images, oval
from spad_cards import encoder_card, tokenizer_card

from medfm_core.geometry import Affine
from medfm_core.image_embedding import load_image_encoder
from medfm_core.reconstruction import load_image_tokenizer
from medfm_core.slices import to_slices
from medfm_core.volume import Volume
from training.evaluate_spacing import main
from training.evaluation.spacing_study import (
    ADAPTIVE,
    ISOTROPIC,
    cosine_curves,
    in_cubes,
    in_thicker_slices,
    psnr_by_degree,
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("cards")
    encoder_card(folder)
    tokenizer_card(folder)
    return folder


def card(folder, name):
    return str(folder / "cards" / f"{name}.json")


def image_of(seed, shape=(24, 22, 16)):
    return Volume(oval(shape, "MR", seed), Affine(np.diag([2.0, 2.0, 2.0, 1.0])), modality="MR")


def test_thick_slices_stay_in_place(folder):
    slices = to_slices(image_of(0), load_image_encoder(card(folder, "toy-vit.v1")).card.input)
    thick = in_thicker_slices(slices, 4)
    assert thick.shape == (4, *slices.shape[1:])
    assert thick.spacing == pytest.approx((8.0, 2.0, 2.0))
    assert thick.voxels[1] == pytest.approx(np.mean(slices.voxels[4:8], axis=0), abs=1e-3)
    assert thick.affine.to_world([1, 0, 0]) == pytest.approx(slices.affine.to_world([5.5, 0, 0]))
    cubes = in_cubes(thick, 50, 4)
    assert max(cubes.spacing) == pytest.approx(min(cubes.spacing))


def test_curves_of_two_ways(folder):
    encoder = load_image_encoder(card(folder, "toy-vit.v1"))
    adaptive, isotropic = cosine_curves([image_of(seed) for seed in range(3)], encoder, factors=(1.0, 4.0))
    assert (adaptive.name, isotropic.name) == (ADAPTIVE, ISOTROPIC)
    for curves in (adaptive, isotropic):
        assert curves.within[0] == pytest.approx(1)
        assert curves.found[0] == 1
        assert all(-1 <= value <= 1 for value in (*curves.within, *curves.between))
    assert adaptive.degrees == ((0,), (2,))
    assert isotropic.tokens[0] == pytest.approx(adaptive.tokens[0], rel=0.8)


def test_psnr_of_every_degree(folder):
    rows = psnr_by_degree([image_of(0), image_of(1)], load_image_tokenizer(card(folder, "toy-tokenizer.v1")))
    assert [row["degree"] for row in rows] == [0, 1, 2, 3, 5]
    assert all(row["images"] == 2 and np.isfinite(row["psnr_db"]) for row in rows)


def test_the_command_writes_figures_and_pictures(folder, tmp_path, capsys):
    manifest = make_images(tmp_path / "images", names=("thin", "head"))
    command = ["--manifest", str(manifest), "--split", "train", "--out", str(tmp_path / "out"), "--factors", "1", "3"]
    both = ["--encoder", card(folder, "toy-vit.v1"), "--tokenizer", card(folder, "toy-tokenizer.v1")]
    assert main([*command, *both]) == 0
    found = json.loads((tmp_path / "out" / "spacing.json").read_text())
    assert [one["name"] for one in found["curves"]] == [ADAPTIVE, ISOTROPIC]
    assert (tmp_path / "out" / "cosines.png").stat().st_size > 5000
    assert (tmp_path / "out" / "psnr.csv").read_text().startswith("degree,images,psnr_db")
    assert main(command) == 2
    assert "nothing to evaluate" in capsys.readouterr().err
