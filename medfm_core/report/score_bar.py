"""A score drawn on the scale from 0 to 1 together with its thresholds, and the same in words."""

from __future__ import annotations

from dataclasses import dataclass

from medfm_core.organ_finding import OrganFinding

WIDTH, HEIGHT, EDGE = 180, 20, 6  # pixels of the page; the scale begins and ends at the edge


@dataclass(frozen=True)
class ScoreBar:
    """What a bar shows; lengths are pixels of the page.

    Attributes:
        at: of the score.
        spread: from the lowest to the highest score over the wordings; None where it is not known.
        zones: (kind, from, to), kinds "absent", "uncertain" and "present"; one "plain" zone without thresholds.
        words: all of it as a text.
    """

    at: float
    spread: tuple[float, float] | None
    zones: tuple[tuple[str, float, float], ...]
    words: str


def score_bar(finding: OrganFinding) -> ScoreBar | None:
    """Lay out the bar of a finding; None where it has no score."""
    if finding.score is None:
        return None
    spread = None if finding.spread is None else (_place(finding.spread[0]), _place(finding.spread[1]))
    return ScoreBar(_place(finding.score), spread, _zones(finding), _words(finding))


def _place(value: float) -> float:
    inner = WIDTH - 2 * EDGE
    return round(EDGE + inner * min(max(value, 0.0), 1.0), 1)


def _zones(finding: OrganFinding) -> tuple[tuple[str, float, float], ...]:
    low, high = finding.absent_below, finding.threshold
    if low is None and high is None:
        return (("plain", _place(0), _place(1)),)
    low, high = (high if low is None else low), (low if high is None else high)
    zones = (("absent", 0.0, low), ("uncertain", low, high), ("present", high, 1.0))
    return tuple((kind, _place(a), _place(b)) for kind, a, b in zones if a < b)


def _words(finding: OrganFinding) -> str:
    parts = [f"score {finding.score:.2f} of 1"]
    if finding.spread is not None:
        parts.append(f"single wordings {finding.spread[0]:.2f} to {finding.spread[1]:.2f}")
    if finding.absent_below is not None:
        parts.append(f"absent below {finding.absent_below:.2f}")
    if finding.threshold is not None:
        parts.append(f"present from {finding.threshold:.2f}")
    return ", ".join(parts).capitalize()
