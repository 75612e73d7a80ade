"""Findings as CSV."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable

from medfm_core.organ_finding import OrganFinding

FINDING_COLUMNS = (
    "name", "label", "organ", "side", "state", "score", "spread_low", "spread_high", "absent_below", "present_from",
    "size_mm", "reason",
)  # fmt: skip


def findings_csv(findings: Iterable[OrganFinding]) -> str:
    """One line per finding and organ, in the order given; empty where there is nothing to say.

    Scores and thresholds have six decimals, so that a score beside its threshold falls on the side its state says.
    """
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(FINDING_COLUMNS)
    for f in findings:
        scores = (f.score, *(f.spread or (None, None)), f.absent_below, f.threshold)
        numbers = ("" if value is None else f"{value:.6f}" for value in scores)
        size = "" if f.size_mm is None else f"{f.size_mm:.1f}"
        writer.writerow((f.name, f.label, f.organ, f.side or "", f.state, *numbers, size, f.reason))
    return stream.getvalue()
