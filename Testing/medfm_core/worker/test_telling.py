"""Progress as fractions and remaining time."""

from __future__ import annotations

import pytest

from medfm_core.progress import CancelledError
from medfm_core.worker import telling
from medfm_core.worker.telling import Telling


@pytest.fixture
def told(monkeypatch):
    """Events of a job whose clock is ours: `told.now` seconds have passed."""

    class Told(list):
        now = 0.0

        def progress(self):
            return [event for event in self if event["event"] == "progress"]

    found = Told()
    monkeypatch.setattr(telling.time, "perf_counter", lambda: found.now)
    return found


def make(told, **settings):
    return Telling(lambda event, **fields: told.append({"event": event, **fields}), **settings)


def test_the_fraction_is_that_of_the_shares_and_never_falls(told):
    job = make(told, shares={"read": 1, "outline": 8, "write": 1})
    with job.stage("read"):
        told.now += 1
    with job.stage("outline"), job.stage("organs", 4) as stage:
        for _ in range(4):
            told.now += 1
            stage.advance()
    with job.stage("write"):
        pass
    fractions = [event["fraction"] for event in told.progress()]
    assert fractions == sorted(fractions)
    assert {0.1, 0.3, 0.5, 0.7, 0.9, 1.0} <= set(fractions)
    assert {event["name"] for event in told.progress()} == {"read", "outline", "write"}


def test_the_remaining_time_turns_from_what_was_expected_to_what_is_seen(told):
    job = make(told, shares={"work": 1}, expected_seconds=10)
    with job.stage("work", 4) as stage:
        for _ in range(4):
            told.now += 5  # twice as slow as expected
            stage.advance()
    remaining = [event["remaining_seconds"] for event in told.progress()]
    assert remaining[0] == 10
    assert remaining[2] == pytest.approx(7.5)  # half done in 10 s: 10 by what is seen, 5 by what was expected
    assert remaining[-1] == 0


def test_without_expectation_the_remaining_time_is_known_only_later(told):
    job = make(told, shares={"work": 1})
    with job.stage("work", 100) as stage:
        told.now += 1
        stage.advance(2)
        told.now += 1
        stage.advance(48)
    remaining = [event["remaining_seconds"] for event in told.progress()]
    assert remaining[:2] == [None, None]
    assert remaining[2] == pytest.approx(2)


def test_progress_is_told_at_most_five_times_a_second(told):
    job = make(told, shares={"work": 1})
    with job.stage("work", 1000) as stage:
        for _ in range(1000):
            told.now += 0.001
            stage.advance()
    assert len(told.progress()) <= 2 + 5


def test_a_cancelled_job_stops_at_the_next_step_and_says_where(told):
    job = make(told, cancelled=lambda: told.now > 0)

    def work():
        with job.stage("work", 2) as stage:
            told.now = 1.0
            stage.advance()

    with pytest.raises(CancelledError):
        work()
    assert told[-1]["state"] == "cancelled"
    assert [event["depth"] for event in told if event["event"] == "stage"] == [0, 0]


def test_files_are_weighed_by_their_bytes(told):
    job = make(told, shares=telling.shares_of_files({"big": 900, "small": 100}))
    with job.stage("Fetch big", 900) as stage:
        stage.advance(900)
    half = told.progress()[-1]["fraction"]
    assert 0.4 < half < 0.45  # fetched but not yet verified; copying would have been as much again
