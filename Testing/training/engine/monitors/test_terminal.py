"""What the terminal shows: a view that stays, plain lines in files, or nothing."""

from __future__ import annotations

import io
import math

import pytest

from training.engine.monitors.terminal import Lines, Live, Terminal, make_terminal
from training.engine.monitors.view import RunView, line_of
from training.engine.monitors.words import duration, number, share, sparkline

FIGURES = {
    "loss": 0.731, "lr": 1.7e-4, "grad_norm": 0.467, "samples_per_second": 73.4, "data_wait": 0.017, "mfu": 0.156,
    "health/effective_rank": 179.0, "health/limit": 255.0, "health/mean_cosine": 0.185, "health/dead_share": 0.0,
    "probe/sex/auroc": 0.83, "probe/sex/balanced_accuracy": 0.7,
}  # fmt: skip


class Tty(io.StringIO):
    encoding = "utf-8"

    def isatty(self):
        return True


def a_view() -> RunView:
    view = RunView("tiny", "cpu, fp32", step=100, steps=1000, first_step=50, chances={"probe/sex/auroc": 0.5})
    view.update(100, FIGURES)
    return view


def test_auto_is_live_on_a_terminal_and_lines_elsewhere(monkeypatch):
    monkeypatch.setenv("TERM", "xterm")
    assert isinstance(make_terminal("auto", Tty()), Live)
    assert isinstance(make_terminal("auto", io.StringIO()), Lines)
    assert type(make_terminal("none")) is Terminal


def test_lines_are_plain_and_one_per_row():
    stream = io.StringIO()
    lines, view = make_terminal("lines", stream), a_view()
    lines.begin(view)
    for _ in range(3):
        lines.tick(view)
    lines.row(view)
    lines.say("! something", in_view=True)
    lines.close(view)
    first, row, alarm, last = stream.getvalue().splitlines()
    assert "going on from step 50" in first
    for part in ("step 100/1,000 (10.0 %)", "loss 0.731", "lr 1.7e-4", "1.7 % waiting", "MFU 15.6 %", "sex auroc 0.83"):
        assert part in row
    assert "balanced" not in row
    assert alarm == "! something"
    assert "100 of 1,000" in last
    assert "\x1b" not in stream.getvalue()


def test_the_live_view_holds_all_and_is_not_drawn_at_every_step(monkeypatch):
    stream = Tty()
    live, view = Live(stream), a_view()
    view.alarms.append((90, "The loss jumped"))
    live.begin(view)
    length = len(stream.getvalue())
    for _ in range(100):
        live.tick(view)
    assert len(stream.getvalue()) == length
    live.close(view)
    text = stream.getvalue()
    for part in ("tiny", "0.731", "effective rank 179 of 255", "chance 0.5", "step 90: The loss jumped", "10.0 %"):
        assert part in text


def test_a_narrow_terminal_without_unicode(monkeypatch):
    monkeypatch.setenv("COLUMNS", "60")
    stream = Tty()
    stream.encoding = "ascii"
    live, view = Live(stream), a_view()
    live.begin(view)
    live.close(view)
    stream.getvalue().encode("ascii")


def test_an_empty_run_has_a_line_too():
    assert line_of(RunView(steps=10)) == "step 0/10 (0.0 %)"


@pytest.mark.parametrize(
    ("value", "text"),
    [(0, "0"), (1.0, "1"), (0.0312, "0.0312"), (0.99925, "0.9992"), (12.345, "12.3"), (1234.5, "1234"),
     (45212, "45.2k"), (2.5e6, "2.5M"), (1.2e-5, "1.2e-5"), (9.9999e-5, "1e-4"), (-2e-7, "-2e-7"), (4e-4, "4e-4"),
     (5.25e-4, "5.25e-4"), (-0.5, "-0.5"), (math.nan, "NaN"), (math.inf, "infinite")],
)  # fmt: skip
def test_numbers(value, text):
    assert number(value) == text


def test_times_and_shares():
    assert [duration(s) for s in (4.4, 200, 7500, 273600)] == ["4 s", "3 min 20 s", "2 h 05 min", "3 d 4 h"]
    assert (share(0.0175), share(math.nan)) == ("1.8 %", "NaN")


def test_sparklines():
    assert sparkline([0, 1, 2, 3, 4, 5, 6, 7], 8) == "▁▂▃▄▅▆▇█"
    assert sparkline([1.0] * 100, 10) == "▁" * 10
    assert sparkline([0, math.nan, 1], 10, ascii_only=True) == "_!#"
    assert sparkline([], 10) == ""


def test_time_to_go_leaves_the_slow_first_steps_out(monkeypatch):
    clock = [100.0]
    monkeypatch.setattr("training.engine.monitors.view.time.perf_counter", lambda: clock[0])
    view = RunView(steps=100, begun=100.0)
    assert view.remaining_s is None
    clock[0], view.step = 150.0, 5
    assert view.remaining_s == pytest.approx(10 * 95)
    view.update(10, {"loss": 1.0})
    clock[0], view.step = 154.0, 20
    assert view.remaining_s == pytest.approx(0.4 * 80)
