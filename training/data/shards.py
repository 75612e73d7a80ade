"""WebDataset shards from a store: tar files that stream over a network and can be read at random once they are here.

    SHARDS/train-000000.tar    per volume: NUMBER.image.b2nd, NUMBER.labels.b2nd, NUMBER.volume.json
    SHARDS/manifest.csv        the rows that are in the shards, in their order, with their splits
    SHARDS/samples.jsonl       where each volume lies in its shard
    SHARDS/shards.json         files with sizes, hashes and counts; it is written last

The files of a volume are those of the store, so a crop is read from within a tar without unpacking it. Subjects stand
in an order drawn from the seed, all volumes of a subject are in one shard, and a shard belongs to one split; the same
store gives the same bytes.
"""

from __future__ import annotations

import hashlib
import json
import tarfile
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from medfm_core.errors import InputError, ResourceError
from medfm_core.io import atomic_text, atomic_write
from medfm_core.io.atomic import write_error
from medfm_core.progress import SILENT, Progress
from training.data.manifest import SPLITS, Manifest, ManifestRow
from training.data.manifest_table import read_table, write_table
from training.data.splits import Fractions, check_leakage, ensure_splits, place_of
from training.data.store import VolumeStore
from training.data.store_index import IndexEntry
from training.data.store_writing import FACTS

VERSION = 1
SHARDS, SAMPLES, MANIFEST = "shards.json", "samples.jsonl", "manifest.csv"
_MEGABYTE = 1_000_000


@dataclass(frozen=True)
class ShardPlan:
    """How volumes are put into shards.

    Attributes:
        folder: where to; made if missing. Shards that it holds are replaced.
        megabytes: size of a shard; one subject alone may be larger.
        seed: of the order, and of the splits of a manifest without any.
        fractions: shares of the splits of a manifest without any.
    """

    folder: Path
    megabytes: float = 1000
    seed: int = 0
    fractions: Fractions = field(default_factory=Fractions)

    def __post_init__(self) -> None:
        if self.megabytes <= 0:
            raise InputError(f"shards of {self.megabytes} MB are impossible", "give a positive size")


@dataclass(frozen=True)
class Packed:
    """One volume on its way into a shard."""

    row: ManifestRow
    entry: IndexEntry
    files: dict[str, Path]

    @property
    def bytes(self) -> int:
        """Size of its files."""
        return sum(path.stat().st_size for path in self.files.values())


def write_shards(
    manifest: Manifest,
    stored: Sequence[tuple[ManifestRow, IndexEntry]],
    store: VolumeStore,
    plan: ShardPlan,
    progress: Progress = SILENT,
) -> dict[str, Any]:
    """Write the shards of what is stored of a manifest.

    Args:
        manifest: its rows have splits, or are split by the plan.
        stored: rows that have a key, with their entries.
        store: where the volumes lie.
        plan: how.
        progress: advances by one per volume.

    Returns:
        What `shards.json` holds.

    Raises:
        InputError: nothing to write, a volume is damaged, or the folder cannot be written.
        ResourceError: the disk is full, or webdataset is not installed.
    """
    if not stored:
        raise InputError("no volume is stored, so there is nothing to put into shards", "see qc.html for the reasons")
    split = {row.identity: row for row in ensure_splits(manifest, plan.seed, plan.fractions).rows}
    entries = {row.identity: entry for row, entry in stored}
    contents = {identity: entry.content for identity, entry in entries.items() if entry.content}
    check_leakage(Manifest(manifest.path, tuple(split.values()), manifest.targets), contents)
    packed = [_pack(split[identity], entry, store) for identity, entry in entries.items()]
    try:
        plan.folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise write_error(error, plan.folder) from error
    old = _old_files(plan.folder)
    with suppress(OSError):  # until the new list is there, there are no shards
        (plan.folder / SHARDS).unlink()
    shards, samples, rows = [], [], []
    with progress.stage("Write the shards", len(packed)) as stage:
        for name, volumes in _distribute(packed, plan):
            places = _write_shard(plan.folder / name, volumes, stage.advance)
            samples += [_sample(len(shards), v, p) for v, p in zip(volumes, places, strict=True)]
            rows += [volume.row for volume in volumes]
            shards.append(_shard_entry(plan.folder / name, volumes))
    index = {"version": VERSION, "shards": shards, "volumes": len(rows), "seed": plan.seed}
    _copy_manifest(manifest, rows, plan.folder / MANIFEST)
    atomic_text(plan.folder / SAMPLES, "".join(json.dumps(sample) + "\n" for sample in samples))
    atomic_text(plan.folder / SHARDS, json.dumps(index, indent=1) + "\n")
    for name in old - {shard["file"] for shard in shards}:
        (plan.folder / name).unlink(missing_ok=True)
    return index


