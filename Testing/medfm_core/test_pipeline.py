"""The pipeline end to end with a stand-in for the network: files, manifest, refusals, and nothing left behind."""

from __future__ import annotations

import csv
import hashlib
import json
import os
import stat
from dataclasses import replace
from pathlib import Path

import fake_organs
import nibabel
import numpy as np
import pytest

from medfm_core import pipeline, segmentation
from medfm_core.analysis import Options
from medfm_core.errors import InputError, ModalityError, ResourceError, WeightsError
from medfm_core.io import read_volume
from medfm_core.pipeline import FILES, analyze, segment_file
from medfm_core.progress import CancelledError, Progress
from medfm_core.selection import keep_organs
from medfm_core.volume import Kind


@pytest.fixture
def ct(tmp_path, fake_model):
    return fake_organs.save_ct(tmp_path / "Doe^John_19500101.nii.gz")


def left_behind(folder, *expected):
    return sorted(path.name for path in folder.iterdir() if path.name not in expected)


def test_files_and_their_content(ct, tmp_path):
    out = tmp_path / "case"
    analysis = analyze(ct, out)
    assert sorted(path.name for path in out.iterdir()) == sorted(FILES)
    labels = read_volume(out / "segmentation.nii.gz", kind=Kind.LABEL)
    assert np.array_equal(nibabel.load(out / "segmentation.nii.gz").affine, nibabel.load(ct).affine)
    assert set(np.unique(labels.voxels)) - {0} == {m.id for m in analysis.measurements if m.is_seen and not m.parts}
    rows = {row["name"]: row for row in csv.DictReader((out / "measurements.csv").open(encoding="utf-8"))}
    assert float(rows["liver"]["mean_hu"]) == 100
    assert rows["urinary_bladder"]["state"] == "outside"
    assert rows["brain"]["state"] == "not_covered"
    names = {e["id"]: e["name"] for e in json.loads((out / "segmentation.json").read_text())["labels"]}
    assert names[5] == "liver"


def test_manifest_tells_all_but_the_patient(ct, tmp_path):
    out = tmp_path / "case"
    analyze(ct, out, Options(organs=("liver", "spleen")))
    text = (out / "analysis.json").read_text(encoding="utf-8")
    data = json.loads(text)
    assert data["schema"] == "medfm.analysis.v1"
    assert data["input"]["shape"] == list(fake_organs.SHAPE)
    assert data["input"]["axis_codes"] == "LPS"
    assert data["model"]["weights"][0]["sha256"] == hashlib.sha256(fake_organs.WEIGHTS).hexdigest()
    assert data["model"]["covers"] == ["liver", "spleen"]
    assert data["structures"]["liver"]["state"] == "present"
    assert set(data["run"]["seconds"]) == {stage.name for stage in pipeline.STAGES}
    assert data["run"]["versions"]["numpy"] == np.__version__
    for name, digest in data["files"].items():
        assert hashlib.sha256((out / name).read_bytes()).hexdigest() == digest
    for path in out.iterdir():
        content = path.read_bytes()
        assert b"Doe" not in content
        assert str(tmp_path).encode() not in content


def test_voxel_hash_depends_on_content_not_on_memory_order():
    volume = fake_organs.make_ct()
    other = volume.with_voxels(np.asfortranarray(volume.voxels))
    assert pipeline.voxel_hash(volume) == pipeline.voxel_hash(other)
    expected = hashlib.sha256(volume.voxels.astype("<i2").tobytes(order="F")).hexdigest()
    assert pipeline.voxel_hash(volume) == expected


def test_hu_offset_is_found_named_and_corrected(tmp_path, fake_model):
    volume = fake_organs.make_ct()
    path = fake_organs.save_ct(tmp_path / "raw.nii.gz", volume.with_voxels(volume.voxels + np.int16(1024)))
    with pytest.raises(ModalityError, match="1024 HU too high; give --hu-offset -1024"):
        analyze(path, tmp_path / "case")
    assert left_behind(tmp_path) == ["raw.nii.gz"]
    analysis = analyze(path, tmp_path / "case", Options(hu_offset=-1024))
    liver = next(m for m in analysis.measurements if m.name == "liver")
    assert liver.mean_hu == 100
    assert analysis.image.voxels.dtype == np.int16


