"""How one case of a batch ended, and all of them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from medfm_core.batch.table import FAILED


@dataclass(frozen=True)
class Outcome:
    """How one case ended.

    Attributes:
        case: its name.
        state: "done" or "failed".
        is_old: whether its result was there already.
        seconds: what it took now.
        error: why it failed, one sentence.
        exit_code: of that error.
    """

    case: str
    state: str
    is_old: bool = False
    seconds: float = 0.0
    error: str = ""
    exit_code: int = 0


@dataclass(frozen=True)
class Summary:
    """How a batch ended."""

    outcomes: tuple[Outcome, ...]
    table: Path

    @property
    def failed(self) -> tuple[Outcome, ...]:
        """The cases that failed."""
        return tuple(outcome for outcome in self.outcomes if outcome.state == FAILED)

    @property
    def exit_code(self) -> int:
        """0 where every case is done, else 1."""
        return 1 if self.failed else 0
