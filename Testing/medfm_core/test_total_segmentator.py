"""TotalSegmentator behind the segmenter interface, played by a program that behaves as it does."""

from __future__ import annotations

import json
import os
import sys
import textwrap
import time

import numpy as np
import pytest

from medfm_core import cli
from medfm_core.card_library import load_card
from medfm_core.errors import ModalityError, ResourceError, WeightsError
from medfm_core.geometry import Affine
from medfm_core.io import read_volume, write_scalar
from medfm_core.measurements import State, measure
from medfm_core.progress import CancelledError, Progress
from medfm_core.segmenter_choice import check_ready, loading_predictor
from medfm_core.total_segmentator import find_command
from medfm_core.volume import Volume

PROGRAM = """\
#!{python}
import json, os, pathlib, sys
import nibabel, numpy
given = dict(zip(sys.argv[1::1], sys.argv[2:] + [""]))
home = pathlib.Path(os.environ["TOTALSEG_HOME_DIR"])
settings = json.loads((home / "config.json").read_text())
seen = {{"argv": sys.argv[1:], "environment": dict(os.environ), "settings": settings}}
pathlib.Path(os.environ["SEEN"]).write_text(json.dumps(seen))
image = nibabel.load(given["-i"])
voxels = numpy.asanyarray(image.dataobj)
labels = numpy.zeros(voxels.shape, numpy.uint8)
labels[voxels > 0] = 5
labels[voxels > 200] = 51
labels[voxels > 900] = 130
{body}
"""
HONEST = 'nibabel.save(nibabel.Nifti1Image(labels, image.affine), given["-o"])'
TURNED = 'nibabel.save(nibabel.as_closest_canonical(nibabel.Nifti1Image(labels, image.affine)), given["-o"])'
FAILING = 'print("working on", given["-i"]); sys.exit("RuntimeError: no more memory")'
SILENT = "sys.exit(0)"
ENDLESS = "import time; time.sleep(600)"


@pytest.fixture
def installed(tmp_path, monkeypatch):
    """Put a program and weights where MedFM looks; the function that does it."""

    def install(body, datasets=(291, 292, 293, 294, 295, 297)):
        program = tmp_path / "TotalSegmentator"
        program.write_text(textwrap.dedent(PROGRAM).format(python=sys.executable, body=body))
        program.chmod(0o755)
        for number in datasets:
            (tmp_path / "home" / "nnunet" / "results" / f"Dataset{number}_x").mkdir(parents=True, exist_ok=True)
        monkeypatch.setenv("MEDFM_TOTALSEGMENTATOR", str(program))
        return load_card("totalsegmentator-fast.v2")

    monkeypatch.setenv("TOTALSEG_HOME_DIR", str(tmp_path / "home"))
    monkeypatch.delenv("TOTALSEG_WEIGHTS_PATH", raising=False)
    monkeypatch.setenv("MEDFM_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("SEEN", str(tmp_path / "seen.json"))
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    return install


def ct(modality="CT"):
    rng = np.random.default_rng(2)
    voxels = rng.integers(-1000, 1000, (12, 10, 8)).astype(np.int16)
    matrix = np.array([[0, -2.0, 0, 10], [1.5, 0, 0, -20], [0, 0, 3.0, 5], [0, 0, 0, 1]])
    return Volume(voxels, Affine(matrix), modality=modality)


@pytest.mark.parametrize("body", [HONEST, TURNED])
def test_its_labels_come_back_on_exactly_the_scan_s_grid(installed, tmp_path, body):
    card = installed(body)
    check_ready(card)
    scan = ct()
    found = loading_predictor(card, "cpu", deterministic=False, tile=(1, 1, 1), threads=None)(scan)
    wanted = np.where(scan.voxels > 900, 0, np.where(scan.voxels > 200, 51, np.where(scan.voxels > 0, 5, 0)))
    assert np.array_equal(found.labels.voxels, wanted)
    assert np.array_equal(found.labels.affine.matrix, scan.affine.matrix)
    states = {m.name: m.state for m in measure(scan, found)}
    assert states["heart"] in (State.PRESENT, State.CUT)
    assert states["spleen"] in (State.ABSENT, State.OUTSIDE)
    seen = json.loads((tmp_path / "seen.json").read_text())
    assert seen["argv"][4:] == ["--ml", "--task", "total", "--device", "cpu", "--quiet", "--fast"]
    assert seen["settings"]["send_usage_stats"] is False
    assert seen["environment"]["TOTALSEG_WEIGHTS_PATH"] == str(tmp_path / "home" / "nnunet" / "results")
    assert "HF_TOKEN" not in seen["environment"]
    assert not os.path.exists(os.path.dirname(seen["argv"][1]))  # the copy of the scan is gone
    assert not (tmp_path / "home" / "config.json").exists()  # the user's settings were left alone


def test_by_the_command_line(installed, tmp_path):
    card = installed(HONEST)
    scan = ct()
    write_scalar(scan, tmp_path / "ct.nii.gz")
    order = ["segment", str(tmp_path / "ct.nii.gz"), "--out", str(tmp_path / "o.nii.gz"), "--model", card.id]
    assert cli.main([*order, "--quiet", "--force", "--device", "cpu"]) == 0
    labels = read_volume(tmp_path / "o.nii.gz")
    assert set(np.unique(labels.voxels)) == {0, 5, 51}


def test_a_failure_is_a_sentence_without_its_paths(installed):
    card = installed(FAILING)
    with pytest.raises(ResourceError, match=r"ended with code 1 and no label map \(RuntimeError: no more memory\)"):
        loading_predictor(card, "cpu")(ct())
    with pytest.raises(ResourceError, match="ended with code 0 and no label map;"):
        loading_predictor(installed(SILENT), "cpu")(ct())


def test_a_cancelled_run_ends_its_process(installed, tmp_path):
    card = installed(ENDLESS)
    start = time.monotonic()
    progress = Progress(cancelled=lambda: (tmp_path / "seen.json").exists())
    with pytest.raises(CancelledError):
        loading_predictor(card, "cpu")(ct(), progress)
    assert time.monotonic() - start < 60


def test_what_is_missing_is_said_before_a_scan_is_read(installed, tmp_path, monkeypatch, capsys):
    card = installed(HONEST, datasets=(291,))
    with pytest.raises(WeightsError, match="totalseg_download_weights -t total_fast"):
        check_ready(card)
    monkeypatch.setenv("MEDFM_TOTALSEGMENTATOR", str(tmp_path / "nothing"))
    assert find_command() is None
    with pytest.raises(ResourceError, match="which is not here; run pip install TotalSegmentator"):
        check_ready(card)
    order = ["segment", str(tmp_path / "no-such-file.nii.gz"), "--out", str(tmp_path / "o.nii.gz"), "--model", card.id]
    assert cli.main([*order, "--quiet"]) == 3
    assert "runs the program TotalSegmentator" in capsys.readouterr().err


def test_another_modality_is_refused(installed):
    with pytest.raises(ModalityError, match="made for CT, this is MR"):
        loading_predictor(installed(HONEST), "cpu")(ct("MR"))