def test_force_goes_on_and_keeps_the_warning(tmp_path, fake_model):
    volume = fake_organs.make_ct()
    path = fake_organs.save_ct(tmp_path / "mr.nii.gz", volume.with_voxels(np.abs(volume.voxels) % 400))
    with pytest.raises(ModalityError, match="--force"):
        analyze(path, tmp_path / "case")
    analysis = analyze(path, tmp_path / "case", Options(force=True))
    assert any(caution.blocks for caution in analysis.cautions)
    assert "does not look like a CT" in (tmp_path / "case" / "report.html").read_text(encoding="utf-8")


def test_a_previous_result_is_replaced_and_other_files_stay(ct, tmp_path):
    out = tmp_path / "case"
    analyze(ct, out)
    (out / "notes.txt").write_text("mine")
    manifest = json.loads((out / "analysis.json").read_text())
    manifest["files"]["old.txt"] = ""
    (out / "analysis.json").write_text(json.dumps(manifest))
    (out / "old.txt").write_text("of an earlier version")
    analyze(ct, out, Options(organs=("liver",)))
    assert sorted(path.name for path in out.iterdir()) == sorted((*FILES, "notes.txt"))
    assert json.loads((out / "analysis.json").read_text())["model"]["covers"] == ["liver"]
    assert left_behind(tmp_path, "case", ct.name) == []


def test_a_folder_with_other_files_is_refused_unless_told(ct, tmp_path):
    out = tmp_path / "case"
    out.mkdir()
    (out / "thesis.doc").write_text("precious")
    with pytest.raises(InputError, match=r"thesis\.doc.*--overwrite"):
        analyze(ct, out)
    analyze(ct, out, Options(overwrite=True))
    assert (out / "thesis.doc").read_text() == "precious"
    assert (out / "report.html").is_file()


def test_a_file_in_the_way_is_refused(ct, tmp_path):
    with pytest.raises(InputError, match="it is a file"):
        analyze(ct, ct)


def test_an_empty_folder_and_missing_parents_are_fine(ct, tmp_path):
    (tmp_path / "empty").mkdir()
    analyze(ct, tmp_path / "empty")
    analyze(ct, tmp_path / "a" / "b" / "case")
    assert (tmp_path / "a" / "b" / "case" / "report.html").is_file()
    assert left_behind(tmp_path / "a" / "b") == ["case"]


@pytest.mark.skipif(os.name == "nt", reason="POSIX permissions")
def test_results_are_as_readable_as_the_user_wants_and_the_work_in_progress_is_private(ct, tmp_path, monkeypatch):
    seen = []
    monkeypatch.setattr(
        segmentation.LoadingPredictor,
        "__call__",
        lambda self, volume, progress: (
            seen.append([p.stat().st_mode for p in tmp_path.glob(".part-*")])
            or fake_organs.segment(volume, self._card, progress)
        ),
    )
    before = os.umask(0o027)
    try:
        analyze(ct, tmp_path / "case")
    finally:
        os.umask(before)
    assert [stat.S_IMODE(mode) for mode in seen[0]] == [0o700]
    assert stat.S_IMODE((tmp_path / "case").stat().st_mode) == 0o750


@pytest.mark.parametrize(
    ("error", "expected", "words"),
    [
        (KeyboardInterrupt(), KeyboardInterrupt, None),
        (MemoryError(), ResourceError, "memory did not suffice"),
        (
            RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried"),
            ResourceError,
            "memory did not suffice",
        ),
        (OSError(28, "No space left on device"), ResourceError, "no space is left"),
        (RuntimeError("a defect"), RuntimeError, "a defect"),
    ],
)
def test_what_goes_wrong_leaves_nothing(ct, tmp_path, monkeypatch, error, expected, words):
    def fail(*args, **kwargs):
        raise error

    monkeypatch.setattr(pipeline.report, "render_html", fail)
    with pytest.raises(expected, match=words):
        analyze(ct, tmp_path / "deep" / "case")
    assert left_behind(tmp_path, ct.name) == []


