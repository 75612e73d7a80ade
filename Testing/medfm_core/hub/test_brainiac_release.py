"""BrainIAC's checkpoint, from the hub to the files of an analysis, at a small size."""

from __future__ import annotations

import hashlib
import json

import brainiac_layout
import nibabel
import numpy as np
import published_checkpoints as published
import pytest
import torch
from brain_toys import toy_brain
from hub_server import Repository
from MedFMLib.brain_result import expert_colours, scans_of
from safetensors import safe_open

from medfm_core.brain_encoding import embed_brain, load_brain
from medfm_core.card_library import load_card
from medfm_core.cli import main
from medfm_core.embedding_files import read_embeddings
from medfm_core.errors import WeightsError
from medfm_core.hub import conversion_worker
from medfm_core.hub.targets import expected_shapes
from medfm_core.models.brainiac import BrainIACConfig
from medfm_core.settings import read_settings
from medfm_core.strict import to_dict

CARD = read_settings().resources / "cards" / "brainiac.v1.json"
SMALL = {"image_size": [16, 24, 16], "patch_size": [8, 8, 8], "width": 24, "depth": 2, "heads": 2, "mlp_width": 48}


def small_data():
    data = json.loads(CARD.read_text())
    data["architecture"] |= SMALL
    data["input"]["size"] = SMALL["image_size"]
    return data


@pytest.fixture
def small(made_up, write_card):
    """The card at a small size, and the hub that serves its file."""
    card = write_card(small_data())
    files = published.brainiac_files(card)
    made_up.hub.repositories[str(card.source.repo)] = Repository(files, gated=True, allowed={"hf_good"})
    return card, files


@pytest.fixture
def scan(tmp_path):
    """A brain in MNI space whose name says what it is."""
    brain, path = toy_brain(), tmp_path / "p1_T1w.nii.gz"
    image = nibabel.Nifti1Image(np.ascontiguousarray(brain.voxels), brain.affine.matrix)
    image.header.set_xyzt_units("mm")
    nibabel.save(image, path)
    return path


def test_accepted_fetched_converted_analysed(small, scan, tmp_path, monkeypatch, capsys):
    card, _ = small
    with pytest.raises(WeightsError, match=r"run medfm models pull brainiac\.v1"):
        load_brain(card, "cpu")
    assert main(["models", "pull", card.id]) == 2  # nobody has accepted the terms
    assert "Non-commercial academic research only" in capsys.readouterr().err
    assert main(["models", "pull", card.id, "--accept-licence"]) == 3
    assert "accept the owners' terms on" in capsys.readouterr().err
    monkeypatch.setenv("HF_TOKEN", "hf_good")
    assert main(["models", "pull", card.id]) == 0

    out = tmp_path / "out"
    assert main(["analyze", str(scan), "--model", card.id, "--out", str(out), "--threads", "1", "--json"]) == 0
    said = json.loads(capsys.readouterr().out.splitlines()[-1])
    written = {path.name for path in out.iterdir()}
    assert written == {*said["files"], "saliency_T1w.nii.gz"}
    assert not any("experts" in name or "routing" in name for name in written)
    page, manifest = (out / "report.html").read_text(), json.loads((out / "analysis.json").read_text())
    assert "Saliency of the vector" in page
    assert "<b>Experts</b>" not in page
    assert "Experts of block" not in page
    assert manifest["experts"] == {"count": 0, "colours": []}
    (shown,) = scans_of(out, manifest)  # as the panel and the viewer read it
    assert (shown.saliency, shown.routing) == (out / "saliency_T1w.nii.gz", {})
    assert expert_colours(manifest) == ()
    heat, given = nibabel.load(out / "saliency_T1w.nii.gz"), nibabel.load(scan)
    assert heat.shape == given.shape
    assert np.array_equal(heat.affine, given.affine)
    assert heat.get_fdata().max() > 0.5

    vector, encoded = embed_brain(toy_brain(), load_brain(card, "cpu"))
    assert (encoded.tokens.shape, encoded.grid, encoded.routing) == ((12, 24), (2, 3, 2), ())
    assert np.array_equal(encoded.vector, encoded.tokens[0])
    assert np.allclose(read_embeddings(out).study, vector.study, atol=1e-5)
    assert main(["embed", str(scan), "--model", card.id, "--out", str(tmp_path / "vectors")]) == 0
    assert np.allclose(read_embeddings(tmp_path / "vectors").study, vector.study, atol=1e-5)


def test_a_file_from_elsewhere_is_imported_by_a_card_that_names_its_sha256(made_up, write_card, tmp_path):
    data = small_data() | {"id": "my-brainiac.v1"}
    (content,) = published.brainiac_files(write_card(data)).values()
    (tmp_path / "BrainIAC.ckpt").write_bytes(content)
    data["source"]["revision"] = "0" * 40
    data["weights"][0] |= {"sha256": hashlib.sha256(content).hexdigest(), "bytes": len(content)}
    card = write_card(data)
    assert main(["models", "import", card.id, str(tmp_path / "BrainIAC.ckpt"), "--accept-licence"]) == 0
    assert load_brain(card, "cpu").net.config.width == 24
    with safe_open(card.weights_path, "pt") as stored:
        assert stored.metadata()["made_of_sha256"] == data["weights"][0]["sha256"]


def converted(tmp_path, state):
    """What the file is made of, here and not in a process of its own."""
    path = tmp_path / "brainiac.v1.json"
    path.write_text(json.dumps(small_data()))
    card = load_card(path)
    source, target, file = tmp_path / "theirs.ckpt", tmp_path / "ours.safetensors", card.weights[0]
    source.write_bytes(published.saved({"state_dict": state}))
    expected = {name: list(shape) for name, shape in expected_shapes(card, file).items()}
    order = {"source": str(source), "target": str(target), "expected": expected, "source_sha256": "0" * 64}
    conversion_worker.convert(order | {"conversion": to_dict(file.converted, defaults=True)})
    with safe_open(target, "pt") as made:
        return {name: made.get_tensor(name) for name in made.keys()}  # noqa: SIM118


def test_what_is_left_out_and_what_is_refused(tmp_path):
    config = BrainIACConfig(**{name: tuple(v) if isinstance(v, list) else v for name, v in SMALL.items()})
    state = published.random_state(brainiac_layout.published_shapes(config))
    first = converted(tmp_path, state)
    unused = {"backbone.blocks.0.norm_cross_attn.weight": torch.ones(24)}
    unused |= {"backbone.blocks.0.cross_attn.to_q.weight": torch.ones(24, 24)}  # of newer versions of MONAI
    doubled = {name.replace("backbone.", "backbone.backbone."): value for name, value in state.items()}
    for other in (state | unused, doubled):
        found = converted(tmp_path, other)
        assert set(found) == set(first)
        assert all(torch.equal(found[name], first[name]) for name in first)
    with pytest.raises(WeightsError, match=r"the network has not: 'backbone\.cls_token'"):
        converted(tmp_path, state | {"backbone.cls_token": torch.zeros(1, 1, 24)})
    resnet = {"backbone.conv1.weight": torch.zeros(8, 1, 7, 7, 7), "backbone.layer1.0.bn1.weight": torch.zeros(8)}
    with pytest.raises(WeightsError, match="the checkpoint lacks"):
        converted(tmp_path, resnet)  # the older network of the same name
    with pytest.raises(WeightsError, match="would be 'positions'"):
        converted(tmp_path, state | doubled)
