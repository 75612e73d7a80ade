"""A centre for the vectors of a card: what it takes out, what it changes, and what it leaves."""

import json

import numpy as np
import pytest
import torch
from fake_slices import make_images, oval
from spad_cards import encoder_card

from medfm_core.embedding import StudyEmbedding
from medfm_core.errors import WeightsError
from medfm_core.geometry import Affine
from medfm_core.image_embedding import embed_image, load_image_encoder
from medfm_core.volume import Volume
from training.centre_vectors import add_centre, centre_of, main


@pytest.fixture
def card(tmp_path):
    return encoder_card(tmp_path / "res")


def image(seed: int) -> Volume:
    return Volume(oval((44, 30, 12), "CT", seed), Affine(np.diag([3.0, -3.0, 4.0, 1.0])), modality="CT")


def vector(volume: Volume, card) -> tuple[np.ndarray, StudyEmbedding]:
    study, _ = embed_image(volume, load_image_encoder(str(card)))
    return study.organs[0].vector, study


def test_unrelated_images_come_apart_and_the_old_vectors_are_refused(card):
    images = [image(seed) for seed in range(6)]
    before = [vector(one, card) for one in images]
    add_centre(card, centre_of(images[:4], load_image_encoder(str(card))))
    after = [vector(one, card) for one in images]
    near = [found[4][0] @ found[5][0] for found in (before, after)]
    assert near[0] > 0.9
    assert 1 - near[1] > 10 * (1 - near[0])
    assert all(np.linalg.norm(one) == pytest.approx(1, abs=1e-5) for one, _ in after)
    assert before[0][1].encoder.card == after[0][1].encoder.card
    assert before[0][1].encoder != after[0][1].encoder


def test_a_centre_is_replaced_and_does_not_depend_on_the_one_before(card):
    images = [image(seed) for seed in range(3)]
    first = centre_of(images, load_image_encoder(str(card)))
    add_centre(card, first)
    again = centre_of(images, load_image_encoder(str(card)))
    assert torch.allclose(first, again)
    add_centre(card, again)
    assert [file.get("role") for file in json.loads(card.read_text())["weights"]] == [None, "centre"]


def test_the_command_reads_manifests(tmp_path, card, capsys):
    manifest = make_images(tmp_path / "images", ("thin", "thick"), copies=3)
    assert main(["--card", str(card), "--manifest", str(manifest), "--split", "all"]) == 0
    assert "centre of" in capsys.readouterr().out
    encoder = load_image_encoder(str(card))
    assert encoder.centre.shape == (encoder.net.config.width,)
    assert 0 < encoder.centre.norm() <= 1


def test_what_is_wrong_is_said(tmp_path, card):
    assert main(["--card", str(tmp_path / "none.json"), "--manifest", "m.csv"]) == 2
    assert main(["--card", str(card), "--manifest", "m.csv", "--most", "1"]) == 2
    add_centre(card, torch.zeros(3))
    with pytest.raises(WeightsError, match="no centre of 16 numbers"):
        load_image_encoder(str(card))
