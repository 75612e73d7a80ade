"""The worker as its caller sees it, with a real (tiny) network: answers, cancelling, crashes, odd paths, full disks."""

from __future__ import annotations

import json
import os
import resource
import signal
import subprocess
import sys

import fake_organs
import pytest
import tiny_segmenter
import worker_pipe
from worker_pipe import is_alive, wait_until

from medfm_core.worker.lane import GRACE_S

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="looks at processes through /proc")


@pytest.fixture(scope="module")
def environment(tmp_path_factory):
    folder = tmp_path_factory.mktemp("worker")
    resources = tiny_segmenter.install(folder / "resources")
    return {"MEDFM_RESOURCES": str(resources), "MEDFM_CACHE": str(folder / "cache"), "MEDFM_OFFLINE": "1"}


@pytest.fixture(scope="module")
def worker(environment):
    with worker_pipe.worker(environment) as made:
        assert made.until("hello")["protocol"] == 1
        yield made


@pytest.fixture
def ct(tmp_path):
    return str(fake_organs.save_ct(tmp_path / "ct.nii.gz"))


def test_it_says_what_it_is_and_what_it_can_compute_on(worker):
    hello = worker.events[0]
    assert hello["event"] == "hello"
    assert set(hello) >= {"protocol", "medfm", "python", "torch", "executable", "notice", "process"}
    devices = worker.until("devices")
    assert devices["problem"] == ""
    assert devices["devices"][0]["name"] == "cpu"


def test_garbage_gets_one_error_each_and_the_worker_lives_on(worker):
    worker.write(b"garbage\n" + b"\xff\n" + b"[]\n" + b"x" * (2 << 20) + b"\n")
    worker.write(b'{"version": 9, "id": "v", "request": "plan"}\n')
    worker.write(b'{"version": 1, "id": "u", "request": "plann"}\n')
    worker.write(b'{"version": 1, "id": "a", "request": "plan", "arguments": {"sorce": "x"}}\n')
    errors = [worker.until("error") for _ in range(7)]
    assert [error["id"] for error in errors] == [None, None, None, None, "v", "u", "a"]
    assert all(error["exit_code"] == 2 and error["sentence"].endswith(".") for error in errors)
    assert "nearest: source" in errors[-1]["sentence"]
    listed = worker.answer("models")
    assert [model["id"] for model in listed["models"]] == [tiny_segmenter.CARD_ID]
    assert listed["models"][0]["covers"] == list(tiny_segmenter.ORGANS)


def test_a_plan_of_a_file_and_of_a_grid_agree(worker, ct):
    of_file = worker.answer("plan", source=ct)
    assert of_file["shape"] == list(fake_organs.SHAPE)
    grid = {"shape": of_file["shape"], "spacing_mm": of_file["spacing_mm"], "voxel_bytes": 2}
    of_grid = worker.answer("plan", grid=grid, devices=["cpu", "cuda:0"])
    assert of_grid["devices"]["cpu"] == of_file["devices"]["cpu"]
    assert of_grid["memory_gb"] == of_file["memory_gb"] > 0
    assert of_grid["devices"]["cuda:0"] == {"seconds": None, "basis": "not known"}


def test_an_analysis_with_long_names_that_are_not_ascii(worker, tmp_path):
    name = "Überblick 肝臓 " + "ä" * 100
    folder = tmp_path / name
    folder.mkdir()
    assert len(str(folder / "ct.nii.gz")) > 200 or len(os.fsencode(folder / "ct.nii.gz")) > 200
    source = fake_organs.save_ct(folder / "ct é.nii.gz")
    start = len(worker.events)
    result = worker.answer("analyze", source=str(source), out=str(folder / "ergebnis é"), force=True)
    assert result["event"] == "result", result
    assert all(os.path.isfile(path) for path in result["files"].values())
    assert set(os.listdir(folder)) == {source.name, "ergebnis é"}
    told = [event for event in worker.events[start:] if event["event"] == "progress"]
    fractions = [event["fraction"] for event in told]
    assert fractions == sorted(fractions)
    assert fractions[-1] == 1.0
    assert all(event["remaining_seconds"] >= 0 for event in told)
    assert worker.answer("plan", source=str(source))["devices"]["cpu"]["basis"] == "measured on this machine"


