"""The studies of a cohort as arrays: organs, diseases, covariates, by split."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import torch
from torch import Tensor

from medfm_core.errors import InputError
from medfm_core.models.pan_fm_organs import OrganSpec, known_key, value_key
from training.data.manifest import ManifestRow
from training.data.organ_sets import OrganSets
from training.data.organ_sets_config import OrganSetsConfig
from training.evaluation.cohort import Targets
from training.evaluation.linear_probe import ProbeRows
from training.objectives.organ_attention import without_organs


@dataclass(frozen=True, eq=False)
class StudyPart:
    """The studies of one split.

    Attributes:
        organs: how the organs come.
        batch: `organ.NAME` and `known.NAME` of all studies.
        labels: diseases, 1, 0, or -1 where not known, `(S, L)`.
        diseases: their names.
        covariates: age, sex and sites, `(S, C)`.
        subjects: who each is of.
        would_miss: organs that the study would lack if it were not complete by design, `(S, O)` bool.
        events: names of what may happen later; empty where no times are known.
        time: until it happens or the end of what was observed, `(S, D)`, NaN where not known.
        event: whether it happens, `(S, D)`.
    """

    organs: tuple[OrganSpec, ...]
    batch: dict[str, Tensor]
    labels: np.ndarray
    diseases: tuple[str, ...]
    covariates: np.ndarray
    subjects: tuple[str, ...]
    would_miss: np.ndarray
    events: tuple[str, ...] = ()
    time: np.ndarray = field(default_factory=lambda: np.empty((0, 0)))
    event: np.ndarray = field(default_factory=lambda: np.empty((0, 0)))

    def __len__(self) -> int:
        return len(self.subjects)

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the organs."""
        return tuple(organ.name for organ in self.organs)

    @property
    def present(self) -> np.ndarray:
        """Which organs each study has, `(S, O)` bool."""
        return np.stack([self.batch[known_key(name)].any(dim=1).numpy() for name in self.names], axis=1)

    def keeping(self, kept: np.ndarray) -> StudyPart:
        """The same studies with fewer organs."""
        return replace(self, batch=without_organs(self.batch, self.names, torch.from_numpy(kept)))

    def take(self, rows: np.ndarray) -> StudyPart:
        """Some of the studies."""
        batch = {name: value[rows] for name, value in self.batch.items()}
        subjects = tuple(self.subjects[row] for row in rows)
        times = (self.time[rows], self.event[rows]) if self.events else (self.time, self.event)
        return StudyPart(self.organs, batch, self.labels[rows], self.diseases, self.covariates[rows], subjects,
                         self.would_miss[rows], self.events, *times)  # fmt: skip

    def flat(self, organs: Sequence[str] | None = None) -> np.ndarray:
        """Raw values of organs side by side, `(S, F)`, NaN where missing; volumes by their mean and deviation."""
        return np.concatenate([_flat(o, self.batch) for o in self.organs if organs is None or o.name in organs], axis=1)

    def rows(self, features: np.ndarray) -> ProbeRows:
        """Features of these studies with their diseases, for a probe."""
        return ProbeRows(features, Targets("multi_label", self.labels, self.diseases, "diseases"), self.subjects)


def read_parts(config: OrganSetsConfig, diseases: Sequence[str] | None = None) -> dict[str, StudyPart]:
    """Read the splits train, val and test of a manifest.

    Args:
        config: which manifest, and how organs come; its split does not count.
        diseases: target columns of 1 and 0; None for all such columns.

    Raises:
        InputError: a split is empty, or a target is not of 1 and 0.
    """
    sources = {split: OrganSets(replace(config, split=split)) for split in ("train", "val", "test")}
    for split, source in sources.items():
        if not len(source):
            raise InputError(f"the manifest {config.manifest} has no studies in the split {split}", "add some")
    names = tuple(diseases or _binary(sources["train"]))
    sites = sorted({row.info.get("site", "") for row in sources["train"].rows})
    return {split: _part(source, names, sites) for split, source in sources.items()}


def _part(source: OrganSets, diseases: tuple[str, ...], sites: list[str]) -> StudyPart:
    rows = source.rows
    labels = np.array([[_label(row, name) for name in diseases] for row in rows])
    lacking = [row.info.get("would_miss", "").split(";") for row in rows]
    would = np.array([[organ.name in names for organ in source.organs] for names in lacking])
    covariates = np.stack([_covariates(row, sites) for row in rows])
    events = tuple(rows[0].times)
    times, happened = (np.array([[_or_nan(cells(row)[name]) for name in events] for row in rows])
                       for cells in (lambda row: row.times, lambda row: row.events))  # fmt: skip
    return StudyPart(source.organs, source.batch(range(len(source))), labels, diseases, covariates,
                     tuple(row.subject for row in rows), would, events, times, np.nan_to_num(happened))  # fmt: skip


def _binary(source: OrganSets) -> list[str]:
    names = [name for name in source.targets if {row.targets[name] for row in source.rows} <= {0.0, 1.0, None}]
    if not names:
        raise InputError("the manifest has no target column of 1 and 0", "add target.DISEASE columns")
    return names


def _label(row: ManifestRow, name: str) -> int:
    value = row.targets.get(name)
    if value not in (0.0, 1.0, None):
        raise InputError(f"target.{name} holds {value!r}", "give 1, 0 or nothing")
    return -1 if value is None else int(value)


def _or_nan(value: float | None) -> float:
    return float("nan") if value is None else value


def _covariates(row: ManifestRow, sites: list[str]) -> np.ndarray:
    """Age and sex, 0 where missing, and which site."""
    known = [row.features.get(name) for name in ("age", "sex")]
    own = row.info.get("site", "")
    return np.array([0.0 if value is None else value for value in known] + [float(own == site) for site in sites[1:]])


def _flat(organ: OrganSpec, batch: dict[str, Tensor]) -> np.ndarray:
    values, known = batch[value_key(organ.name)], batch[known_key(organ.name)]
    if organ.kind == "volume":
        flat = values.flatten(1)
        values, known = torch.stack([flat.mean(1), flat.std(1)], dim=1), known.any(dim=1, keepdim=True).expand(-1, 2)
    elif organ.kind == "vectors":
        known = known[..., None].expand_as(values)
    return torch.where(known, values, float("nan")).flatten(1).double().numpy()
