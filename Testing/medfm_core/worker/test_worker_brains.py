"""Brain MRI through the worker, with a tiny encoder of random weights."""

from __future__ import annotations

import os
import sys

import fake_organs
import pytest
import tiny_segmenter
import worker_pipe
from brain_toys import brain_card, save_brains

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="looks at processes through /proc")


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    folder = tmp_path_factory.mktemp("worker")
    brain_card(tiny_segmenter.install(folder / "resources"))
    save_brains(folder)
    return folder


@pytest.fixture(scope="module")
def worker(place):
    environment = {
        "MEDFM_RESOURCES": str(place / "resources"), "MEDFM_CACHE": str(place / "cache"), "MEDFM_OFFLINE": "1"
    }  # fmt: skip
    with worker_pipe.worker(environment) as made:
        yield made


def pair(place):
    return [str(place / f"p1_{name}.nii.gz") for name in ("T1w", "FLAIR")]


def test_a_study_of_two_scans_is_encoded_and_its_progress_told(worker, place):
    grid = {"shape": [52, 66, 56], "spacing_mm": [3, 3, 3]}
    before = worker.answer("plan", grid=grid, scans=2, model="toy-brain.v1", devices=["cpu"])
    assert (before["model"], before["findings_model"]) == ("toy-brain.v1", None)
    assert before["devices"] == {"cpu": {"seconds": None, "basis": "not known"}}
    assert (before["memory_gb"], before["problem"]) == (None, "")

    start = len(worker.events)
    done = worker.answer("analyze", source=pair(place), out=str(place / "both"), model="toy-brain.v1", threads=1)
    assert done["event"] == "result", done
    assert (done["scans"], done["model"], done["findings"]) == (["T1w", "FLAIR"], "toy-brain.v1", None)
    assert {"saliency_FLAIR.nii.gz", "routing_T1w_block3.nii.gz", "report.html"} <= set(done["files"])
    assert all(os.path.isfile(path) for path in done["files"].values())
    told = [event for event in worker.events[start:] if event["event"] == "progress"]
    fractions = [event["fraction"] for event in told]
    assert fractions == sorted(fractions)
    assert fractions[-1] == 1.0
    assert {"Read FLAIR", "Encode T1w", "Explain FLAIR", "Write the results"} <= {event["name"] for event in told}

    after = worker.answer("plan", source=pair(place)[0], scans=2)  # without a model: two scans are no CT
    assert after["devices"]["cpu"]["basis"] == "measured on this machine"
    assert after["devices"]["cpu"]["seconds"] > 0


def test_a_file_without_a_word_is_told_by_modality_and_sequence(worker, place):
    nameless = str(place / "volume.nii.gz")
    error = worker.answer("analyze", source=nameless, out=str(place / "x"), modality="MR")
    assert (error["exit_code"], "cannot be told from its name" in error["sentence"]) == (2, True)
    done = worker.answer(
        "analyze", source=nameless, out=str(place / "one"), modality="MR", sequences=["flair"], saliency=["none"]
    )
    assert done["scans"] == ["FLAIR"], done
    assert "saliency_FLAIR.nii.gz" not in done["files"]


def test_vectors_of_a_result_and_of_a_scan_are_the_same(worker, place):
    assert worker.answer("analyze", source=pair(place)[:1], out=str(place / "t1"))["event"] == "result"
    of_result = worker.answer("embed", result=str(place / "t1"), out=str(place / "a.csv"))
    of_scan = worker.answer("embed", scan={"source": pair(place)[0]}, out=str(place / "b.csv"))
    assert of_result["units"] == of_scan["units"] == ["T1w"]
    assert (place / "a.csv").read_bytes() == (place / "b.csv").read_bytes()
    asked = worker.answer("ask", result=str(place / "t1"), organ="brain", phrase="lesion")
    assert asked["event"] == "error"
    assert asked["exit_code"] != 1, asked


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"organs": ["liver"]}, "organs is for CT"),
        ({"saliency": ["stroke"]}, "no saliency of brain MRI"),
        ({"modality": "CT", "register": True}, "register is for brain MRI"),
        ({"modality": "PET"}, "modality must be CT or MR"),
        ({"sequences": ["T1w", "T2w"]}, "2 sequences are given for 1 scans"),
        ({"strip": "scissors"}, "scissors"),
    ],
)
def test_what_is_wrong_is_one_sentence(worker, place, changes, words):
    error = worker.answer("analyze", **{"source": pair(place)[0], "out": str(place / "bad"), **changes})
    assert error["event"] == "error"
    assert words in error["sentence"]
    assert error["exit_code"] in (2, 3)
    assert not (place / "bad").exists()


def test_a_ct_is_refused_as_mr_and_still_goes_its_own_way(worker, place):
    ct = str(fake_organs.save_ct(place / "ct.nii.gz"))
    error = worker.answer("analyze", source=ct, out=str(place / "bad"), modality="MR", sequences=["T1w"])
    assert "those of a CT" in error["sentence"]
    done = worker.answer("analyze", source=ct, out=str(place / "organs"), force=True)
    assert done["event"] == "result", done


def test_a_cancelled_study_leaves_nothing(worker, place):
    request = worker.ask("analyze", source=pair(place), out=str(place / "gone" / "case"))
    worker.until("started", request_id=request)
    assert worker.answer("cancel", id=request)["found"]
    if worker.events[-1]["event"] != "cancelled":
        worker.until("cancelled", request_id=request)
    assert not (place / "gone").exists()


def test_without_a_brain_model_the_ways_to_one_are_told(place, tmp_path):
    resources = tiny_segmenter.install(tmp_path / "resources")
    environment = {"MEDFM_RESOURCES": str(resources), "MEDFM_CACHE": str(tmp_path / "cache"), "MEDFM_OFFLINE": "1"}
    with worker_pipe.worker(environment) as made:
        error = made.answer("analyze", source=pair(place), out=str(tmp_path / "out"))
    assert (error["kind"], error["exit_code"]) == ("WeightsError", 3)
    assert "train one (docs/neuro_jepa.md)" in error["sentence"]