def test_a_bad_input_is_its_sentence(worker, tmp_path):
    error = worker.answer("analyze", source=str(tmp_path / "no.nii"), out=str(tmp_path / "case"))
    assert (error["kind"], error["exit_code"]) == ("InputError", 2)
    assert "does not exist" in error["sentence"]
    error = worker.answer("similar", result=str(tmp_path), folder=str(tmp_path))
    assert "holds no embeddings" in error["sentence"]
    error = worker.answer("embed", result=str(tmp_path), out=str(tmp_path / "e.csv"))
    assert "holds no embeddings" in error["sentence"]
    assert list(tmp_path.iterdir()) == []


def test_a_cancelled_analysis_leaves_nothing(worker, ct, tmp_path):
    request = worker.ask("analyze", source=ct, out=str(tmp_path / "a" / "case"), force=True)
    worker.until("started", request_id=request)
    assert worker.answer("cancel", id=request)["found"]
    if worker.events[-1]["event"] != "cancelled":
        worker.until("cancelled", request_id=request)
    assert [path.name for path in tmp_path.iterdir()] == ["ct.nii.gz"]
    assert not worker.answer("cancel", id=request)["found"]
    assert GRACE_S < 1.5  # which leaves half a second for the kill


def test_a_killed_computation_is_an_error_and_the_next_one_works(worker, ct, tmp_path):
    request = worker.ask("analyze", source=ct, out=str(tmp_path / "case"), force=True)
    worker.until("started", request_id=request)
    computing = [child for child in worker.descendants() if _lane_of(child) == "compute"]
    os.kill(computing[0], signal.SIGKILL)
    error = worker.until("error", request_id=request)
    assert (error["kind"], error["exit_code"]) == ("Crashed", 3)
    assert [path.name for path in tmp_path.iterdir()] == ["ct.nii.gz"]
    assert worker.answer("analyze", source=ct, out=str(tmp_path / "case"), force=True)["event"] == "result"


def test_weights_are_verified_with_progress(worker):
    verified = worker.answer("verify")
    assert verified["models"] == [{"model": tiny_segmenter.CARD_ID, "state": "whole", "detail": ""}]
    error = worker.answer("pull", model="nothing")
    assert "there is no model named 'nothing'" in error["sentence"]
    error = worker.answer("remove", model=tiny_segmenter.CARD_ID)
    assert "not of the hub" in error["sentence"]


def test_a_full_disk_is_said_and_the_end_of_input_ends_everything(environment, ct, tmp_path):
    def fill_the_disk():
        resource.setrlimit(resource.RLIMIT_FSIZE, (2000, 2000))

    with worker_pipe.worker(environment, fill_the_disk) as worker:
        error = worker.answer("analyze", source=ct, out=str(tmp_path / "case"), force=True)
        assert error["exit_code"] == 3
        assert "no space is left" in error["sentence"]
        assert [path.name for path in tmp_path.iterdir()] == ["ct.nii.gz"]
        request = worker.ask("analyze", source=ct, out=str(tmp_path / "case"), force=True)
        worker.until("started", request_id=request)
        below = worker.descendants()
        assert below
        worker.process.stdin.close()
        assert wait_until(lambda: worker.process.poll() is not None)
        assert worker.process.returncode == 0
        assert wait_until(lambda: not any(is_alive(process) for process in below))


def test_a_killed_supervisor_leaves_no_process(environment):
    with worker_pipe.worker(environment) as worker:
        worker.until("hello")
        assert wait_until(lambda: bool(worker.descendants()))
        below = worker.descendants()
        worker.process.send_signal(signal.SIGKILL)
        worker.process.wait()
        assert wait_until(lambda: not any(is_alive(process) for process in below))


def test_what_is_printed_does_not_reach_the_events():
    script = (
        "import os, sys\nfrom medfm_core.worker.protocol import Outlet\noutlet = Outlet.take()\n"
        "print('printed', flush=True)\nos.write(1, b'from C')\nos.system('echo by a child')\noutlet.event('hello')"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert json.loads(done.stdout)["event"] == "hello"
    assert all(words in done.stderr for words in ("printed", "from C", "by a child"))


def _lane_of(process: int) -> str:
    try:
        with open(f"/proc/{process}/cmdline", "rb") as stream:
            return stream.read().rstrip(b"\0").rpartition(b"\0")[2].decode()
    except OSError:
        return ""
