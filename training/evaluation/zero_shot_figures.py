"""Figures of zero-shot findings: AUROC with intervals by patient, and thresholds for a model card."""

from __future__ import annotations

from typing import Any

import numpy as np

from training.evaluation.bootstrap import BootstrapPlan, bootstrap
from training.evaluation.ranking import area_under_roc
from training.evaluation.zero_shot import Cases, ZeroShot

SENSITIVE = 0.9  # share of the organs with a finding that do not fall below the first threshold
SPECIFIC = 0.98  # share of those without it that stay below the second: a scan is asked a hundred such questions
USABLE = 0.8  # AUROC from which on a finding is called at all


def auroc(truth: np.ndarray, scores: np.ndarray) -> float:
    """Area under the curve; NaN where only one class is there."""
    return area_under_roc(truth.astype(int), scores) if truth.any() and not truth.all() else float("nan")


def figures_of(found: ZeroShot, fewest: int = 3, resamples: int = 1000) -> dict[str, Any]:
    """AUROC per finding over organs, and its mean, with 95 % intervals that resample patients.

    Args:
        found: scores and truth.
        fewest: organs with and without a finding that it needs to be part of the mean.
        resamples: of the bootstrap.

    Returns:
        `mean` (auroc, low, high, findings) and `findings` (per name auroc, low, high, positives, negatives, counted).
    """
    names = list(found.cases)
    counted = [_is_counted(found.cases[name], fewest) for name in names]
    studies = [found.cases[name].studies for name in names]

    def statistic(rows: np.ndarray) -> np.ndarray:
        times = np.bincount(rows, minlength=len(found.subjects))  # how often each study was drawn
        each = [_auroc_of(found.cases[name], times[own]) for name, own in zip(names, studies, strict=True)]
        mean = np.nanmean(np.array(each)[counted]) if any(counted) else np.nan
        return np.array([mean, *each])

    mean, *each = bootstrap(statistic, found.subjects, BootstrapPlan(resamples, method="percentile"))
    return {
        "mean": {"auroc": mean.value, "low": mean.low, "high": mean.high, "findings": sum(counted)},
        "findings": {
            name: {
                "auroc": one.value, "low": one.low, "high": one.high,
                "positives": int(found.cases[name].truth.sum()), "negatives": int((~found.cases[name].truth).sum()),
                "counted": is_counted,
            }
            for name, one, is_counted in zip(names, each, counted, strict=True)
        },
    }  # fmt: skip


def calibrate(found: ZeroShot, fewest: int, on: str) -> dict[str, dict[str, Any]]:
    """Choose thresholds per finding.

    A tenth of the organs with the finding scores below the first, a fiftieth of those without above the second. Where
    one threshold meets both, the two are the same. Findings that are too rare, or that the scores do not tell, are left
    out: `medfm analyze` then says that it cannot assess them.

    Args:
        found: scores and truth of patients that are neither trained on nor tested on.
        fewest: organs with and without a finding that it needs.
        on: what they are, in words.

    Returns:
        The card's `findings`.
    """
    entries = {}
    for name, cases in found.cases.items():
        if not _is_counted(cases, fewest) or auroc(cases.truth, cases.scores) < USABLE:
            continue
        low = float(np.quantile(cases.scores[cases.truth], 1 - SENSITIVE))
        high = float(np.quantile(cases.scores[~cases.truth], SPECIFIC))
        if low > high:
            low = high = (low + high) / 2
        entries[name] = {
            "absent_below": round(low, 4), "present_above": round(high, 4), "on": on,
            "auroc": round(auroc(cases.truth, cases.scores), 3),
            "positives": int(cases.truth.sum()), "negatives": int((~cases.truth).sum()),
        }  # fmt: skip
    return entries


def _is_counted(cases: Cases, fewest: int) -> bool:
    return min(int(cases.truth.sum()), int((~cases.truth).sum())) >= fewest


def _auroc_of(cases: Cases, times: np.ndarray) -> float:
    if not len(times):
        return float("nan")
    return auroc(np.repeat(cases.truth, times), np.repeat(cases.scores, times))
