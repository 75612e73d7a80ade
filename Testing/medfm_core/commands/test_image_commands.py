"""`medfm embed` and `medfm reconstruct`, from the files given to the files written."""

import json

import nibabel
import numpy as np
import pytest
from brain_toys import brain_card
from fake_slices import oval
from PIL import Image
from spad_cards import encoder_card, tokenizer_card

from medfm_core.cli import main
from medfm_core.commands.images import places
from medfm_core.embedding_files import read_embeddings
from medfm_core.image_source import open_image
from medfm_core.io import read_volume
from medfm_core.io.picture import read_image


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A thick CT on an oblique grid, an MR, a picture, and cards of random weights."""
    folder = tmp_path_factory.mktemp("images")
    turn = np.eye(4)
    turn[:2, :2] = [[np.cos(0.1), -np.sin(0.1)], [np.sin(0.1), np.cos(0.1)]]
    affine = turn @ np.diag([3.0, 3.0, 7.0, 1.0])
    affine[:3, 3] = (-40, 12.5, 300)
    nibabel.save(nibabel.Nifti1Image(oval((30, 28, 9), "CT"), affine), folder / "ct.nii.gz")
    nibabel.save(nibabel.Nifti1Image(oval((24, 24, 20), "MR"), np.diag([2.0, 2.0, 2.0, 1.0])), folder / "mr.nii.gz")
    Image.fromarray(oval((40, 50, 1), "MR")[..., 0].clip(0, 255).astype(np.uint8)).save(folder / "flat.png")
    encoder_card(folder / "res")
    tokenizer_card(folder / "res")
    return folder


def card(folder, name):
    return str(folder / "res" / "cards" / f"{name}.json")


def test_embeddings_of_all_kinds_can_be_searched(folder, tmp_path, capsys):
    inputs = [str(folder / name) for name in ("ct.nii.gz", "mr.nii.gz", "flat.png")]
    assert main(["embed", *inputs, "--out", str(tmp_path), "--model", card(folder, "toy-vit.v1"), "--quiet"]) == 0
    vectors = {name: read_embeddings(tmp_path / name) for name in ("ct", "mr", "flat")}
    assert all(np.linalg.norm(vector.study) == pytest.approx(1, abs=1e-5) for vector in vectors.values())
    facts = {name: json.loads((tmp_path / name / "embed.json").read_text()) for name in vectors}
    assert [facts[name]["degree"] for name in ("ct", "mr", "flat")] == [1, 0, 5]
    assert [facts[name]["input"]["modality"] for name in ("ct", "mr", "flat")] == ["CT", None, None]
    assert facts["ct"]["tokens_seen"] > 0
    capsys.readouterr()
    assert main(["similar", str(tmp_path / "ct"), "--in", str(tmp_path), "--json"]) == 0
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert {line["study"] for line in lines if line["event"] == "neighbour"} == {"mr", "flat"}


def test_the_same_image_gives_the_same_vector(folder, tmp_path):
    for name in ("a", "b"):
        command = ["embed", str(folder / "mr.nii.gz"), "--out", str(tmp_path / name), "--quiet", "--modality", "MR"]
        assert main([*command, "--model", card(folder, "toy-vit.v1")]) == 0
    one, other = ((tmp_path / name / "embeddings.safetensors").read_bytes() for name in ("a", "b"))
    assert one == other


@pytest.mark.parametrize("name", ["ct.nii.gz", "flat.png"])
def test_what_a_vector_depends_on_lies_on_the_inputs_grid(folder, tmp_path, capsys, name):
    command = ["embed", str(folder / name), "--saliency", "--out", str(tmp_path), "--quiet"]
    assert main([*command, "--model", card(folder, "toy-vit.v1")]) == 0
    given, found = open_image(folder / name), read_image(tmp_path / "saliency.nii.gz")
    assert found.shape == given.shape
    assert np.array_equal(found.affine.matrix, given.affine.matrix)
    assert 0 <= found.voxels.min() < found.voxels.max() <= 1
    facts = json.loads((tmp_path / "embed.json").read_text())["saliency"]
    assert facts["files"] == ["saliency.nii.gz", "saliency.png"]
    assert 0.1 <= facts["top_tenth"] <= 1
    with Image.open(tmp_path / "saliency.png") as picture:
        assert min(picture.size) > 300
    plain = ["embed", str(folder / name), "--out", str(tmp_path / "plain"), "--quiet"]
    assert main([*plain, "--model", card(folder, "toy-vit.v1")]) == 0
    one, other = ((place / "embeddings.safetensors").read_bytes() for place in (tmp_path, tmp_path / "plain"))
    assert one == other
    assert not (tmp_path / "plain" / "saliency.nii.gz").exists()


def test_brain_models_are_explained_elsewhere(folder, tmp_path, capsys):
    command = ["embed", str(folder / "mr.nii.gz"), "--saliency", "--out", str(tmp_path / "x")]
    assert main([*command, "--model", str(brain_card(tmp_path))]) == 2
    assert "medfm analyze" in capsys.readouterr().err
    assert not (tmp_path / "x").exists()


def test_a_reconstruction_lies_on_the_inputs_grid(folder, tmp_path, capsys):
    command = ["reconstruct", str(folder / "ct.nii.gz"), "--out", str(tmp_path / "drawn")]
    assert main([*command, "--model", card(folder, "toy-tokenizer.v1"), "--json"]) == 0
    given = read_volume(folder / "ct.nii.gz")
    for name in ("reconstruction.nii.gz", "tokens.nii.gz"):
        found = read_volume(tmp_path / "drawn" / name)
        assert found.shape == given.shape
        assert np.array_equal(found.affine.matrix, given.affine.matrix)
    drawn = read_volume(tmp_path / "drawn" / "reconstruction.nii.gz")
    assert -1000 <= drawn.voxels.min() <= drawn.voxels.max() <= 1000
    tokens = nibabel.load(tmp_path / "drawn" / "tokens.nii.gz").get_fdata()
    assert 1 <= tokens.max() <= 16
    with Image.open(tmp_path / "drawn" / "reconstruction.png") as picture:
        assert min(picture.size) > 300
    result = json.loads(capsys.readouterr().out.splitlines()[-1])
    manifest = json.loads((tmp_path / "drawn" / "reconstruct.json").read_text())
    assert manifest["psnr_db"] == result["psnr_db"]
    assert manifest["degree"] == 1


def test_a_picture_is_reconstructed_too(folder, tmp_path):
    command = ["reconstruct", str(folder / "flat.png"), "--out", str(tmp_path / "drawn"), "--quiet"]
    assert main([*command, "--model", card(folder, "toy-tokenizer.v1")]) == 0
    assert json.loads((tmp_path / "drawn" / "reconstruct.json").read_text())["degree"] == 5


def test_without_weights_it_is_one_sentence(folder, tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("MEDFM_RESOURCES", str(tmp_path))
    (tmp_path / "cards").mkdir()
    for command in ("embed", "reconstruct"):
        assert main([command, str(folder / "mr.nii.gz"), "--out", str(tmp_path / "x")]) == 3
        told = capsys.readouterr().err
        assert "no SPAD" in told
        assert "--model" in told
    assert not (tmp_path / "x").exists()


def test_wrong_cards_and_inputs_are_sentences(folder, tmp_path, capsys):
    out = ["--out", str(tmp_path / "x")]
    wrong = ["embed", str(folder / "mr.nii.gz"), *out, "--model", card(folder, "toy-tokenizer.v1")]
    assert main(wrong) == 2
    assert "is no SPAD encoder" in capsys.readouterr().err
    (tmp_path / "text.png").write_bytes(b"\x89PNG but not really")
    inputs = [str(tmp_path / "text.png"), str(folder / "mr.nii.gz")]
    assert main(["embed", *inputs, *out, "--model", card(folder, "toy-vit.v1"), "--quiet"]) == 2
    assert "cannot be read" in capsys.readouterr().err
    assert (tmp_path / "x" / "mr" / "embed.json").is_file()


def test_folders_are_named_after_the_inputs(tmp_path):
    found = places(["a/ct.nii.gz", "b/ct.nii.gz", "c/scan"], tmp_path)
    assert [path.name for path in found] == ["ct", "ct_2", "scan"]
    assert places(["a/ct.nii.gz"], tmp_path) == [tmp_path]
