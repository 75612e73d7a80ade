"""Several frozen encoders side by side: what a linear probe reads from each, of all targets, from all labels and few.

Every target has one figure: AUROC of classes, Spearman's correlation of quantities. Their mean is taken of what lies
above chance: `2 * AUROC - 1` and the correlation, which are both 0 for answers by chance and 1 for perfect ones.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from torch import Tensor

from medfm_core.errors import InputError
from medfm_core.progress import SILENT, Progress
from training.evaluation.bootstrap import BootstrapPlan, Estimate, Statistic, bootstrap, paired_difference
from training.evaluation.cohort import Cohort, Targets
from training.evaluation.few_shot_targets import few_shot_targets
from training.evaluation.linear_probe import ProbeRows, fit_linear_probe
from training.evaluation.metrics import Scorer, scorers

FIGURES = {"classification": "auroc", "regression": "spearman"}
QUARTERS = 4  # that few shots of a quantity are drawn from
FEWEST_VALIDATION = 50  # subjects; fewer choose a regularisation by luck


@dataclass(frozen=True)
class TableStudy:
    """What is asked.

    Attributes:
        shots: labelled scans per class, of a quantity in all, in the rows of few labels; 0 for no such rows.
        draws: of them.
        intervals: how intervals are made.
        columns: names of the cohorts whose figures a column takes the mean of, by its heading; the cohorts of a column
            ask for the same in different items. None: a column per cohort.
    """

    shots: int = 16
    draws: int = 3
    intervals: BootstrapPlan = field(default_factory=BootstrapPlan)
    columns: Mapping[str, Sequence[str]] | None = None

    def columns_of(self, cohorts: Mapping[str, Cohort]) -> dict[str, tuple[str, ...]]:
        """Names of the cohorts of every column, by its heading."""
        wanted = self.columns or {name: (name,) for name in cohorts}
        return {heading: tuple(names) for heading, names in wanted.items()}

    def __post_init__(self) -> None:
        if self.shots and self.shots < QUARTERS:
            raise InputError(f"{self.shots} shots are too few", f"give {QUARTERS} or more, or 0 for none")
        if self.draws < 1:
            raise InputError(f"{self.draws} draws give no result", "give 1 or more")


@dataclass(frozen=True, eq=False)
class Entry:
    """What a model answers.

    Attributes:
        model: its name.
        shots: as in `TableStudy`; None for all labels.
        predictions: by cohort, one array per draw for the items of `test`, see `Scorer`.
        details: whatever the JSON should say of it.
    """

    model: str
    shots: int | None
    predictions: Mapping[str, tuple[np.ndarray, ...]]
    details: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class TableRow:
    """A line of the table.

    Attributes:
        entry: whose.
        figures: by column, with intervals over subjects.
        mean: over the columns, of what lies above chance.
        lead: how far the reference's mean lies above this one on the same subjects; None for the reference.
        others: every other figure by cohort and metric, without intervals.
    """

    entry: Entry
    figures: Mapping[str, Estimate]
    mean: Estimate
    lead: Estimate | None
    others: Mapping[str, Mapping[str, float | None]]


def drawn_labels(cohort: Cohort, study: TableStudy, draw: int) -> Targets:
    """The few labels of a draw: `shots` per class, of a quantity a quarter of them from each quarter of its range."""
    shots = study.shots // QUARTERS if cohort.targets.task == "regression" else study.shots
    return few_shot_targets(cohort, shots, draw)


def has_validation(cohort: Cohort) -> bool:
    """Whether enough subjects are in `val` for it to choose something."""
    return len(set(cohort.subjects_of(cohort.rows("val")))) >= FEWEST_VALIDATION


def probe_entries(
    model: str, features: Tensor, cohorts: Mapping[str, Cohort], study: TableStudy, progress: Progress = SILENT
) -> list[Entry]:
    """Fit linear probes on frozen features: one entry from all labels, and one from few.

    Args:
        model: name of the encoder.
        features: `(N, F)`, of every item.
        cohorts: by name, of the same items. Where all labels are there, `val` chooses the regularisation; if it has
            too few subjects (see `has_validation`), its items are trained on too, and inner folds choose.
        study: what is asked.
        progress: advances by cohorts; may cancel.

    Raises:
        InputError: features do not fit, are not finite, or there are fewer labels than shots.
    """
    wrong = [name for name, cohort in cohorts.items() if len(cohort) != len(features)]
    if wrong:
        raise InputError(f"{len(features)} features do not fit the items of {wrong[0]}", "encode the same items")
    values = features.double().numpy()
    whole, few, details = {}, {}, {}
    with progress.stage(f"Probes on {model}", len(cohorts)) as stage:
        for name, cohort in cohorts.items():
            test = values[cohort.rows("test", known=False)]
            parts = ("train",), ("val",)
            if not has_validation(cohort):
                parts = (("train", "val"),)
            probe = fit_linear_probe(*(_rows(cohort, values, cohort.targets, *splits) for splits in parts))
            whole[name] = (probe.predict(test),)
            details[name] = {"strength": probe.choices[0].strength, "chosen_by": probe.choices[0].by}
            if study.shots:
                fitted = [
                    fit_linear_probe(_rows(cohort, values, drawn_labels(cohort, study, draw), "train"), seed=draw)
                    for draw in range(study.draws)
                ]
                few[name] = tuple(one.predict(test) for one in fitted)
            stage.advance()
    entries = [Entry(model, None, whole, {"regularisation": details})]
    return [*entries, Entry(model, study.shots, few)] if study.shots else entries


def table_rows(
    entries: Sequence[Entry], cohorts: Mapping[str, Cohort], study: TableStudy, progress: Progress = SILENT
) -> tuple[TableRow, ...]:
    """Score all entries on the same held-out subjects, and set the first model's lead beside each.

    Args:
        entries: those of one number of labels are compared with each other.
        cohorts: by name, of the same items.
        study: how.
        progress: advances by entries; may cancel.
    """
    any_cohort = next(iter(cohorts.values()))
    subjects = any_cohort.subjects_of(any_cohort.rows("test", known=False))
    columns = study.columns_of(cohorts)
    scored = {id(entry): _Scored(entry, cohorts, columns) for entry in entries}
    first: dict[int | None, Entry] = {}
    for entry in entries:
        if entry.model == entries[0].model:
            first.setdefault(entry.shots, entry)
    rows = []
    with progress.stage("Intervals", len(entries)) as stage:
        for entry in entries:
            *figures, mean = bootstrap(scored[id(entry)], subjects, study.intervals)
            other, lead = first.get(entry.shots), None
            if other is not None and other is not entry:
                pair: list[Statistic] = [scored[id(one)].mean for one in (other, entry)]
                lead = paired_difference(*pair, subjects, study.intervals)[0]
            named = dict(zip(columns, figures, strict=True))
            rows.append(TableRow(entry, named, mean, lead, _others(entry, cohorts)))
            stage.advance()
    return tuple(rows)


class _Scored:
    """The figures of an entry, of any test rows; what was scored once is remembered.

    All resamples come from one seed, so that the differences between models need no new scores.
    """

    def __init__(self, entry: Entry, cohorts: Mapping[str, Cohort], columns: Mapping[str, tuple[str, ...]]) -> None:
        self._columns = []
        for names in columns.values():
            parts = []
            for cohort, predictions in ((cohorts[name], entry.predictions[name]) for name in names):
                target = cohort.targets.values[cohort.rows("test", known=False)]
                parts.append((_scorer(cohort.targets), target, predictions))
            self._columns.append(parts)
        self._known: dict[bytes, np.ndarray] = {}

    def __call__(self, rows: np.ndarray) -> np.ndarray:
        """One figure per column and their mean above chance."""
        key = hashlib.blake2b(np.ascontiguousarray(rows).tobytes(), digest_size=16).digest()
        if key not in self._known:
            values = np.array([
                np.mean([
                    scorer(target[rows], one[rows]).number
                    for scorer, target, predictions in parts
                    for one in predictions
                ])
                for parts in self._columns
            ])  # fmt: skip
            is_area = np.array([parts[0][0].metric == "auroc" for parts in self._columns])
            self._known[key] = np.append(values, np.where(is_area, 2 * values - 1, values).mean())
        return self._known[key]

    def mean(self, rows: np.ndarray) -> np.ndarray:
        """The mean above chance alone, `(1,)`."""
        return self(rows)[-1:]


def _scorer(targets: Targets) -> Scorer:
    if targets.task not in FIGURES:
        raise InputError(f"the target {targets.name!r} is a {targets.task}", "name a class or a quantity")
    return Scorer(targets.task, FIGURES[targets.task], targets.names)


def _others(entry: Entry, cohorts: Mapping[str, Cohort]) -> dict[str, dict[str, float | None]]:
    found = {}
    for name, cohort in cohorts.items():
        targets, test = cohort.targets, cohort.rows("test", known=False)
        values = {}
        for scorer in scorers(targets.task, targets.names):
            if scorer.metric != FIGURES[targets.task]:
                scores = [scorer(targets.values[test], one).number for one in entry.predictions[name]]
                values[scorer.metric] = None if np.isnan(scores).any() else float(np.mean(scores))
        found[name] = values
    return found


def _rows(cohort: Cohort, values: np.ndarray, targets: Targets, *splits: str) -> ProbeRows:
    """The rows of splits whose target is known in `targets`."""
    rows = np.flatnonzero(np.isin(cohort.splits, splits) & targets.known)
    return ProbeRows(values[rows], targets.take(rows), cohort.subjects_of(rows))
