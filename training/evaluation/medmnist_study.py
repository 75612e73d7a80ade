"""The protocol of MedMNIST v2: fine-tune with several learning rates, keep the best on val, tell AUC and accuracy."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from torch import nn

from medfm_core.errors import InputError
from medfm_core.progress import SILENT, Progress
from training.data.medmnist import MedMnist, MedMnistConfig

LEARNING_RATES = (5e-7, 1e-6, 5e-6, 1e-5, 5e-5, 1e-4, 5e-4)


@dataclass(frozen=True)
class MedMnistStudy:
    """What is done.

    Attributes:
        file: npz file.
        out: folder of all runs.
        model: model section of a recipe, a `spad_encoder` or another network with tokens.
        start: run from which the weights come; None starts from random ones.
        learning_rates: that are tried.
        epochs: of each training.
        batch_size: images of a step.
        looks: checkpoints of each training that are judged on val.
        data: more entries of the data section: `side`, `fade`.
        run: more entries of the run section.
    """

    file: Path
    out: Path
    model: Mapping[str, Any]
    start: str | None = None
    learning_rates: tuple[float, ...] = LEARNING_RATES
    epochs: int = 100
    batch_size: int = 32
    looks: int = 10
    data: Mapping[str, Any] | None = None
    run: Mapping[str, Any] | None = None


def run_study(study: MedMnistStudy, progress: Progress = SILENT) -> dict[str, Any]:
    """Train with every learning rate and judge the best checkpoint of all on test.

    Returns:
        `tried`: val AUC of every checkpoint that was judged; `lr` and `step` of the best, and its `val` and `test`
        figures, `auc` and `accuracy`.

    Raises:
        InputError: the file is not usable, or a training was stopped.
    """
    sources = {split: MedMnist(_data(study, split)) for split in ("train", "val", "test")}
    tried: list[dict[str, Any]] = []
    for rate in study.learning_rates:
        folder = study.out / f"lr-{rate:g}"
        for path, step in _checkpoints(study, sources["train"], rate, folder):
            objective = _load(path, study)
            found = judge(objective, sources["val"], study.batch_size, progress)
            tried.append({"lr": rate, "step": step, "checkpoint": str(path), **found})
    best = max(tried, key=lambda one: one["auc"])
    test = judge(_load(Path(best["checkpoint"]), study), sources["test"], study.batch_size, progress)
    return {
        "tried": [{name: one[name] for name in ("lr", "step", "auc", "accuracy")} for one in tried],
        "lr": best["lr"], "step": best["step"],
        "val": {name: best[name] for name in ("auc", "accuracy")}, "test": test,
        "images": {split: len(source) for split, source in sources.items()},
    }  # fmt: skip


def judge(objective: nn.Module, source: MedMnist, batch_size: int, progress: Progress = SILENT) -> dict[str, float]:
    """AUC and accuracy of a trained objective on a split; see `auc` and `accuracy`."""
    from training.evaluation.features import Extraction, batches

    device = next(objective.parameters()).device
    answers = []
    with progress.stage("Judge", len(source)) as stage:
        for batch in batches(source, Extraction(batch_size=batch_size, device=str(device))):
            answers.append(objective.predict(batch).cpu().numpy())
            stage.advance(len(answers[-1]))
    scores = np.concatenate(answers)
    return {"auc": auc(source.labels, scores), "accuracy": accuracy(source.labels, scores)}


def auc(labels: np.ndarray, scores: np.ndarray) -> float:
    """Area under the curve as MedMNIST takes it: mean over labels, or over classes against the rest.

    Args:
        labels: `(N, L)`: several of 0 and 1, or one class number.
        scores: `(N, L)` or `(N, classes)`. Classes that are all or none of the images are left out.

    Raises:
        InputError: every class is left out.
    """
    from sklearn.metrics import roc_auc_score

    if labels.shape[1] == 1 and scores.shape[1] == 2:
        truths, columns = [labels[:, 0] == 1], [scores[:, 1]]
    elif labels.shape[1] == 1:
        truths, columns = [labels[:, 0] == n for n in range(scores.shape[1])], list(scores.T)
    else:
        truths, columns = list(labels.T > 0), list(scores.T)
    pairs = [(t, s) for t, s in zip(truths, columns, strict=True) if t.any() and not t.all()]
    if not pairs:
        raise InputError("all images are of one class", "use a file with several")
    return float(np.mean([roc_auc_score(truth, score) for truth, score in pairs]))


def accuracy(labels: np.ndarray, scores: np.ndarray) -> float:
    """Share of right answers: the likeliest class, or each label at one half; arguments as for `auc`."""
    if labels.shape[1] > 1:
        return float(((scores > 0.5) == (labels > 0)).mean())
    return float((scores.argmax(axis=1) == labels[:, 0]).mean())


def _data(study: MedMnistStudy, split: str) -> MedMnistConfig:
    return MedMnistConfig(str(study.file), split, **dict(study.data or {}))


def _checkpoints(study: MedMnistStudy, train_on: MedMnist, rate: float, folder: Path) -> Sequence[tuple[Path, int]]:
    from training.engine.config import recipe_from_data
    from training.engine.loop import train
    from training.engine.retention import find_checkpoints

    steps = max(1, study.epochs * len(train_on) // study.batch_size)
    every = max(1, steps // study.looks)
    several = train_on.is_multi_label
    outputs = train_on.labels.shape[1] if several else max(2, int(train_on.labels.max()) + 1)
    run = {"steps": steps, "batch_size": study.batch_size, "checkpoint_every": every, "keep_last": study.looks + 1,
           "start_from": study.start, "monitor_samples": 0, **dict(study.run or {})}  # fmt: skip
    plain = {
        "model": dict(study.model),
        "objective": {"name": "supervised", "task": "multi_label" if several else "classification",
                      "outputs": outputs, "head": "linear"},
        "data": {"name": "medmnist", "file": str(study.file), "split": "train", **dict(study.data or {})},
        "optim": {"lr": rate, "weight_decay": 0.01, "warmup_steps": min(20, steps)},
        "run": run,
        "monitor": {"probe_every": 0},
    }  # fmt: skip
    if train(recipe_from_data(plain, "MedMNIST"), folder).stopped_by is not None:
        raise InputError(f"the training in {folder} was stopped", "the same command goes on from here")
    return [(found.path, found.step) for found in find_checkpoints(folder / "checkpoints")]


def _load(path: Path, study: MedMnistStudy) -> nn.Module:
    from training.engine.processes import pick_device
    from training.engine.runs import load_run

    objective, recipe, _ = load_run(path)
    return objective.to(pick_device(recipe.run))
