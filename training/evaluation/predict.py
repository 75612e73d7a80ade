"""Predictions of a trained objective, item by item, and the CSV file that holds them."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from torch import nn

from medfm_core.errors import InputError
from medfm_core.io.atomic import atomic_text
from medfm_core.progress import SILENT, Progress
from training.engine.draw import DrawKey
from training.evaluation.cohort import Cohort, Targets
from training.evaluation.features import Extraction, Source, batches


class Selection:
    """Some items of a source, as a source of its own; each is drawn as in the whole.

    Args:
        source: all items.
        rows: numbers of those wanted.
    """

    def __init__(self, source: Source, rows: Sequence[int]) -> None:
        self._source, self._rows = source, [int(row) for row in rows]

    def __len__(self) -> int:
        return len(self._rows)

    def sample(self, item: int, key: DrawKey) -> dict:
        """One of them."""
        row = self._rows[item]
        return self._source.sample(row, DrawKey(key.seed, row))


def predict(
    objective: nn.Module, source: Source, extraction: Extraction | None = None, progress: Progress = SILENT
) -> np.ndarray:
    """Let an objective with `predict(batch)` predict every item of a source.

    Args:
        objective: such as `Supervised`; it is left in the mode that it was in.
        source: the items; see `Selection` for a split alone.
        extraction: batch size, device, seed and workers.
        progress: advances by items.

    Returns:
        Predictions of all items, `(items, ...)` float32: probabilities or quantities; a single quantity as `(items,)`.

    Raises:
        InputError: the source is empty, or the objective does not predict.
    """
    extraction = extraction or Extraction()
    if not hasattr(objective, "predict"):
        raise InputError(f"{type(objective).__name__} does not predict", "give a run of supervised training")
    if not len(source):
        raise InputError("there is nothing to predict", "check the split")
    was_training, found = objective.training, []
    objective.to(extraction.device).eval()
    try:
        with progress.stage("Predict", len(source)) as stage:
            for batch in batches(source, extraction):
                found.append(objective.predict(batch).float().cpu().numpy())
                stage.advance(len(found[-1]))
    finally:
        objective.train(was_training)
    answers = np.concatenate(found)
    return answers[:, 0] if answers.shape[1:] == (1,) else answers


def write_predictions(path: Path, cohort: Cohort, rows: np.ndarray, predictions: np.ndarray) -> None:
    """Write one line per item: subject, study, split, its target, and what was predicted.

    A class is written by its name with the probability of each; a label as 0 or 1 with its probability; an event with
    its time and the log hazard, of which only the order counts; what is not known is empty.

    Args:
        path: a .csv file, made whole or not at all.
        cohort: who.
        rows: item numbers in the cohort.
        predictions: of these items, `(rows, C)`, `(rows, L)` or `(rows,)`.

    Raises:
        InputError: the numbers of items or columns do not fit.
    """
    targets = cohort.targets.take(rows)
    width = () if targets.task in ("regression", "survival") else (len(targets.names),)
    if predictions.shape != (len(rows), *width):
        raise InputError(f"predictions {predictions.shape} do not fit {len(rows)} items", "predict the same items")
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(["subject", "study", "split", *_columns(targets)])
    for place, row in enumerate(rows):
        cells = _cells(targets, targets.values[place], predictions[place])
        writer.writerow([cohort.subjects[row], cohort.studies[row], cohort.splits[row], *cells])
    atomic_text(path, out.getvalue())


def _columns(targets: Targets) -> list[str]:
    if targets.task == "regression":
        return ["target", "prediction"]
    if targets.task == "survival":
        return ["time", "event", "log_hazard"]
    if targets.task == "classification":
        return ["target", "prediction", *(f"probability_{name}" for name in targets.names)]
    return [column for name in targets.names for column in (f"target_{name}", f"probability_{name}")]


def _cells(targets: Targets, value: np.ndarray, answer: np.ndarray) -> list[str]:
    if targets.task == "regression":
        return [_number(value), _number(answer)]
    if targets.task == "survival":
        return [*map(_number, value), _number(answer)]
    if targets.task == "classification":
        known = targets.names[int(value)] if value >= 0 else ""
        return [known, targets.names[int(answer.argmax())], *map(_number, answer)]
    known_labels = [str(int(label)) if label >= 0 else "" for label in value]
    return [cell for pair in zip(known_labels, map(_number, answer), strict=True) for cell in pair]


def _number(value: float) -> str:
    return f"{float(value):.6g}" if np.isfinite(value) else ""
