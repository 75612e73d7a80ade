"""The figures of merit of each task by name, behind one function."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from medfm_core.errors import InputError
from medfm_core.strict import unknown_name
from training.evaluation import classification, multi_label, regression
from training.evaluation.score import Score, mean_of
from training.evaluation.segmentation import mean_dice
from training.evaluation.survival import concordance

TASKS = ("classification", "multi_label", "regression", "segmentation", "survival")
LOWER_IS_BETTER = ("brier", "calibration_error", "mae", "rmse")
PRIMARY = {
    "classification": "auroc",
    "multi_label": "auroc",
    "regression": "r2",
    "segmentation": "dice",
    "survival": "concordance",
}
TITLES = {
    "auroc": "AUROC",
    "auprc": "AUPRC",
    "balanced_accuracy": "balanced accuracy",
    "accuracy": "accuracy",
    "f1": "F1",
    "brier": "Brier score",
    "calibration_error": "calibration error",
    "mae": "mean absolute error",
    "rmse": "root mean squared error",
    "r2": "R²",
    "pearson": "Pearson's r",
    "spearman": "Spearman's rho",
    "dice": "Dice",
    "concordance": "concordance index",
}
_REGRESSION = {name: getattr(regression, name) for name in ("mae", "rmse", "r2", "pearson", "spearman")}


@dataclass(frozen=True)
class Scorer:
    """Scores predictions by one figure.

    Attributes:
        task: one of `TASKS`.
        metric: its name.
        names: classes of a classification or segmentation, labels, or names of the target quantities.
    """

    task: str
    metric: str
    names: tuple[str, ...]

    def __post_init__(self) -> None:
        known = metric_names(self.task)
        if self.metric not in known:
            raise InputError(unknown_name(f"metric of {self.task}", self.metric, known), "choose one of them")

    @property
    def lower_is_better(self) -> bool:
        """Whether a smaller figure is the better one."""
        return self.metric in LOWER_IS_BETTER

    def __call__(self, target: np.ndarray, prediction: np.ndarray) -> Score:
        """Score predictions.

        Args:
            target: `(N,)` class numbers with -1 or NaN for unknown; `(N, L)` labels; `(N,)` or `(N, T)` quantities with
                NaN for unknown; times and events `(N, 2)`; for a segmentation it is not read.
            prediction: probabilities `(N, C)` or `(N, L)`; quantities like the target; risks `(N,)`; for a segmentation
                the Dice of every case and class `(N, C)`, NaN where the class is absent.

        Raises:
            InputError: the shapes do not fit.
        """
        self._check(target, prediction)
        if self.task == "classification":
            return self._named(getattr(classification, self.metric)(target, prediction))
        if self.task == "multi_label":
            return multi_label.per_label(multi_label.figures()[self.metric], target, prediction, self.names)
        if self.task == "segmentation":
            return mean_dice(prediction, self.names)
        if self.task == "survival":
            return concordance(target, prediction)
        figure = _REGRESSION[self.metric]
        if prediction.ndim == 1:
            return figure(target, prediction)
        columns = zip(self.names, target.T, prediction.T, strict=True)
        return mean_of({name: figure(true, answer) for name, true, answer in columns}, len(target))

    def _named(self, score: Score) -> Score:
        """Classes by their names instead of their numbers."""
        if not score.parts:
            return score
        parts = {self.names[int(number)]: part for number, part in score.parts.items()}
        return mean_of(parts, score.count)

    def _check(self, target: np.ndarray, prediction: np.ndarray) -> None:
        width = len(self.names)
        ok = {
            "classification": target.ndim == 1 and prediction.shape == (len(target), width) and width > 1,
            "multi_label": target.shape == prediction.shape and prediction.shape[1:] == (width,),
            "regression": target.shape == prediction.shape
            and (prediction.ndim == 1 or prediction.shape[1:] == (width,)),
            "segmentation": prediction.ndim == 2 and prediction.shape[1] == width,
            "survival": target.shape == (len(prediction), 2) and prediction.ndim == 1,
        }[self.task]
        if not ok:
            raise InputError(
                f"predictions of shape {prediction.shape} do not fit targets of shape {target.shape} and {width} names",
                f"check the outputs of this {self.task}",
            )


def metric_names(task: str) -> tuple[str, ...]:
    """The figures of a task, the primary one first.

    Raises:
        InputError: there is no such task.
    """
    if task not in TASKS:
        raise InputError(unknown_name("task", task, TASKS), "choose one of them")
    if task in ("segmentation", "survival"):
        return (PRIMARY[task],)
    names = tuple(_REGRESSION) if task == "regression" else tuple(multi_label.figures())
    return (PRIMARY[task], *(name for name in names if name != PRIMARY[task]))


def scorers(task: str, names: Sequence[str], metrics: Sequence[str] | None = None) -> tuple[Scorer, ...]:
    """The scorers of a task; all of its figures by default."""
    return tuple(Scorer(task, metric, tuple(names)) for metric in metrics or metric_names(task))
