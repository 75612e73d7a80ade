"""Rules that tell when a run goes wrong, and what to do; each looks at one row of the log after the other.

A rule has no state but what the rows give it, so that a resumed run fed with the rows of its log goes on as if it had
never stopped.
"""

from __future__ import annotations

import math
import statistics
from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

_WINDOW_ROWS = 50
_FEWEST_ROWS = 10
ALARM_NAMES = {
    "not_finite": "NaN or infinite",
    "loss_spike": "loss spike",
    "gradient_spike": "gradient spike",
    "collapse": "collapse",
}
Row = Mapping[str, float]


@dataclass(frozen=True)
class Alarm:
    """Something that a person should know.

    Attributes:
        name: kind, one word.
        text: what is wrong and what to do.
    """

    name: str
    text: str


class Rule:
    """Base of the rules; `columns` names what a row must have to be looked at."""

    columns: tuple[str, ...] = ()

    def check(self, row: Row) -> Alarm | None:
        """Look at the next row; None when all is well."""
        raise NotImplementedError


class NotFinite(Rule):
    """The loss or the gradient is NaN or infinite."""

    columns = ("loss",)

    def check(self, row: Row) -> Alarm | None:
        """Look at loss and gradient norm, as means over the row's steps."""
        bad = [name for name in ("loss", "grad_norm") if not math.isfinite(row.get(name, 0.0))]
        if not bad:
            return None
        return Alarm(
            "not_finite",
            f"The {' and the '.join(bad).replace('grad_norm', 'gradient norm')} is NaN or infinite: go back to the "
            "last checkpoint, lower the learning rate, and look for NaN in the input (in half precision, use bf16).",
        )


class LossSpike(Rule):
    """The loss stands six robust standard deviations above the median of the 50 rows before.

    The deviation is 1.4826 times the median absolute deviation, at least 5 % of the median; needs 10 rows.
    """

    columns = ("loss",)

    def __init__(self) -> None:
        self._before: deque[float] = deque(maxlen=_WINDOW_ROWS)

    def check(self, row: Row) -> Alarm | None:
        """Compare the loss with the rows before."""
        loss, before = row["loss"], list(self._before)
        if not math.isfinite(loss):
            return None
        self._before.append(loss)
        if len(before) < _FEWEST_ROWS:
            return None
        level = statistics.median(before)
        spread = max(1.4826 * statistics.median(abs(value - level) for value in before), 0.05 * abs(level))
        if loss <= level + 6 * spread:
            return None
        return Alarm(
            "loss_spike",
            f"The loss jumped to {loss:.4g} from {level:.4g}: if it stays there, go back to a checkpoint before "
            "the jump and lower the learning rate or clip the gradient harder; look at the samples of these steps.",
        )


class GradientSpike(Rule):
    """A gradient norm ten times the median of the 50 rows before; needs 10 rows."""

    columns = ("grad_norm",)

    def __init__(self) -> None:
        self._before: deque[float] = deque(maxlen=_WINDOW_ROWS)

    def check(self, row: Row) -> Alarm | None:
        """Compare the largest gradient norm of the row's steps with the means of the rows before."""
        norm, before = row["grad_norm"], list(self._before)
        largest = row.get("grad_norm_max", norm)
        if not math.isfinite(norm):
            return None
        self._before.append(norm)
        if len(before) < _FEWEST_ROWS or largest <= 10 * statistics.median(before):
            return None
        return Alarm(
            "gradient_spike",
            f"A gradient norm of {largest:.3g} is more than ten times the usual {statistics.median(before):.3g}: clip "
            "the gradient, lower the learning rate, or lengthen the warm-up.",
        )


class Collapse(Rule):
    """The representation collapses: three checks in a row that break one of two rules.

    1. The effective rank is below 2, or below 5 % of the largest possible one.
    2. The mean cosine similarity is above 0.99. Networks with random weights may begin above that: then the distance
       from 1 must have shrunk tenfold since the first check of the run.

    Features that are NaN or infinite are an alarm at once.

    Args:
        patience: checks in a row.
    """

    columns = ("health/effective_rank", "health/mean_cosine", "health/limit")

    def __init__(self, patience: int = 3) -> None:
        self._patience, self._bad, self._first_cosine = patience, 0, None

    def check(self, row: Row) -> Alarm | None:
        """Look at the figures of a health check."""
        rank, cosine, limit = (row[name] for name in self.columns)
        if not (math.isfinite(rank) and math.isfinite(cosine)):
            return Alarm("collapse", "Features are NaN or infinite: go back to the last checkpoint, lower the rate.")
        if self._first_cosine is None:
            self._first_cosine = cosine
        floor, ceiling = max(2.0, 0.05 * limit), max(0.99, 1 - (1 - self._first_cosine) / 10)
        reasons = []
        if rank < floor:
            reasons.append(f"the effective rank is {rank:.2g} of {limit:.0f}, below {floor:.2g}")
        if cosine > ceiling:
            reasons.append(f"the mean cosine between samples is {cosine:.4f}, above {ceiling:.4f}")
        self._bad = self._bad + 1 if reasons else 0
        if self._bad < self._patience:
            return None
        return Alarm(
            "collapse",
            f"The representation collapses, {self._bad} checks in a row: {' and '.join(reasons)}. Stop, go back to a "
            "checkpoint before the fall, and lower the learning rate; check that masks hide enough, that the teacher "
            "moves slowly (EMA near 1) and gets no gradient, and that centring or the regulariser is on.",
        )


class Alarms:
    """All rules of a run.

    Attributes:
        active: alarms that the latest rows gave, by name.
    """

    def __init__(self, rules: Iterable[Rule] | None = None) -> None:
        self._rules = list(rules) if rules is not None else [NotFinite(), LossSpike(), GradientSpike(), Collapse()]
        self._last: dict[int, Alarm | None] = {}
        self.active: dict[str, Alarm] = {}

    def check(self, row: Row) -> list[Alarm]:
        """Show a row to all rules whose columns it has.

        Returns:
            Alarms that were not active before.
        """
        before = set(self.active)
        for number, rule in enumerate(self._rules):
            if all(name in row for name in rule.columns):
                self._last[number] = rule.check(row)
        self.active = {alarm.name: alarm for alarm in self._last.values() if alarm is not None}
        return [alarm for name, alarm in self.active.items() if name not in before]