def _pack(row: ManifestRow, entry: IndexEntry, store: VolumeStore) -> Packed:
    volume = store.open(entry.key)
    names = [FACTS, *volume.facts["files"]]
    return Packed(row, entry, {name: store.place(entry.key) / name for name in names})


def _distribute(packed: Sequence[Packed], plan: ShardPlan) -> Iterator[tuple[str, list[Packed]]]:
    """Shard names and what goes into them: subject by subject until the next one would be too much."""
    for split in SPLITS:
        subjects: dict[str, list[Packed]] = {}
        for volume in packed:
            if volume.row.split == split:
                subjects.setdefault(volume.row.subject, []).append(volume)
        number, volumes, size = 0, [], 0
        for subject in sorted(subjects, key=lambda name: (place_of(name, plan.seed), name)):
            more = sum(volume.bytes for volume in subjects[subject])
            if volumes and size + more > plan.megabytes * _MEGABYTE:
                yield f"{split}-{number:06d}.tar", volumes
                number, volumes, size = number + 1, [], 0
            volumes = volumes + sorted(subjects[subject], key=lambda volume: volume.row.identity)
            size += more
        if volumes:
            yield f"{split}-{number:06d}.tar", volumes


def _write_shard(path: Path, volumes: Sequence[Packed], advance) -> list[dict[str, tuple[int, int]]]:
    """Write a tar; returns where each file of each volume lies in it, as (offset, bytes)."""
    try:
        from webdataset import TarWriter
    except ImportError as error:
        raise ResourceError("shards need webdataset, which is not installed", "run `pip install webdataset`") from error
    with atomic_write(path) as part:
        with part.open("wb") as file, TarWriter(file, user="", group="", mtime=0, encoder=False) as writer:
            for number, volume in enumerate(volumes):
                data = {name: file.read_bytes() for name, file in volume.files.items()}
                writer.write({"__key__": f"{number:06d}", **data})
                advance()
        places: list[dict[str, tuple[int, int]]] = [{} for _ in volumes]
        with tarfile.open(part) as tar:
            for member in tar:
                number, name = member.name.split(".", 1)
                places[int(number)][name] = (member.offset_data, member.size)
    return places


def _sample(shard: int, volume: Packed, parts: dict[str, tuple[int, int]]) -> dict[str, Any]:
    entry = {name: value for name, value in asdict(volume.entry).items() if name not in ("files", "manifest")}
    return {"shard": shard, "entry": entry, "parts": parts}


def _shard_entry(path: Path, volumes: Sequence[Packed]) -> dict[str, Any]:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(1 << 20):
            digest.update(chunk)
    return {
        "file": path.name,
        "split": volumes[0].row.split,
        "bytes": path.stat().st_size,
        "sha256": digest.hexdigest(),
        "volumes": len(volumes),
        "subjects": len({volume.row.subject for volume in volumes}),
    }


def _copy_manifest(manifest: Manifest, rows: Sequence[ManifestRow], path: Path) -> None:
    """The manifest's own cells of these rows, with their splits; paths stay as they are, for names only."""
    table = read_table(manifest.path)
    cells = dict(zip(table.numbers, table.rows, strict=True))
    columns = table.columns if "split" in table.columns else (*table.columns, "split")
    write_table(path, columns, [{**cells[row.number], "split": row.split} for row in rows])


def _old_files(folder: Path) -> set[str]:
    try:
        index = json.loads((folder / SHARDS).read_text(encoding="utf-8"))
        names = {shard["file"] for shard in index["shards"]}
    except (OSError, ValueError, KeyError, TypeError):
        return set()
    return {name for name in names if Path(name).name == name and name.endswith(".tar")}
