"""How well predicted risks put patients in the order of their events."""

from __future__ import annotations

import numpy as np

from training.evaluation.score import Score

_ROWS = 512  # compared with all others at a time


def concordance(target: np.ndarray, risk: np.ndarray) -> Score:
    """Harrell's index: the share of comparable pairs whose risks are in the right order; equal risks count one half.

    A pair can be compared where the event of the one came before the end of the other's observation; at equal times,
    where one had the event and the other had not. Two events at one time say nothing.

    Args:
        target: time and event, `(N, 2)`; NaN for unknown; times that are not above 0 are left out.
        risk: `(N,)`, higher for an earlier event.

    Source: Harrell 1982; a constant risk gives 0.5, which the index of Neuro-JEPA's code does not (spec, section 14).
    """
    time, event = np.asarray(target, np.float64).T
    known = np.isfinite(time) & np.isfinite(event) & (time > 0)
    time, event, risk = time[known], event[known] > 0, np.asarray(risk, np.float64)[known]
    if not known.any():
        return Score(None, "no time is known", 0)
    if not np.isfinite(risk).all():
        return Score(None, f"{int((~np.isfinite(risk)).sum())} of {len(risk)} risks are not finite", len(risk))
    right, equal, pairs = 0, 0, 0
    early = np.flatnonzero(event)
    for first in range(0, len(early), _ROWS):
        rows = early[first : first + _ROWS, None]
        later = (time[rows] < time) | ((time[rows] == time) & ~event)
        pairs += int(later.sum())
        right += int((later & (risk[rows] > risk)).sum())
        equal += int((later & (risk[rows] == risk)).sum())
    if not pairs:
        return Score(None, "no two patients can be compared", len(risk))
    return Score((right + equal / 2) / pairs, count=len(risk))
