"""The fusion study: what the scans of a study tell together, and what is left when some of them are missing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from medfm_core.errors import InputError
from medfm_core.progress import SILENT, Progress
from training.evaluation.bootstrap import BootstrapPlan
from training.evaluation.evaluate import Figure, Judged, compare, evaluate
from training.evaluation.fusion_probe import FusionPlan, FusionProbe, FusionRows, fit_fusion
from training.evaluation.linear_probe import ProbeRows, fit_linear_probe
from training.evaluation.metrics import scorers
from training.evaluation.study_scans import StudyScans
from training.heads.fusion import FusionShape, build_fusion

OWN = "linear probe"
METRICS = ("auroc", "auprc", "balanced_accuracy")
AS_FOUND = ("as found",)
RATES = {"average": 0.05}  # of learning: what differs between subjects is a tenth of what differs between tokens
RATE = 1e-3


@dataclass(frozen=True)
class FusionStudy:
    """What is asked.

    Attributes:
        fusions: of `training.heads.fusion.FUSIONS`.
        plan: how each is trained; its name, seed and learning rate are replaced.
        lr: peak learning rate; by default `RATES` of the fusion, else `RATE`.
        seeds: how often each is trained; figures are means.
        metrics: figures to report; differences are of the first one.
        intervals: how intervals are made.
    """

    fusions: tuple[str, ...] = ("product",)
    plan: FusionPlan = field(default_factory=FusionPlan)
    lr: float | None = None
    seeds: int = 3
    metrics: tuple[str, ...] = METRICS
    intervals: BootstrapPlan = field(default_factory=BootstrapPlan)

    def __post_init__(self) -> None:
        if self.seeds < 1:
            raise InputError(f"{self.seeds} seeds give no result", "give 1 or more")
        for name in self.fusions:
            self.plan_of(name, 0)  # which refuses what cannot be

    def plan_of(self, name: str, seed: int) -> FusionPlan:
        """How a fusion is trained."""
        lr = RATES.get(name, RATE) if self.lr is None else self.lr
        return replace(self.plan, fusion=name, seed=seed, lr=lr)


@dataclass(frozen=True, eq=False)
class FusionRow:
    """One model with some of the sequences.

    Attributes:
        model: a fusion, one on an encoder of random weights, or the linear probe of a single sequence.
        given: the sequences that it was given; `AS_FOUND` for those that each study has.
        rows: the studies that it was judged on.
        judged: its answers.
        figures: of them.
        details: seeds, or the regularisation.
        gains: by how much each fusion, given all sequences, is better on the same studies, by its name.
    """

    model: str
    given: tuple[str, ...]
    rows: np.ndarray
    judged: Judged
    figures: tuple[Figure, ...]
    details: dict[str, Any]
    gains: dict[str, Figure] = field(default_factory=dict)


def check_study(studies: StudyScans, study: FusionStudy) -> None:
    """Refuse what cannot be studied, before anything is encoded.

    Raises:
        InputError: a fusion cannot have so many sequences, nobody to learn from or to judge, or a metric is not known.
    """
    for name in study.fusions:
        build_fusion(name, FusionShape(8, 2, len(studies.sequences)))
    scorers("classification", studies.cohort.targets.names, study.metrics)
    train, test = (studies.cohort.rows(split) for split in ("train", "test"))
    for split, rows in (("train", train), ("test", test)):
        if not len(rows):
            raise InputError(f"no study of the split {split!r} has a known target", "check the manifest")
    for place, name in enumerate(studies.sequences):
        shown = studies.cohort.targets.values[train[studies.scans[train, place] >= 0]]
        if len(np.unique(shown)) < 2:
            raise InputError(f"the training studies that have {name} show fewer than two classes",
                             "check the target column and the splits, or leave it out by --sequence")  # fmt: skip
    if not len(studies.complete(test)):
        raise InputError(f"no test study has all of {', '.join(studies.sequences)}", "name fewer by --sequence")


def run_fusion_study(
    studies: StudyScans,
    features: Tensor,
    study: FusionStudy,
    random_features: Tensor | None = None,
    progress: Progress = SILENT,
) -> tuple[FusionRow, ...]:
    """Train fusions on `train`, keep the best epoch on `val`, and judge them on `test` with every set of sequences.

    All sets are judged on the same studies: those that have all sequences. Where others are in the test, one more row
    judges all of them with what they have.

    Args:
        studies: of the scans.
        features: tokens of every scan, `(R, N, F)`.
        study: what is asked.
        random_features: the same of the same encoder with random weights, as a baseline.
        progress: advances by fits.

    Returns:
        For each fusion its sets, the largest first; then the probes of single sequences and random weights.

    Raises:
        InputError: see `check_study`.
    """
    check_study(studies, study)
    test = studies.cohort.rows("test")
    complete = studies.complete(test)
    tokens = studies.tokens(features)
    fits = len(study.fusions) * study.seeds * (2 if random_features is not None else 1) + len(studies.sequences)
    rows: list[FusionRow] = []
    with progress.stage("Fusions", fits) as stage:
        for name in study.fusions:
            probes = _fit(studies, tokens, study, name, stage)
            for given in studies.sets():
                told = _told(probes, tokens, studies.only(given), complete)
                rows.append(_row(studies, study, name, (given, complete), told))
            if len(complete) < len(test):
                told = _told(probes, tokens, studies.present, test)
                rows.append(_row(studies, study, name, (AS_FOUND, test), told))
        for place, name in enumerate(studies.sequences):
            rows.append(_own(studies, tokens[:, place], study, name, complete))
            stage.advance()
        if random_features is not None:
            tokens = studies.tokens(random_features)
            for name in study.fusions:
                told = _told(_fit(studies, tokens, study, name, stage), tokens, studies.present, complete)
                model, place = f"{name}, random weights", (studies.sequences, complete)
                rows.append(_row(studies, study, model, place, told))
    return tuple(_with_gains(row, rows, studies, study) for row in rows)


def _fit(studies: StudyScans, tokens: Tensor, study: FusionStudy, name: str, stage: Any) -> list[FusionProbe]:
    cohort = studies.cohort
    parts = []
    for split in ("train", "val"):
        chosen = cohort.rows(split)
        pick = torch.from_numpy(chosen)
        parts.append(FusionRows(tokens[pick], studies.present[pick], cohort.targets.values[chosen]))
    validation = parts[1] if len(parts[1].classes) else None
    probes = []
    for seed in range(study.seeds):
        plan = study.plan_of(name, seed)
        probes.append(fit_fusion(parts[0], validation, plan, classes=len(cohort.targets.names)))
        stage.advance()
    return probes


def _told(probes: Sequence[FusionProbe], tokens: Tensor, present: Tensor, rows: np.ndarray) -> list[np.ndarray]:
    """Answers of each seed for some studies, `(rows, C)`."""
    pick = torch.from_numpy(rows)
    given, there = tokens[pick], present[pick]
    return [probe.predict(given, there) for probe in probes]


def _row(
    studies: StudyScans,
    study: FusionStudy,
    model: str,
    place: tuple[tuple[str, ...], np.ndarray],
    answers: Sequence[np.ndarray],
    details: dict[str, Any] | None = None,
) -> FusionRow:
    """Judge answers; `place` is what was given, and the studies that were answered for."""
    given, rows = place
    cohort = studies.cohort
    judged = Judged(cohort.targets.values[rows], tuple(answers), cohort.subjects_of(rows))
    asked = scorers("classification", cohort.targets.names, study.metrics)
    figures = evaluate(judged, asked, study.intervals)
    return FusionRow(model, given, rows, judged, figures, details or {"seeds": len(answers)})


def _own(studies: StudyScans, tokens: Tensor, study: FusionStudy, name: str, complete: np.ndarray) -> FusionRow:
    """The linear probe on the mean token of one sequence, from all training studies that have it."""
    cohort, place = studies.cohort, studies.sequences.index(name)
    vectors = tokens.double().mean(dim=1).numpy()
    parts = []
    for split in ("train", "val"):
        rows = cohort.rows(split)
        rows = rows[studies.scans[rows, place] >= 0]
        parts.append(ProbeRows(vectors[rows], cohort.targets.take(rows), cohort.subjects_of(rows)))
    probe = fit_linear_probe(parts[0], parts[1] if len(parts[1].subjects) else None)
    choice = {"strength": probe.choices[0].strength, "chosen_by": probe.choices[0].by}
    return _row(
        studies, study, OWN, ((name,), complete), [probe.predict(vectors[complete])], {"regularisation": choice}
    )


def _with_gains(row: FusionRow, rows: Sequence[FusionRow], studies: StudyScans, study: FusionStudy) -> FusionRow:
    """A row with what all sequences are worth beside it: to itself where it is a fusion, else to every fusion."""
    if row.given == AS_FOUND or (row.given == studies.sequences and row.model in study.fusions):
        return row
    asked = scorers("classification", studies.cohort.targets.names, study.metrics[:1])
    whole = {one.model: one for one in rows if one.given == studies.sequences and one.model in study.fusions}
    names = [row.model] if row.model in whole else [n for n in whole if row.model in (OWN, f"{n}, random weights")]
    return replace(
        row, gains={name: compare(whole[name].judged, row.judged, asked, study.intervals)[0] for name in names}
    )
