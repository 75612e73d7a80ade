"""`MedFMLogic.process`, which scripts and other extensions call."""

from __future__ import annotations

from pathlib import Path

import pytest
import scene_brains
from MedFMLib.launch import Launch
from panel_stand_ins import Workers


@pytest.fixture
def add(space):
    """Puts a phantom of a brain into the scene."""
    from medfm_core.geometry import Affine
    from medfm_core.volume import Volume

    def make(name, of="T1w", modality="MR"):
        grey, _, _ = scene_brains.phantom(of)
        return space.add_scan(Volume(grey, Affine(scene_brains.affine_of(of)), modality=modality), name)

    return make


@pytest.fixture
def process(module, monkeypatch):
    """`process` with a worker that answers with a result of the scans that it was asked for, and its request."""
    from MedFMLib import process as processing

    workers, asked = Workers(), {}
    plain = processing.WorkerClient
    monkeypatch.setattr(processing, "WorkerClient", lambda launch: plain(launch, workers))
    monkeypatch.setattr(module.MedFMLogic, "launch", lambda self: Launch("python"))

    def speak(*_):
        if "analyze" in workers.now.names() and not asked:
            asked.update(workers.now.last("analyze")["arguments"])
            scene_brains.write_result(Path(asked["out"]), tuple(asked["sequences"]))
            workers.now.answer("analyze", seconds=1.0)

    monkeypatch.setattr(module.slicer.app, "processEvents", speak)

    def call(*volumes, **options):
        found = module.MedFMLogic().process(*volumes, **options)
        assert workers.now.stopped
        return found, asked

    return call


def test_an_mr_is_analysed_as_brain_mri(process, add):
    found, asked = process(add("p1 T1w"), model="brain.v1")
    assert (asked["modality"], asked["sequences"], asked["model"]) == ("MR", ["T1w"], "brain.v1")
    assert {"findings", "force", "strip", "register"}.isdisjoint(asked)
    assert (found["organs"], found["findings"]) == (None, None)
    names = ["p1 T1w saliency (Saliency of T1w)", "p1 T1w Experts of block 3, T1w"]
    assert list(found["maps"]) == names  # they are in the scene, though the folder of the result is gone
    assert not Path(asked["out"]).exists()
    assert found["maps"][names[0]].GetImageData().GetScalarRange()[1] > 0.9
    assert found["maps"][names[1]].GetSegmentation().GetNumberOfSegments() == 2


def test_scans_of_one_study_go_together(process, add, tmp_path):
    first, second = add("one", modality=None), add("two", "FLAIR", modality=None)
    found, asked = process(
        first, otherVolumes=[second], sequences=["T1w", "FLAIR"], strip=True, register=True, outputFolder=tmp_path
    )
    assert asked["sequences"] == ["T1w", "FLAIR"]
    assert (asked["strip"], asked["register"]) == ("auto", True)
    assert len(asked["source"]) == 2
    assert len(found["maps"]) == 4
    assert (tmp_path / "one" / "report.html").is_file()


@pytest.mark.parametrize(
    ("names", "options", "words"),
    [
        (["head"], {}, "Choose whether head is T1w, T2w or FLAIR."),
        (["a T1w", "b T2w"], {"sequences": ["T1w"]}, "a sequence for each or for none"),
        (["a T1w", "b T2w", "c T1w", "d T2w"], {}, "up to 3 volumes"),
        (["a T1w", "a T1w"], {"same": True}, "is chosen twice"),
    ],
)
def test_what_cannot_go_together_is_said_before_anything_is_started(process, add, names, options, words):
    volumes = [add(name) for name in names]
    if options.pop("same", False):
        volumes = [volumes[0], volumes[0]]
    with pytest.raises(RuntimeError, match=words):
        process(volumes[0], otherVolumes=volumes[1:], **options)


def test_a_ct_among_them_is_refused(process, add):
    with pytest.raises(RuntimeError, match="says that it is CT"):
        process(add("a T1w"), otherVolumes=[add("b", modality="CT")])
