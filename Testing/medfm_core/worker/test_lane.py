"""A lane ends what it must and leaves nothing, whatever its process does."""

from __future__ import annotations

import json
import os
import queue
import sys
import time
from pathlib import Path

import lane_stub_path
import pytest

from medfm_core.worker.lane import Lane
from medfm_core.worker.protocol import Request

pytestmark = pytest.mark.skipif(os.name == "nt", reason="POSIX process groups")


@pytest.fixture
def lane():
    made = _Watched()
    yield made
    made.lane.close()


class _Watched:
    """A lane over the stub, and its events."""

    def __init__(self):
        self.events = queue.Queue()
        self.lane = Lane("stub", lambda line: self.events.put(json.loads(line)), command=lane_stub_path.COMMAND)

    def ask(self, request_id, name, **arguments):
        self.lane.submit(Request(request_id, name, arguments))

    def until(self, *kinds):
        while True:
            event = self.events.get(timeout=30)
            if event["event"] in kinds:
                return event

    def child(self):
        return int(self.until("log")["text"].split()[1])


def is_alive(process):
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def wait_until(condition, seconds=10):
    last = time.monotonic() + seconds
    while not condition() and time.monotonic() < last:
        time.sleep(0.01)
    return condition()


def test_jobs_are_done_in_turn_by_one_process(lane):
    for number in "123":
        lane.ask(number, "fine", n=number)
    results = [lane.until("result") for _ in range(3)]
    assert [result["id"] for result in results] == ["1", "2", "3"]
    assert len({result["process"] for result in results}) == 1


def test_a_waiting_job_is_cancelled_at_once_and_the_other_goes_on(lane):
    lane.ask("1", "polite")
    lane.ask("2", "fine")
    assert lane.lane.cancel("2")
    assert lane.until("cancelled")["id"] == "2"
    assert lane.lane.cancel("1")
    assert lane.until("cancelled")["id"] == "1"
    assert not lane.lane.cancel("1")


def test_a_polite_job_keeps_the_process_warm(lane):
    lane.ask("0", "fine")
    process = lane.until("result")["process"]
    lane.ask("1", "polite")
    lane.until("started")
    lane.lane.cancel("1")
    lane.until("cancelled")
    lane.ask("2", "fine")
    assert lane.until("result")["process"] == process


def test_a_stubborn_job_is_killed_with_its_children_and_its_output(lane, tmp_path):
    lane.ask("1", "stubborn", out=str(tmp_path / "new" / "er" / "case"))
    child = lane.child()
    assert is_alive(child)
    lane.lane.cancel("1")
    assert lane.until("cancelled")["id"] == "1"
    assert wait_until(lambda: not is_alive(child))
    assert list(tmp_path.iterdir()) == []
    lane.ask("2", "fine")
    assert lane.until("result")["id"] == "2"


@pytest.mark.parametrize(
    ("name", "words", "code"),
    [("crash", "ended with code 3", 1), ("killed", "signal 9; free some memory", 3), ("half a line", "code 0", 1)],
)
def test_a_crash_is_one_error_and_the_next_job_is_done(lane, tmp_path, name, words, code):
    lane.ask("1", name, out=str(tmp_path / "case"))
    lane.ask("2", "fine")
    error = lane.until("error", "result")
    assert (error["id"], error["kind"], error["exit_code"]) == ("1", "Crashed", code)
    assert words in error["sentence"]
    assert lane.until("result")["id"] == "2"
    assert list(tmp_path.iterdir()) == []


def test_closing_ends_everything_without_a_word(lane):
    lane.ask("1", "stubborn")
    lane.ask("2", "fine")
    child = lane.child()
    lane.lane.close()
    assert wait_until(lambda: not is_alive(child))
    assert lane.events.empty()
    lane.ask("3", "fine")
    assert lane.events.empty()


def test_a_process_that_cannot_be_started_is_an_error():
    events = []
    lane = Lane("stub", lambda line: events.append(json.loads(line)), command=["/no/such/python"])
    lane.submit(Request("1", "fine", {}))
    lane.submit(Request("2", "fine", {}))
    assert [(event["id"], event["kind"]) for event in events] == [("1", "Crashed"), ("2", "Crashed")]
    assert "could not be started" in events[0]["sentence"]
    assert sys.executable not in events[0]["sentence"]
