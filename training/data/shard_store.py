"""Shards as a store: the same volumes and crops, read from tar files here or fetched from elsewhere when needed."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from medfm_core.errors import InputError, ResourceError
from medfm_core.io.atomic import atomic_write
from medfm_core.strict import from_dict
from training.data.shards import MANIFEST, SAMPLES, SHARDS, VERSION
from training.data.store_index import IndexEntry
from training.data.store_writing import FACTS, IMAGE, LABELS
from training.data.stored_volume import FilePart, StoredVolume
from training.engine.draw import DrawKey

_ATTEMPTS = 5


@dataclass(frozen=True)
class ShardSample:
    """One volume in the shards.

    Attributes:
        shard: number of its shard.
        entry: which manifest row it is.
        parts: where its files lie in the shard, (offset, bytes) by name.
    """

    shard: int
    entry: IndexEntry
    parts: Mapping[str, tuple[int, int]]


class ShardStore:
    """Volumes of a folder of shards, local or at any address that fsspec knows (`s3://`, `https://`, `gs://`, ...).

    Args:
        address: folder or URL that holds `shards.json`.
        cache: folder that shards from elsewhere are kept in; needed for URLs only.
        cache_gb: what the cache may hold; the shards that were not used for longest go first. Give room for at least
            the shards that `ShardOrder` mixes, for each training that shares the cache.

    Raises:
        InputError: there are no shards, they are of another version, or a URL comes without cache.
        ResourceError: the address cannot be reached, or fsspec lacks the part for it.
    """

    def __init__(self, address: str | Path, cache: str | Path | None = None, cache_gb: float = 50.0) -> None:
        self.address = str(address).rstrip("/")
        self.is_remote = "://" in self.address
        if self.is_remote and cache is None:
            raise InputError(f"shards at {self.address} need a folder to be kept in", "give a cache folder")
        self.cache = None if cache is None else Path(cache)
        self._most_bytes = int(cache_gb * 1e9)
        index = self._json(SHARDS)
        if not isinstance(index, dict) or index.get("version") != VERSION:
            raise InputError(f"the shards at {self.address} are of another version", "write them again")
        self.shards: list[dict[str, Any]] = index["shards"]
        lines = self._bytes(SAMPLES).decode("utf-8").splitlines()
        where = f"{SAMPLES} at {self.address}"
        self.samples = [from_dict(ShardSample, json.loads(line), where) for line in lines]
        self._by_key = {sample.entry.key: sample for sample in self.samples}

    def manifest_path(self) -> Path:
        """A local copy of the manifest of what is in the shards."""
        if not self.is_remote:
            return Path(self.address) / MANIFEST
        data = self._bytes(MANIFEST)
        path = self.cache / f"manifest-{hashlib.sha256(data).hexdigest()[:16]}.csv"
        if not path.is_file():
            self.cache.mkdir(parents=True, exist_ok=True)
            with atomic_write(path) as part:
                part.write_bytes(data)
        return path

    def find(self, preparation: str, identity: Sequence[str]) -> IndexEntry | None:
        """The entry of a manifest row, as in `StoreIndex`."""
        return self._by_row().get((preparation, tuple(identity)))

    def counts(self, split: str) -> tuple[int, ...]:
        """Volumes of each shard of a split, in the order of the manifest's rows."""
        return tuple(shard["volumes"] for shard in self.shards if shard["split"] == split)

    def open(self, key: str) -> StoredVolume:
        """Open a volume, fetching its shard if it is not here.

        Raises:
            InputError: no such volume, or the shard is damaged.
            ResourceError: the shard cannot be fetched.
        """
        if key not in self._by_key:
            raise InputError(f"the shards at {self.address} have no volume {key[:12]}", "write them again")
        sample = self._by_key[key]
        for attempt in range(_ATTEMPTS):
            try:
                path = self.fetch(sample.shard)
                parts = {name: FilePart(path, *place) for name, place in sample.parts.items()}
                with path.open("rb") as file:
                    file.seek(parts[FACTS].offset)
                    facts = json.loads(file.read(parts[FACTS].bytes))
                volume = StoredVolume(key, facts, parts[IMAGE], parts.get(LABELS))
                if self.is_remote:
                    volume.hold()  # another process may remove the shard from the cache
                return volume
            except (FileNotFoundError, InputError):
                if attempt == _ATTEMPTS - 1 or not self.is_remote:
                    raise
        raise AssertionError  # the loop returns or raises

    def fetch(self, number: int) -> Path:
        """A local copy of a shard.

        Raises:
            ResourceError: it cannot be fetched.
            InputError: what was fetched is not what `shards.json` says.
        """
        shard = self.shards[number]
        if not self.is_remote:
            return Path(self.address) / shard["file"]
        path = self.cache / f"{shard['sha256'][:16]}-{shard['file']}"
        if not path.is_file():
            from filelock import FileLock

            self.cache.mkdir(parents=True, exist_ok=True)
            with FileLock(f"{path}.lock"):  # the workers of a run need the same shard at the same time
                if not path.is_file():
                    self._make_room(shard["bytes"])
                    self._download(shard, path)
        with suppress(OSError):
            os.utime(path)  # used last
        return path

    def _download(self, shard: Mapping[str, Any], path: Path) -> None:
        with atomic_write(path) as part:
            with self._remote(shard["file"]) as source, part.open("wb") as target:
                shutil.copyfileobj(source, target, 1 << 20)
            digest = hashlib.sha256()
            with part.open("rb") as file:
                while chunk := file.read(1 << 20):
                    digest.update(chunk)
            if digest.hexdigest() != shard["sha256"]:
                raise InputError(f"the shard {shard['file']} at {self.address} is damaged", "write or copy it again")

    def _make_room(self, needed: int) -> None:
        kept = sorted(self.cache.glob("*.tar"), key=lambda path: path.stat().st_mtime)
        size = sum(path.stat().st_size for path in kept) + needed
        for path in kept:
            if size <= self._most_bytes:
                return
            size -= path.stat().st_size
            path.unlink(missing_ok=True)

    def _by_row(self) -> dict[tuple[str, tuple[str, ...]], IndexEntry]:
        if not hasattr(self, "_rows"):
            self._rows = {(s.entry.preparation, s.entry.identity): s.entry for s in self.samples}
        return self._rows

    def _json(self, name: str) -> Any:
        try:
            return json.loads(self._bytes(name))
        except ValueError as error:
            raise InputError(f"{name} at {self.address} is damaged", "write the shards again") from error

    def _bytes(self, name: str) -> bytes:
        if self.is_remote:
            with self._remote(name) as file:
                return file.read()
        try:
            return (Path(self.address) / name).read_bytes()
        except OSError as error:
            raise InputError(f"there are no shards in {self.address}: no {name}", "write them first") from error

    def _remote(self, name: str) -> Any:
        import fsspec

        try:
            return fsspec.open(f"{self.address}/{name}", "rb").open()
        except ImportError as error:
            raise ResourceError(f"{self.address} cannot be read ({error})", "install that library") from error
        except Exception as error:  # each kind of address has errors of its own
            raise ResourceError(
                f"{self.address}/{name} cannot be read ({error})", "check address and network"
            ) from error


@dataclass(frozen=True)
class ShardOrder:
    """A random order that keeps to a few shards at a time: a pure function of seed and position.

    In each epoch the shards come in a new order; the items of `together` shards in a row are mixed.

    Attributes:
        counts: items of each shard; items are numbered shard by shard.
        together: shards that are mixed.
    """

    counts: tuple[int, ...]
    together: int = 4

    def item_at(self, key: DrawKey) -> int:
        """The item of a position of a run."""
        epoch, place = divmod(key.position, sum(self.counts))
        return int(_epoch_order(self.counts, self.together, key.seed, epoch)[place])


@lru_cache(maxsize=4)
def _epoch_order(counts: tuple[int, ...], together: int, seed: int, epoch: int) -> np.ndarray:
    rng = DrawKey(seed, epoch).rng("shard order")
    first = np.concatenate([[0], np.cumsum(counts)])
    shards = rng.permutation(len(counts))
    windows = [shards[at : at + together] for at in range(0, len(shards), together)]
    mixed = [np.concatenate([np.arange(first[s], first[s + 1]) for s in window]) for window in windows]
    return np.concatenate([rng.permutation(items) for items in mixed])
