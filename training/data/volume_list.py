"""Which stored volumes a data source draws from: the rows of a manifest's split, each with its key."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from pathlib import Path

from medfm_core.errors import InputError
from training.data.manifest import Manifest, ManifestRow, TargetColumn, read_manifest
from training.data.preparation import PreparationPlan
from training.data.preparing_row import row_preparation
from training.data.shard_store import ShardStore
from training.data.shards import SHARDS
from training.data.splits import Fractions, check_leakage, ensure_splits
from training.data.store import VolumeStore
from training.data.store_index import INDEX, IndexEntry, StoreIndex

log = logging.getLogger(__name__)

PREPARE = "run `python -m training.prepare` with this manifest, store and card"


@dataclass(frozen=True)
class StoredRows:
    """Rows with their keys.

    Attributes:
        store: where the volumes lie.
        rows: all rows that are stored, each with its split, in the manifest's order.
        keys: of the rows.
        targets: the manifest's columns of targets.
    """

    store: VolumeStore | ShardStore
    rows: tuple[ManifestRow, ...]
    keys: tuple[str, ...]
    targets: dict[str, TargetColumn]

    def of_split(self, split: str) -> tuple[tuple[ManifestRow, ...], tuple[str, ...]]:
        """The rows and keys of a split; "all" gives all."""
        chosen = [i for i, row in enumerate(self.rows) if split in ("all", row.split)]
        return tuple(self.rows[i] for i in chosen), tuple(self.keys[i] for i in chosen)


@dataclass(frozen=True)
class WhereStored:
    """Where the volumes of a manifest lie.

    Attributes:
        manifest: its path; "" takes the one that shards carry.
        store: folder of a store or of shards, or a URL of shards.
        cache: folder for shards from elsewhere.
        cache_gb: what it may hold.
        split_seed: of the splits, where the manifest has none.
        fractions: of the splits, where the manifest has none.
        skip_failed: leave out rows that could not be prepared, instead of refusing to begin.
    """

    manifest: str
    store: str
    cache: str | None = None
    cache_gb: float = 50.0
    split_seed: int = 0
    fractions: Fractions = field(default_factory=Fractions)
    skip_failed: bool = False


def find_rows(where: WhereStored, plan: PreparationPlan) -> StoredRows:
    """Find the volumes of a manifest in a store.

    Raises:
        InputError: the manifest is not sound, rows are not prepared, or anything is in two splits.
        ResourceError: shards cannot be reached.
    """
    is_shards = "://" in where.store or (Path(where.store) / SHARDS).is_file()
    store: VolumeStore | ShardStore
    if is_shards:
        store = index = ShardStore(where.store, where.cache, where.cache_gb)
        path = Path(where.manifest) if where.manifest else store.manifest_path()
    else:
        store, path = VolumeStore(where.store), Path(where.manifest)
        index = StoreIndex(store.folder / INDEX)
        if not len(index):
            raise InputError(f"the store {where.store} holds nothing", PREPARE)
    manifest = ensure_splits(read_manifest(path, files="none"), where.split_seed, where.fractions)
    entries = [index.find(row_preparation(plan, row), row.identity) for row in manifest.rows]
    rows, keys = _stored(manifest, entries, where)
    contents = {e.identity: e.content for e in entries if e is not None and e.content}
    check_leakage(Manifest(manifest.path, rows, manifest.targets), contents)
    return StoredRows(store, rows, keys, dict(manifest.targets))


def _stored(
    manifest: Manifest, entries: list[IndexEntry | None], where: WhereStored
) -> tuple[tuple[ManifestRow, ...], tuple[str, ...]]:
    """Rows and keys of what is stored.

    Raises:
        InputError: rows are missing, or failed and are not to be skipped.
    """
    pairs = list(zip(manifest.rows, entries, strict=True))
    missing = [row.number for row, entry in pairs if entry is None]
    failed = [row.number for row, entry in pairs if entry is not None and entry.key is None]
    if missing:
        raise InputError(f"{_rows(missing)} of {manifest.path} not prepared for this card in {where.store}", PREPARE)
    if failed and not where.skip_failed:
        raise InputError(
            f"{_rows(failed)} of {manifest.path} could not be prepared (qc.html of the store says why)",
            "take them out of the manifest, or set data.skip_failed",
        )
    if failed:
        log.warning("%d of %d rows could not be prepared and are left out", len(failed), len(pairs))
    kept = [(row, entry.key) for row, entry in pairs if entry is not None and entry.key is not None]
    return tuple(row for row, _ in kept), tuple(key for _, key in kept)


def _rows(numbers: list[int]) -> str:
    some = ", ".join(str(number) for number in numbers[:10])
    more = f" and {len(numbers) - 10} more" if len(numbers) > 10 else ""
    return f"row{'s' * (len(numbers) > 1)} {some}{more}"