def test_cancelling_leaves_nothing(ct, tmp_path):
    begun = []

    class Stop(Progress):
        def began(self, stage):
            begun.append(stage.name)

    with pytest.raises(CancelledError):
        analyze(ct, tmp_path / "case", progress=Stop(cancelled=lambda: "organs" in begun))
    assert left_behind(tmp_path, ct.name) == []


def test_every_stage_shows_itself(ct, tmp_path):
    ended = []

    class Watch(Progress):
        def ended(self, stage):
            ended.append((stage.name, stage.state))

    analyze(ct, tmp_path / "case", progress=Watch())
    assert [name for name, _ in ended if name not in ("organs", "saliency maps")] == [
        stage.title for stage in pipeline.STAGES
    ]
    assert {state for _, state in ended} == {"done"}


def test_a_loaded_predictor_is_used(ct, tmp_path):
    from medfm_core.card_library import load_card

    calls = []

    def predictor(volume, progress):
        calls.append(volume.modality)
        result = fake_organs.segment(volume, load_card(fake_organs.CARD_ID), progress=progress)
        return replace(result, warnings=("The net was in doubt.",))

    analysis = analyze(ct, tmp_path / "case", predictor=predictor)
    assert calls == ["CT"]
    assert "The net was in doubt." in [caution.sentence for caution in analysis.cautions]


def test_unknown_model_and_organ_are_refused_before_reading(tmp_path, fake_model):
    with pytest.raises(InputError, match=r"fake-organs\.v1"):
        analyze(tmp_path / "nothing.nii", tmp_path / "case", Options(card_id="fake-organs.v2"))
    with pytest.raises(InputError, match="nearest: liver"):
        analyze(tmp_path / "nothing.nii", tmp_path / "case", Options(organs=("livr",)))
    (fake_model / "cards" / f"{fake_organs.CARD_ID}.json").unlink()
    with pytest.raises(WeightsError, match="no single default"):
        analyze(tmp_path / "nothing.nii", tmp_path / "case")


@pytest.mark.parametrize(
    ("names", "kept"),
    [
        ((), fake_organs.COVERED),
        (("liver",), ("liver",)),
        (("kidneys",), ("kidney_right", "kidney_left")),
        (("kidney", "Spleen"), ("spleen", "kidney_right", "kidney_left")),
        (("lungs",), ("lung_lower_lobe_right", "lung_lower_lobe_left")),
        (("spine",), ("vertebrae",)),
        (("heart and vessels",), ("heart", "aorta")),
    ],
)
def test_organs_can_be_named_in_many_ways(names, kept):
    assert keep_organs(names, fake_organs.COVERED) == kept


def test_an_organ_that_the_model_does_not_cover_is_refused():
    with pytest.raises(InputError, match="does not cover 'brain'"):
        keep_organs(("brain",), fake_organs.COVERED)


@pytest.mark.parametrize("ending", [".nii.gz", ".nrrd", ".seg.nrrd"])
def test_segment_file(ct, tmp_path, ending):
    out = tmp_path / f"organs{ending}"
    analysis = segment_file(ct, out)
    assert out.is_file()
    assert analysis.measurements == ()
    with pytest.raises(InputError, match="exists already"):
        segment_file(ct, out)
    segment_file(ct, out, Options(overwrite=True))
    if ending != ".seg.nrrd":
        labels = read_volume(out, kind=Kind.LABEL)
        assert labels.grid.same_as(read_volume(ct).grid)
        assert np.array_equal(labels.voxels, analysis.segmentation.labels.voxels)


def test_segment_file_refuses_an_unknown_ending_and_a_missing_folder(ct, tmp_path):
    with pytest.raises(InputError, match="no known ending"):
        segment_file(ct, tmp_path / "organs.png")
    with pytest.raises(InputError, match="does not exist"):
        segment_file(ct, tmp_path / "nowhere" / "organs.nii.gz")


def test_two_runs_give_the_same_files(ct, tmp_path):
    for name in ("a", "b"):
        analyze(ct, tmp_path / name)
    for name in ("segmentation.nii.gz", "segmentation.json", "measurements.csv"):
        assert Path(tmp_path / "a" / name).read_bytes() == Path(tmp_path / "b" / name).read_bytes()
