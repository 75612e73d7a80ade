"""Studies of whole bodies, each with the organs that were imaged: tables from the manifest, the rest from files.

| organ | where its values are |
|---|---|
| table | manifest columns `feature.ORGAN.FIELD`; an empty cell is a measurement that is missing |
| vectors | tensor `ORGAN` `(n, values)` of the row's safetensors file, `n` up to the organ's count; NaN: missing |
| volume | tensor `ORGAN` `(C, D, H, W)` of the same file, in the model's size and intensities |

Measurements are standardised by mean and deviation of the training split, vectors on demand
(`training.data.vector_scales`); volumes stay as they are. Where the manifest's `organs` lists organs, an organ that is
not listed is missing whatever else is given.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from medfm_core.errors import InputError
from medfm_core.models.pan_fm_organs import OrganSpec, known_key, value_key
from medfm_core.strict import unknown_name
from training.data.manifest import ManifestRow, read_manifest
from training.data.organ_sets_config import OrganSetsConfig
from training.data.splits import ensure_splits
from training.data.vector_scales import VectorScale, vector_scale
from training.engine.draw import DrawKey

_FEWEST_FOR_SCALE = 2


class OrganSets:
    """The data source.

    Args:
        config: see `OrganSetsConfig`.

    Attributes:
        organs: as the configuration says.
        rows: studies of the split that show at least one organ.
        skipped: how many studies of the split show none.
        scales: mean and deviation of the fields of each table, `(2, fields)`.
        vector_scales: by organ, where vectors are standardised.

    Raises:
        InputError: the manifest lacks a column, or no study shows any organ.
    """

    def __init__(self, config: OrganSetsConfig) -> None:
        self.config, self.organs = config, config.specs
        needs_files = any(organ.kind != "table" for organ in self.organs)
        found = read_manifest(config.manifest, "exist" if needs_files else "none")
        self._manifest = ensure_splits(found, config.split_seed)
        self._check_columns(self._manifest.rows[0])
        self.targets = tuple(self._manifest.targets) if config.targets is None else config.targets
        for name in self.targets:
            if name not in self._manifest.targets:
                raise InputError(unknown_name("target", name, self._manifest.targets), "name columns of the manifest")
        self.scales = {o.name: self._scale(o) for o in self.organs if o.kind == "table"}
        self.vector_scales: dict[str, VectorScale] = {}
        if config.standardise_vectors:
            self.vector_scales = self._scales_of_vectors()
        rows = [row for row in self._manifest.rows if config.split in ("all", row.split)]
        self.rows = tuple(row for row in rows if any(known.any() for _, known in self._organs(row).values()))
        self.skipped = len(rows) - len(self.rows)
        if rows and not self.rows:
            raise InputError(
                f"none of the {len(rows)} studies of the split {config.split} shows any of the organs "
                f"{', '.join(organ.name for organ in self.organs)}",
                "check the manifest's columns and files",
            )

    def __len__(self) -> int:
        """Studies."""
        return len(self.rows)

    def sample(self, item: int, key: DrawKey | None = None) -> dict[str, Tensor]:
        """The organs of a study, `organ.NAME` and `known.NAME`; nothing is drawn.

        Raises:
            InputError: the study's file is damaged, or an organ has another shape.
        """
        sample: dict[str, Tensor] = {}
        for name, (values, known) in self._organs(self.rows[item]).items():
            sample[value_key(name)], sample[known_key(name)] = values, known
        return sample

    def batch(self, items: Sequence[int]) -> dict[str, Tensor]:
        """Several studies at once, `(B, ...)`."""
        samples = [self.sample(item) for item in items]
        return {name: torch.stack([sample[name] for sample in samples]) for name in samples[0]}

    def monitor_samples(self, count: int, seed: int) -> list[dict[str, Any]]:
        """Fixed studies of the validation split (of this source's own split if there is none), with targets."""
        rows = [row for row in self._manifest.rows if row.split == "val"] or list(self.rows)
        samples: list[dict[str, Any]] = []
        for row in rows:
            organs = self._organs(row)
            if len(samples) < count and any(known.any() for _, known in organs.values()):
                sample: dict[str, Any] = {value_key(name): values for name, (values, _) in organs.items()}
                sample |= {known_key(name): known for name, (_, known) in organs.items()}
                sample["subject"] = row.subject
                samples.append(sample | {f"target.{name}": row.targets[name] for name in self.targets})
        return samples

    def _organs(self, row: ManifestRow) -> dict[str, tuple[Tensor, Tensor]]:
        stored = _read(row.path) if any(organ.kind != "table" for organ in self.organs) else {}
        found = {}
        for organ in self.organs:
            values = torch.zeros(organ.shape)
            known = torch.zeros(organ.tokens, dtype=torch.bool)
            if row.organs is None or organ.name in row.organs:
                if organ.kind == "table":
                    self._fill_table(organ, row, values, known)
                elif organ.name in stored:
                    _fill(organ, stored[organ.name], values, known)
                    if organ.name in self.vector_scales:
                        values[known] = self.vector_scales[organ.name](values)[known]
            found[organ.name] = (values, known)
        return found

    def _fill_table(self, organ: OrganSpec, row: ManifestRow, values: Tensor, known: Tensor) -> None:
        cells = _cells(organ, row)
        there = np.isfinite(cells)
        mean, deviation = self.scales[organ.name]
        values[:] = torch.from_numpy(np.where(there, (cells - mean) / deviation, 0.0).astype(np.float32))
        known[:] = torch.from_numpy(there)

    def _scale(self, organ: OrganSpec) -> np.ndarray:
        rows = [row for row in self._manifest.rows if row.split == "train"] or list(self._manifest.rows)
        table = np.stack([_cells(organ, row) for row in rows])
        scale = np.tile(np.array([[0.0], [1.0]]), (1, table.shape[1]))
        for place in range(table.shape[1]):
            known = table[np.isfinite(table[:, place]), place]
            if len(known) >= _FEWEST_FOR_SCALE:
                scale[:, place] = known.mean(), max(known.std(), 1e-6 * max(1.0, abs(known.mean())))
        return scale

    def _scales_of_vectors(self) -> dict[str, VectorScale]:
        rows = [row for row in self._manifest.rows if row.split == "train"] or list(self._manifest.rows)
        seen = [self._organs(row) for row in rows]
        return {o.name: vector_scale([found[o.name] for found in seen]) for o in self.organs if o.kind == "vectors"}

    def _check_columns(self, row: ManifestRow) -> None:
        for organ in self.organs:
            for field in organ.fields:
                if f"{organ.name}.{field}" not in row.features:
                    known = [f"feature.{name}" for name in row.features]
                    column = f"feature.{organ.name}.{field}"
                    raise InputError(
                        f"the manifest {self.config.manifest}: {unknown_name('column', column, known)}",
                        f"add it, or leave the field out of the organ {organ.name}",
                    )


def _cells(organ: OrganSpec, row: ManifestRow) -> np.ndarray:
    """Measurements of a table, `(fields,)` float64, NaN where missing."""
    cells = [row.features[f"{organ.name}.{field}"] for field in organ.fields]
    return np.array([np.nan if cell is None else cell for cell in cells], dtype=np.float64)


def _fill(organ: OrganSpec, given: Tensor, values: Tensor, known: Tensor) -> None:
    """Put a stored tensor in its place; vectors may be fewer than the organ's count, and rows of NaN are missing."""
    is_vectors = organ.kind == "vectors"
    fits = given.ndim == 2 and given.shape[1] == organ.values and 1 <= len(given) <= organ.count
    if not (fits if is_vectors else tuple(given.shape) == organ.shape):
        raise InputError(
            f"an organ {organ.name} of a study has the shape {tuple(given.shape)}, and the model reads {organ.shape}",
            "prepare it as the model's architecture says",
        )
    there = ~given.isnan().all(dim=1) if is_vectors else torch.ones(organ.tokens, dtype=torch.bool)
    if not bool(torch.isfinite(given[there] if is_vectors else given).all()):
        raise InputError(f"an organ {organ.name} of a study holds values that are not finite", "compute it again")
    if is_vectors:
        values[: len(given)] = torch.where(there[:, None], given, 0).float()
    else:
        values[:] = given.float()
    known[: len(there)] = there


@lru_cache(maxsize=20_000)
def _read_small(path: Path) -> dict[str, Tensor]:
    try:
        return load_file(path)
    except (OSError, SafetensorError) as error:
        raise InputError("the organs of a study cannot be read: its file is damaged", f"make {path} anew") from error


def _read(path: Path) -> dict[str, Tensor]:
    """Read a study's file; small ones stay in memory."""
    if path.stat().st_size > 1 << 16:
        return _read_small.__wrapped__(path)
    return _read_small(path)
