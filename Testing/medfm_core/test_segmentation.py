"""Segmentation end to end with a small net of random weights: geometry, determinism, refusals."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.torch import save_file

from medfm_core.cards import ModelCard
from medfm_core.errors import ModalityError, ResourceError, WeightsError
from medfm_core.geometry import Affine
from medfm_core.models.segmenter import ARCHITECTURE, OrganSegmenter, SegmenterConfig
from medfm_core.segmentation import LoadingPredictor, OrganPredictor, segment
from medfm_core.strict import from_dict
from medfm_core.volume import Volume, reorient, resample_to

NAMES = ("liver", "spleen", "vertebrae")
CONFIG = SegmenterConfig(in_channels=2, out_channels=4, edge_channels=4, channels=(8, 16), blocks=(1, 1))


def make_card(folder, **changes) -> ModelCard:
    torch.manual_seed(4)
    net = OrganSegmenter(CONFIG)
    with torch.no_grad():
        net.head.weight *= 8
    folder.mkdir(parents=True, exist_ok=True)
    save_file({k: v.half().contiguous() for k, v in net.state_dict().items()}, folder / "w.safetensors")
    data = (folder / "w.safetensors").read_bytes()
    card = {
        "id": "random.v1",
        "task": "organ_segmentation",
        "architecture": {
            "name": ARCHITECTURE, "in_channels": 2, "out_channels": 4,
            "edge_channels": 4, "channels": [8, 16], "blocks": [1, 1],
        },
        "weights": [{"file": "w.safetensors", "sha256": hashlib.sha256(data).hexdigest(), "bytes": len(data)}],
        "source": {"kind": "file", "path": str(folder)},
        "input": {
            "modality": ["CT"],
            "spacing_mm": [4, 4, 4],
            "intensity": {
                "kind": "windows", "to": [-1, 1], "windows": [{"level": 0, "width": 2000}, {"level": 40, "width": 400}],
            },
        },
        "inference": {"tile": [16, 16, 16], "precision": "fp32"},
        "labels": {str(i): name for i, name in enumerate(NAMES, start=1)},
        "licence": "Apache-2.0",
        "trained_on": ["nothing"],
        "intended_use": "tests",
        **changes,
    }  # fmt: skip
    return from_dict(ModelCard, json.loads(json.dumps(card)), "the test card")


@pytest.fixture(scope="module")
def card(tmp_path_factory):
    return make_card(tmp_path_factory.mktemp("card"))


def body(shape=(30, 28, 26), spacing=(3.0, 3.5, 4.0), seed=0):
    """A CT of smooth lumps in air, LPS."""
    rng = np.random.default_rng(seed)
    axes = np.meshgrid(*[np.linspace(-1, 1, n) for n in shape], indexing="ij")
    inside = sum(a**2 for a in axes) < 0.8
    waves = sum(np.sin(rng.uniform(2, 5) * a + rng.uniform(0, 6)) for a in axes)
    voxels = np.where(inside, 60 + 60 * waves, -1000).astype(np.int16)
    matrix = np.diag([-spacing[0], -spacing[1], spacing[2], 1.0])
    matrix[:3, 3] = 40, 50, -30
    return Volume(voxels, Affine(matrix), modality="CT")


def test_labels_lie_exactly_on_the_input_grid_and_hold_vocabulary_ids(card):
    image = body()
    result = segment(image, card)
    assert result.labels.shape == image.shape
    assert (result.labels.affine.matrix == image.affine.matrix).all()
    assert set(np.unique(result.labels.voxels)) <= {0, 5, 1, 203}
    assert len(np.unique(result.labels.voxels)) > 1
    assert result.covered == NAMES
    assert set(result.seconds) >= {"load", "prepare", "network", "paint"}


@given(codes=st.sampled_from(["RAS", "LAS", "SPL", "PIR", "ASR", "IPL"]), seed=st.integers(0, 5))
@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_how_a_scan_is_stored_does_not_change_the_answer(card, codes, seed):
    image = body(seed=seed)
    plain = segment(image, card).labels
    stored = segment(reorient(image, codes), card).labels
    assert stored.affine.codes == codes
    assert (resample_to(stored, plain.grid).voxels == plain.voxels).all()


def test_air_around_the_body_changes_nothing_inside(card):
    from medfm_core.volume import pad

    image = pad(body(), (9, 8, 8), (9, 8, 8), value=-1000)
    plain = segment(image, card).labels
    wide = segment(pad(image, (9, 6, 4), (6, 12, 2), value=-1000), card).labels
    assert (wide.voxels[9:-6, 6:-12, 4:-2] == plain.voxels).all()
    assert (wide.voxels[:9] == 0).all()


def test_the_same_scan_twice_gives_the_same_bits(card):
    predictor = OrganPredictor(card, deterministic=True)
    first, second = (predictor(body()).labels.voxels for _ in range(2))
    assert (first == second).all()


def test_loading_beside_gives_the_same_and_its_errors_come_with_the_first_scan(card, tmp_path):
    loading = LoadingPredictor(card, deterministic=True, threads=1)
    first, second = (loading(body(seed=seed)).labels.voxels for seed in (0, 1))
    predictor = OrganPredictor(card, deterministic=True)
    assert (first == predictor(body()).labels.voxels).all()
    assert (second == predictor(body(seed=1)).labels.voxels).all()
    wrong = LoadingPredictor(make_card(tmp_path, architecture={"name": "another"}))
    with pytest.raises(WeightsError, match="'another', which is not here"):
        wrong(body())
    with pytest.raises(ResourceError, match="not available here"):
        LoadingPredictor(card, "cuda:99")(body())


def test_threads_and_kernels_are_as_before(card):
    before = torch.get_num_threads()
    OrganPredictor(card, threads=before + 1, deterministic=True)(body())
    assert torch.get_num_threads() == before
    assert not torch.are_deterministic_algorithms_enabled()


def test_what_takes_long_to_import_and_is_not_needed_stays_out(tmp_path):
    """torch's compiler, nibabel and pydicom would take as long as half of what is done besides running the net."""
    import nibabel

    path = tmp_path / "ct.nii.gz"
    image = body()
    nibabel.save(nibabel.Nifti1Image(image.voxels, image.affine.matrix), path)
    probe = f"""
import sys
from medfm_core.pipeline import analyze
analyze({str(path)!r}, {str(tmp_path / "case")!r})
print([name for name in ("torch._inductor", "torch._dynamo", "nibabel", "pydicom", "SimpleITK", "matplotlib", "rich")
       if name in sys.modules])
"""
    done = subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True, check=False)
    assert (done.stdout.strip(), done.stderr) == ("[]", "")


def test_a_scan_smaller_than_a_tile_and_one_of_air_are_answered(card):
    small = segment(body(shape=(6, 5, 4)), card)
    assert small.labels.shape == (6, 5, 4)
    air = body()
    air = air.with_voxels(np.full(air.shape, -1000, np.int16))
    assert (segment(air, card).labels.voxels == 0).all()


def test_another_modality_and_foreign_weights_are_refused(card, tmp_path):
    image = body()
    with pytest.raises(ModalityError, match="made for CT, this is MR"):
        segment(Volume(image.voxels, image.affine, modality="MR"), card)
    other = make_card(tmp_path / "a", architecture={"name": "another"})
    with pytest.raises(WeightsError, match="'another', which is not here"):
        segment(image, other)
    options = {"name": ARCHITECTURE, "in_channels": 2, "out_channels": 4, "edge_channels": 4, "channels": [8, 24]}
    wrong = make_card(tmp_path / "b", architecture={**options, "blocks": [1, 1]})
    with pytest.raises(WeightsError):
        segment(image, wrong)
