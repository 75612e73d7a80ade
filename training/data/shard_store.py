"""Shards as a store: the same volumes and crops, read from tar files here or fetched from elsewhere when needed."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from medfm_core.errors import InputError, ResourceError
from medfm_core.io.atomic import atomic_write
from medfm_core.io.parts import sweep_parts
from medfm_core.strict import from_dict
from training.data.shard_prefetch import ShardPrefetcher, StoppedError
from training.data.shards import MANIFEST, SAMPLES, SHARDS, VERSION
from training.data.store_index import IndexEntry
from training.data.store_writing import FACTS, IMAGE, LABELS
from training.data.stored_volume import FilePart, StoredVolume
from training.engine.draw import DrawKey

_ATTEMPTS = 5
_CHUNK = 1 << 20


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
        self._ahead: ShardPrefetcher | None = None
        if self.cache is not None:
            sweep_parts(self.cache)  # downloads of killed processes
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

    def numbers(self, split: str) -> tuple[int, ...]:
        """Numbers of the shards of a split, in the order of `counts`."""
        return tuple(number for number, shard in enumerate(self.shards) if shard["split"] == split)

    def prefetch(self, numbers: Sequence[int]) -> None:
        """Fetch shards in the background, in this order, as many of them as the cache can hold; see `ShardPrefetcher`.

        Args:
            numbers: those in use first, so that they are not what makes room.
        """
        if not self.is_remote:
            return
        room, wanted = self._most_bytes, []
        for number in numbers:
            room -= self.shards[number]["bytes"]
            if room < 0:
                break
            wanted.append(number)
        self._ahead = self._ahead or ShardPrefetcher(self.fetch)
        self._ahead.want(wanted)

    def close(self) -> None:
        """Stop fetching ahead."""
        if self._ahead is not None:
            self._ahead.close()
            self._ahead = None

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

    def fetch(self, number: int, stop: Callable[[], bool] = lambda: False) -> Path:
        """A local copy of a shard.

        Args:
            number: of the shard.
            stop: asked again and again while it is fetched; when it says yes, `StoppedError` is raised.

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
                    self._download(shard, path, stop)
        with suppress(OSError):
            os.utime(path)  # used last
        return path

    def _download(self, shard: Mapping[str, Any], path: Path, stop: Callable[[], bool]) -> None:
        digest = hashlib.sha256()
        with atomic_write(path) as part:
            with self._remote(shard["file"]) as source, part.open("wb") as target:
                while chunk := self._chunk(source, shard["file"]):
                    if stop():
                        raise StoppedError
                    digest.update(chunk)
                    target.write(chunk)
            if digest.hexdigest() != shard["sha256"]:
                raise InputError(f"the shard {shard['file']} at {self.address} is damaged", "write or copy it again")

    def _chunk(self, source: Any, name: str) -> bytes:
        try:
            return source.read(_CHUNK)
        except Exception as error:  # each kind of address has errors of its own
            raise self._unreachable(name, error) from error

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
            streamed = {"block_size": 0} if self.address.startswith(("http://", "https://")) else {}
            return fsspec.open(f"{self.address}/{name}", "rb", **streamed).open()
        except ImportError as error:
            raise ResourceError(f"{self.address} cannot be read ({error})", "install that library") from error
        except Exception as error:
            raise self._unreachable(name, error) from error

    def _unreachable(self, name: str, error: Exception) -> ResourceError:
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        return ResourceError(f"{self.address}/{name} cannot be read ({reason})", "check address and network")

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_ahead": None}


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
        return int(_epoch_order(self.counts, self.together, key.seed, epoch)[0][place])

    def shards_from(self, key: DrawKey, ahead: int) -> tuple[int, ...]:
        """Shards in the order in which a run needs them: those mixed at a position, then `ahead` more.

        Args:
            key: the position; its next epoch counts too.
            ahead: how many to look ahead, at most all.
        """
        epoch, place = divmod(key.position, sum(self.counts))
        _, windows, ends = _epoch_order(self.counts, self.together, key.seed, epoch)
        _, following, _ = _epoch_order(self.counts, self.together, key.seed, epoch + 1)
        now = int(np.searchsorted(ends, place, side="right"))
        found = list(windows[now])
        later = [number for window in (*windows[now + 1 :], *following) for number in window if number not in found]
        return tuple(found + list(dict.fromkeys(later))[:ahead])


_Order = tuple[np.ndarray, tuple[tuple[int, ...], ...], np.ndarray]


@lru_cache(maxsize=4)
def _epoch_order(counts: tuple[int, ...], together: int, seed: int, epoch: int) -> _Order:
    """Items in their order, the shards that are mixed with each other, and the place at which each such mix ends."""
    rng = DrawKey(seed, epoch).rng("shard order")
    first = np.concatenate([[0], np.cumsum(counts)])
    shards = rng.permutation(len(counts))
    windows = [shards[at : at + together] for at in range(0, len(shards), together)]
    mixed = [np.concatenate([np.arange(first[s], first[s + 1]) for s in window]) for window in windows]
    order = np.concatenate([rng.permutation(items) for items in mixed])
    ends = np.cumsum([len(items) for items in mixed])
    return order, tuple(tuple(int(s) for s in window) for window in windows), ends
