"""What an evaluation was made on, for its heading and its JSON."""

from __future__ import annotations

from typing import Any

import numpy as np

from training.evaluation.bootstrap import BootstrapPlan
from training.evaluation.cohort import SPLITS, Cohort


def heading(cohort: Cohort, test: np.ndarray) -> str:
    """One line: the target, and on how many items (numbers `test`) of how many subjects it is judged."""
    labels = len(cohort.targets.names)
    what = f"{labels} labels" if cohort.targets.task == "multi_label" and labels > 3 else cohort.targets.name
    return f"{what}: {len(test)} test items of {len(set(cohort.subjects_of(test)))} subjects"


def facts(cohort: Cohort, intervals: BootstrapPlan) -> dict[str, Any]:
    """Target, task, names, items, subjects and classes of each split, and how intervals were made; plain data."""
    splits = {}
    for split in SPLITS:
        rows = cohort.rows(split)
        splits[split] = {"items": len(rows), "subjects": len(set(cohort.subjects_of(rows))), **_counts(cohort, rows)}
    return {
        "target": cohort.targets.name,
        "task": cohort.targets.task,
        "names": list(cohort.targets.names),
        "splits": splits,
        "intervals": {**vars(intervals), "resampled": "subjects"},
    }


def versions() -> dict[str, str]:
    """Of what computes the figures."""
    import sklearn
    import torch

    from medfm_core import __version__

    return {"medfm": __version__, "torch": torch.__version__, "scikit-learn": sklearn.__version__}


def _counts(cohort: Cohort, rows: np.ndarray) -> dict[str, Any]:
    targets = cohort.targets.take(rows)
    if targets.task == "regression":
        return {}
    if targets.task == "classification":
        counts = np.bincount(targets.values.astype(int), minlength=len(targets.names)) if len(rows) else []
        return {"classes": {name: int(count) for name, count in zip(targets.names, counts, strict=False)}}
    if targets.task == "survival":
        return {"events": int((targets.values[:, 1] == 1).sum())}
    positive = (targets.values == 1).sum(0)
    return {"positives": {name: int(count) for name, count in zip(targets.names, positive, strict=True)}}
