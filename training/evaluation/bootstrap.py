"""Bootstrap intervals that resample subjects: several studies of one subject do not pass for several subjects.

A resample in which the figure does not exist (say, all targets of one class) is dropped and counted; where too many
are, there is no interval, and it says so.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from scipy.stats import norm

from medfm_core.errors import InputError

FEWEST_SUBJECTS = 5
MOST_DROPPED = 0.2
MOST_LEFT_OUT = 500

Statistic = Callable[[np.ndarray], np.ndarray]


@dataclass(frozen=True)
class BootstrapPlan:
    """How intervals are made.

    Attributes:
        resamples: how many; 1000 settle the ends to about a tenth of the interval's length.
        level: share of such intervals that hold the true value.
        method: `percentile`, or `bca`, which corrects for bias and for a spread that changes with the value.
        seed: decides the resamples.
    """

    resamples: int = 1000
    level: float = 0.95
    method: Literal["bca", "percentile"] = "bca"
    seed: int = 0

    def __post_init__(self) -> None:
        if self.resamples < 20:
            raise InputError(f"{self.resamples} resamples are too few for an interval", "give 20 or more")
        if not 0 < self.level < 1:
            raise InputError(f"a level of {self.level} is impossible", "give a share such as 0.95")
        if self.method not in ("bca", "percentile"):
            raise InputError(f"there is no bootstrap method {self.method!r}", "choose bca or percentile")


@dataclass(frozen=True)
class Estimate:
    """A figure with its interval.

    Attributes:
        value: of the whole sample; None where it does not exist.
        low, high: ends of the interval; None where there is none.
        note: what is missing and why, or what to know.
        subjects: how many were resampled.
        dropped: share of the resamples in which the figure did not exist.
    """

    value: float | None
    low: float | None = None
    high: float | None = None
    note: str = ""
    subjects: int = 0
    dropped: float = 0.0


class Clusters:
    """Rows by subject, ready to be drawn.

    Args:
        subjects: one name per row.
    """

    def __init__(self, subjects: Sequence[str]) -> None:
        _, inverse, counts = np.unique(np.asarray(subjects), return_inverse=True, return_counts=True)
        self._rows = np.argsort(inverse, kind="stable")
        self._counts, self._starts = counts, np.cumsum(counts) - counts

    def __len__(self) -> int:
        return len(self._counts)

    def rows(self, drawn: np.ndarray) -> np.ndarray:
        """All rows of the drawn subjects, as often as each was drawn.

        Args:
            drawn: subject numbers, `(S,)`.
        """
        counts = self._counts[drawn]
        ends = np.cumsum(counts)
        within = np.arange(counts.sum()) - np.repeat(ends - counts, counts)
        return self._rows[np.repeat(self._starts[drawn], counts) + within]


def bootstrap(statistic: Statistic, subjects: Sequence[str], plan: BootstrapPlan) -> list[Estimate]:
    """Estimate several figures of the same rows, each with its interval.

    Args:
        statistic: takes row numbers, some several times; returns figures `(K,)`, NaN where one does not exist.
        subjects: subject of each row.
        plan: how.

    Returns:
        K estimates.
    """
    clusters = Clusters(subjects)
    values = np.atleast_1d(np.asarray(statistic(np.arange(len(subjects))), dtype=np.float64))
    if len(clusters) < FEWEST_SUBJECTS:
        note = f"no interval from {len(clusters)} subject{'s' * (len(clusters) != 1)}"
        return [_estimate(value, note, len(clusters)) for value in values]
    rng = np.random.default_rng(plan.seed)
    draws = rng.integers(0, len(clusters), (plan.resamples, len(clusters)))
    replicates = np.stack([np.atleast_1d(statistic(clusters.rows(drawn))) for drawn in draws])
    without_one = _leave_one_out(statistic, clusters) if plan.method == "bca" else np.full((1, len(values)), np.nan)
    return [
        _interval(value, replicates[:, number], without_one[:, number], len(clusters), plan)
        for number, value in enumerate(values)
    ]


def bootstrap_one(
    statistic: Callable[[np.ndarray], float | None], subjects: Sequence[str], plan: BootstrapPlan
) -> Estimate:
    """The same for a single figure; the statistic may return None."""

    def as_array(rows: np.ndarray) -> np.ndarray:
        value = statistic(rows)
        return np.array([np.nan if value is None else value])

    return bootstrap(as_array, subjects, plan)[0]


def paired_difference(
    first: Statistic, second: Statistic, subjects: Sequence[str], plan: BootstrapPlan
) -> list[Estimate]:
    """Estimate by how much the first of two models is above the second, both seeing the same resamples.

    What is hard about a sample is hard for both, so that the difference is known better than either figure.

    Args:
        first: figures of one model, see `bootstrap`.
        second: the same figures of the other.
        subjects: subject of each row.
        plan: how.
    """
    return bootstrap(lambda rows: np.asarray(first(rows)) - np.asarray(second(rows)), subjects, plan)


def _leave_one_out(statistic: Statistic, clusters: Clusters) -> np.ndarray:
    """Figures without each subject in turn; of many subjects, without each of `MOST_LEFT_OUT` groups, `(groups, K)`."""
    groups = np.arange(len(clusters)) % min(len(clusters), MOST_LEFT_OUT)
    kept = (np.flatnonzero(groups != number) for number in range(groups.max() + 1))
    return np.stack([np.atleast_1d(statistic(clusters.rows(subjects))) for subjects in kept])


def _estimate(value: float, note: str, subjects: int, dropped: float = 0.0) -> Estimate:
    return Estimate(None if np.isnan(value) else float(value), note=note, subjects=subjects, dropped=dropped)


def _interval(
    value: float, replicates: np.ndarray, without_one: np.ndarray, subjects: int, plan: BootstrapPlan
) -> Estimate:
    if np.isnan(value):
        return _estimate(value, "", subjects)
    kept = replicates[~np.isnan(replicates)]
    dropped = 1 - len(kept) / len(replicates)
    if dropped > MOST_DROPPED:
        return _estimate(value, f"no interval: {dropped:.0%} of the resamples cannot be scored", subjects, dropped)
    if np.ptp(kept) <= 1e-12 * max(1.0, abs(value)):
        return _estimate(value, "no interval: every resample gives the same", subjects, dropped)
    tail = (1 - plan.level) / 2
    shares, note = np.array([tail, 1 - tail]), ""
    if plan.method == "bca":
        corrected = _corrected(shares, value, kept, without_one)
        if corrected is None:
            note = "percentile interval: too extreme to correct"
        else:
            shares = corrected
    low, high = np.quantile(kept, shares)
    return Estimate(float(value), float(low), float(high), note, subjects, dropped)


def _corrected(shares: np.ndarray, value: float, kept: np.ndarray, without_one: np.ndarray) -> np.ndarray | None:
    """Quantiles to read instead of `shares`; None where the correction does not exist.

    Source: B. Efron, "Better bootstrap confidence intervals", JASA 82 (1987).
    """
    below = (np.mean(kept < value) + np.mean(kept <= value)) / 2
    if not 0 < below < 1 or np.isnan(without_one).any():
        return None
    centred = without_one.mean() - without_one
    spread = (centred**2).sum()
    if spread <= 0:
        return None
    bias, acceleration = norm.ppf(below), (centred**3).sum() / (6 * spread**1.5)
    reach = bias + norm.ppf(shares)
    if (1 - acceleration * reach <= 0).any():
        return None
    return norm.cdf(bias + reach / (1 - acceleration * reach))
