"""Progress: stages, cancelling, JSON lines, and what a terminal or a pipe shows."""

from __future__ import annotations

import io
import json
import threading

import pytest

from medfm_core import progress as progress_module
from medfm_core.errors import MedFMError
from medfm_core.progress import SILENT, CancelledError, JsonLines, Progress, RichProgress, Silent


def lines(stream: io.StringIO) -> list[dict]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_stage_counts_and_times():
    with Silent().stage("Segment", total=3) as stage:
        assert stage.state == "running"
        stage.advance()
        stage.advance(2)
    assert (stage.name, stage.total, stage.done, stage.state) == ("Segment", 3, 3, "done")
    taken = stage.seconds
    assert taken >= 0
    assert stage.seconds == taken
    SILENT.message("nothing")


def test_cancelled_between_two_steps():
    wishes = iter([False, False, True])
    progress = Silent(lambda: next(wishes))
    stages = []

    def work():
        with progress.stage("Work", 5) as stage:
            stages.append(stage)
            for _ in range(5):
                stage.advance()

    with pytest.raises(CancelledError, match="the run was cancelled") as caught:
        work()
    assert stages[0].done == 2  # the wish came with the second step
    assert stages[0].state == "cancelled"
    assert isinstance(caught.value, MedFMError)


def test_cancelled_before_it_begins():
    with pytest.raises(CancelledError), Silent(lambda: True).stage("Work"):
        pytest.fail("the block must not run")


def test_a_failure_passes_through():
    stream = io.StringIO()
    with pytest.raises(KeyError), JsonLines(stream=stream).stage("Work"):
        raise KeyError("x")
    assert [line["state"] for line in lines(stream)] == ["running", "failed"]


def test_json_lines():
    stream = io.StringIO()
    progress = JsonLines(stream=stream)
    progress.message("Reading “a.nii.gz”\nnow")
    with progress.stage("Segment", 2) as stage:
        stage.advance(2)
    progress.event("result", out="case1")
    assert all(line.isascii() for line in stream.getvalue().splitlines())
    message, first, last, result = lines(stream)
    assert message == {"version": 1, "event": "message", "text": "Reading “a.nii.gz”\nnow"}
    assert first["seconds"] >= 0
    assert first | {"seconds": 0} == {
        "version": 1,
        "event": "stage",
        "name": "Segment",
        "state": "running",
        "done": 0,
        "total": 2,
        "seconds": 0,
    }
    assert (last["done"], last["state"]) == (2, "done")
    assert result == {"version": 1, "event": "result", "out": "case1"}


def test_json_lines_are_few(monkeypatch):
    clock = [0.0]
    monkeypatch.setattr(progress_module.time, "monotonic", lambda: clock[0])
    stream = io.StringIO()
    with JsonLines(stream=stream).stage("Segment", 1000) as stage:
        for _ in range(1000):
            clock[0] += 0.001
            stage.advance()
    written = [line["done"] for line in lines(stream)]
    assert len(written) <= 2 + 5
    assert written == sorted(written)
    assert written[-1] == 1000


def test_json_lines_do_not_mix_threads():
    stream = io.StringIO()
    progress = JsonLines(stream=stream)
    workers = [threading.Thread(target=lambda: [progress.message("x" * 200) for _ in range(50)]) for _ in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert len(lines(stream)) == 200


def test_no_number_that_is_not_json():
    with pytest.raises(ValueError, match="JSON"):
        JsonLines(stream=io.StringIO()).event("result", value=float("nan"))


class Gone(io.StringIO):
    def write(self, text: str) -> int:
        raise BrokenPipeError


def test_nobody_reads_any_more():
    with pytest.raises(CancelledError, match="is gone"), JsonLines(stream=Gone()).stage("Segment"):
        pytest.fail("the block must not run")
    closed = io.StringIO()
    closed.close()
    with pytest.raises(CancelledError, match="is gone"):
        JsonLines(stream=closed).message("x")


def test_the_reader_goes_during_a_stage():
    stream = io.StringIO()
    stages = []

    def work():
        with JsonLines(stream=stream).stage("Segment") as stage:
            stages.append(stage)
            stream.close()

    with pytest.raises(CancelledError, match="is gone"):
        work()
    assert stages[0].state == "done"  # its work was done; only nobody heard of it


def test_plain_lines_without_a_terminal():
    stream = io.StringIO()
    progress = RichProgress(stream=stream)
    progress.message("[red]not markup[/red] :warning:")
    with progress.stage("Read [1]") as outer:
        outer.advance()
        with pytest.raises(ValueError, match="x"), progress.stage("Segment", 10):
            raise ValueError("x")
    text = stream.getvalue().splitlines()
    assert text[0] == "[red]not markup[/red] :warning:"
    assert text[1].startswith("Segment: failed, ")
    assert text[2].startswith("Read [1]: done, ")


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_bars_on_a_terminal(monkeypatch):
    monkeypatch.setenv("TERM", "xterm")
    for name in ("NO_COLOR", "FORCE_COLOR", "TTY_COMPATIBLE"):
        monkeypatch.delenv(name, raising=False)
    stream = Terminal()
    progress = RichProgress(stream=stream)
    with progress.stage("Analyze"), progress.stage("Segment [1]", 4) as stage:
        for _ in range(4):
            stage.advance()
        progress.message("one thing to say")
    text = stream.getvalue()
    assert "Segment [1]" in text
    assert "100%" in text
    assert "one thing to say" in text
    assert progress._bars is None  # the terminal is given back
    assert text.count("\x1b[?25l") == text.count("\x1b[?25h")  # and its cursor


def test_subclass_hears_everything():
    heard = []

    class Ear(Progress):
        def began(self, stage):
            heard.append(("began", stage.name))

        def moved(self, stage):
            heard.append(("moved", stage.done))

        def ended(self, stage):
            heard.append(("ended", stage.state))

    with Ear().stage("a") as stage:
        stage.advance(3)
    assert heard == [("began", "a"), ("moved", 3), ("ended", "done")]
