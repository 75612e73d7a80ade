"""A run on the terminal: a view that lives while the run does, or one plain line now and then.

The view is drawn anew at most once a second, whatever the steps take, so that watching costs the run nothing.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, Literal, TextIO

from training.engine.monitors.view import RunView, line_of, make_view

Mode = Literal["auto", "live", "lines", "none"]
_REDRAW_EVERY_S = 1.0


class Terminal:
    """Shows a run; this base class shows nothing."""

    def begin(self, view: RunView) -> None:
        """The run begins."""

    def tick(self, view: RunView) -> None:
        """A step is done; called after every one of them and must return at once."""

    def row(self, view: RunView) -> None:
        """A row of the log was written."""

    def say(self, text: str, in_view: bool = False) -> None:
        """Tell the user one sentence; `in_view`: the view shows it anyway."""

    def close(self, view: RunView) -> None:
        """The run is over, or was stopped."""


class Lines(Terminal):
    """One plain line per row of the log, for files and for terminals that cannot do more."""

    def __init__(self, stream: TextIO | None = None) -> None:
        self._console = _console(stream)

    def begin(self, view: RunView) -> None:
        """Say what begins."""
        resumed = f", going on from step {view.first_step:,}" if view.first_step else ""
        self.say(f"{view.title}: {view.steps:,} steps{resumed}{'; ' if view.about else ''}{view.about}")

    def row(self, view: RunView) -> None:
        """Write the line."""
        self.say(line_of(view))

    def say(self, text: str, in_view: bool = False) -> None:
        """Write a sentence."""
        self._console.print(text, soft_wrap=True)

    def close(self, view: RunView) -> None:
        """Say how far it came."""
        self.say(f"{view.title}: {view.step:,} of {view.steps:,} steps done")


class Live(Terminal):
    """A view that stays in place and is drawn anew."""

    def __init__(self, stream: TextIO | None = None) -> None:
        from rich.live import Live as RichLive

        self._console = _console(stream, force=True)
        self._live: Any = RichLive(console=self._console, auto_refresh=False, transient=False)
        self._drawn_at = 0.0

    def begin(self, view: RunView) -> None:
        """Draw the first view."""
        self._live.start()
        self._draw(view)

    def tick(self, view: RunView) -> None:
        """Draw it anew if the last one is a second old."""
        if time.perf_counter() - self._drawn_at >= _REDRAW_EVERY_S:
            self._draw(view)

    def row(self, view: RunView) -> None:
        """The next tick shows it."""

    def say(self, text: str, in_view: bool = False) -> None:
        """Write a sentence above the view."""
        if not in_view:
            self._console.print(text, soft_wrap=True)

    def close(self, view: RunView) -> None:
        """Leave the last view standing."""
        self._draw(view)
        self._live.stop()

    def _draw(self, view: RunView) -> None:
        ascii_only = not self._console.encoding.lower().startswith("utf")
        self._live.update(make_view(view, ascii_only, min(100, self._console.width)), refresh=True)
        self._drawn_at = time.perf_counter()


def make_terminal(mode: Mode, stream: TextIO | None = None) -> Terminal:
    """Choose how a run shows itself; `auto` is a live view on a terminal and plain lines elsewhere."""
    if mode == "auto":
        mode = "live" if _console(stream).is_terminal else "lines"
    makers: dict[str, Callable[[], Terminal]] = {"live": lambda: Live(stream), "lines": lambda: Lines(stream)}
    return makers.get(mode, Terminal)()


def _console(stream: TextIO | None, force: bool = False) -> Any:
    from rich.console import Console

    terminal = True if force else None
    return Console(
        file=stream, stderr=stream is None, highlight=False, markup=False, emoji=False, force_terminal=terminal
    )
