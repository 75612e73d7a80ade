"""Figures of zero-shot findings: AUROC with intervals by patient, and thresholds for a model card."""

from __future__ import annotations

from typing import Any

import numpy as np

from training.evaluation.bootstrap import BootstrapPlan, bootstrap
from training.evaluation.ranking import area_under_roc
from training.evaluation.zero_shot import ZeroShot

SENSITIVE, SPECIFIC = (
    0.9,
    0.9,
)  # of the thresholds: hardly any missed below the first, few false alarms above the second


def auroc(truth: np.ndarray, scores: np.ndarray) -> float:
    """Area under the curve; NaN where only one class is there."""
    return area_under_roc(truth.astype(int), scores) if truth.any() and not truth.all() else float("nan")


def figures_of(found: ZeroShot, fewest: int = 3, resamples: int = 1000) -> dict[str, Any]:
    """AUROC per finding and its mean, with 95 % intervals that resample patients.

    Args:
        found: scores and truth.
        fewest: studies with and without a finding that it needs to be part of the mean.
        resamples: of the bootstrap.

    Returns:
        `mean` (auroc, low, high, findings) and `findings` (per name auroc, low, high, positives, negatives, counted).
    """
    known = (found.truth != 0) & np.isfinite(found.scores)
    counts = [
        (int((known & (found.truth == sign)).sum(0)[column]))
        for column in range(len(found.findings))
        for sign in (1, -1)
    ]
    pairs = list(zip(counts[::2], counts[1::2], strict=True))
    counted = [column for column, pair in enumerate(pairs) if min(pair) >= fewest]

    def statistic(rows: np.ndarray) -> np.ndarray:
        each = [_auroc_of(found, known, column, rows) for column in range(len(found.findings))]
        mean = np.nanmean([each[column] for column in counted]) if counted else np.nan
        return np.array([mean, *each])

    plan = BootstrapPlan(resamples, method="percentile")
    mean, *each = bootstrap(statistic, found.subjects, plan)
    return {
        "mean": {"auroc": mean.value, "low": mean.low, "high": mean.high, "findings": len(counted)},
        "findings": {
            name: {
                "auroc": one.value, "low": one.low, "high": one.high, "positives": pairs[column][0],
                "negatives": pairs[column][1], "counted": column in counted,
            }
            for column, (name, one) in enumerate(zip(found.findings, each, strict=True))
        },
    }  # fmt: skip


def calibrate(found: ZeroShot, fewest: int, on: str) -> dict[str, dict[str, Any]]:
    """Choose thresholds per finding.

    A tenth of the studies with the finding scores below the first, a tenth of those without it above the second. Where
    one threshold meets both, the two are the same; findings that are too rare are left out.

    Args:
        found: scores and truth of patients that are neither trained on nor tested on.
        fewest: studies with and without a finding that it needs.
        on: what they are, in words.

    Returns:
        The card's `findings`.
    """
    entries = {}
    for name in found.findings:
        truth, scores, _ = found.cases(name)
        if min(truth.sum(), (~truth).sum()) < fewest:
            continue
        low = float(np.quantile(scores[truth], 1 - SENSITIVE))
        high = float(np.quantile(scores[~truth], SPECIFIC))
        if low > high:
            low = high = (low + high) / 2
        entries[name] = {
            "absent_below": round(low, 4), "present_above": round(high, 4), "on": on,
            "auroc": round(auroc(truth, scores), 3), "positives": int(truth.sum()), "negatives": int((~truth).sum()),
        }  # fmt: skip
    return entries


def _auroc_of(found: ZeroShot, known: np.ndarray, column: int, rows: np.ndarray) -> float:
    usable = rows[known[rows, column]]
    return auroc(found.truth[usable, column] > 0, found.scores[usable, column]) if len(usable) else float("nan")
