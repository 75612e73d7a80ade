"""One row of a manifest on its way into the store; whatever is wrong with it becomes a sentence, not an exception."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from medfm_core import __version__
from medfm_core.errors import InputError, MedFMError
from medfm_core.io import read_volume
from medfm_core.plausibility import Caution
from medfm_core.volume import Kind, Volume
from training.data.manifest import ManifestRow
from training.data.preparation import PreparationPlan
from training.data.quality import NOTES, image_doubts, prepared_doubts
from training.data.source_files import content_hash, fingerprint, source_files
from training.data.store import VolumeStore, volume_key
from training.data.store_index import IndexEntry, preparation_id
from training.data.stored_volume import StoredVolume
from training.data.thumbnails import thumbnail

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class PreparingOptions:
    """How a manifest is prepared.

    Attributes:
        workers: processes.
        accept: codes of doubts that do not keep a volume out.
        verify: compare the hashes of volumes that are there already.
        rehash: read the source files again even if nobody wrote to them since.
        thumbnails: how many sound volumes get a picture in the report; all others do.
    """

    workers: int = 1
    accept: tuple[str, ...] = ()
    verify: bool = False
    rehash: bool = False
    thumbnails: int = 200


@dataclass(frozen=True)
class RowJob:
    """All that a worker needs for one row."""

    row: ManifestRow
    store: Path
    plan: PreparationPlan
    options: PreparingOptions
    manifest: str
    known: IndexEntry | None


@dataclass(frozen=True)
class Outcome:
    """What became of a row.

    Attributes:
        row: the row.
        entry: as written to the index.
        codes: of the doubts, in the order of `entry.sentences`.
        facts: of the stored volume, without its lists of points; empty if it failed.
        picture: JPEG of three planes, empty if nothing could be drawn.
        seconds: time it took.
        reused: whether it was there already.
    """

    row: ManifestRow
    entry: IndexEntry
    codes: tuple[str, ...] = ()
    facts: Mapping[str, Any] = field(default_factory=dict)
    picture: bytes = b""
    seconds: float = 0.0
    reused: bool = False


class _RefusedError(Exception):
    """A row that cannot be stored, with the codes and sentences that say why."""

    def __init__(self, cautions: Sequence[Caution], picture: bytes = b"") -> None:
        super().__init__()
        self.cautions, self.picture = tuple(cautions), picture


def prepare_row(job: RowJob) -> Outcome:
    """Prepare one row; what is wrong with it is in the outcome.

    Raises:
        MedFMError: the store cannot be written, which would be so for every row.
    """
    begin = time.perf_counter()
    outcome = _known_outcome(job) or _fresh_outcome(job)
    return replace(outcome, seconds=time.perf_counter() - begin)


def row_preparation(plan: PreparationPlan, row: ManifestRow) -> str:
    """Name how a row is prepared, also for a modality that cannot be."""
    try:
        return preparation_id(plan.canonical(row.modality))
    except MedFMError:
        return preparation_id({"modality": row.modality})


def _known_outcome(job: RowJob) -> Outcome | None:
    """What an earlier run found, if the files are as they were and the volume is there."""
    known, options = job.known, job.options
    if known is None or known.key is None or options.rehash or known.manifest != job.manifest:
        return None
    try:
        if known.files != _fingerprint(job.row):
            return None
        volume = _sound_volume(job, known.key)
    except InputError:
        return None
    if volume is None or volume.label_names != dict(job.row.label_names) or _blocked(volume.facts["cautions"], options):
        return None
    return _stored(job, volume, known, reused=True)


def _fresh_outcome(job: RowJob) -> Outcome:
    row = job.row
    entry = IndexEntry(row.identity, row_preparation(job.plan, row), "failed", manifest=job.manifest)
    try:
        entry = replace(entry, files=_fingerprint(row), content=content_hash(source_files(row.path)))
        canonical = job.plan.canonical(row.modality)
        key = volume_key(entry.content, {**canonical, "series": row.series}, _labels_hash(row))
        volume = _sound_volume(job, key)
        if volume is None:
            image, labels, facts = _prepare(job)
    except _RefusedError as refused:
        return _failed(job, entry, refused.cautions, refused.picture)
    except MedFMError as error:
        return _failed(job, entry, [Caution("unreadable", str(error))])
    except Exception as error:  # one odd file must not stop the others
        log.debug("row %d", row.number, exc_info=True)
        return _failed(job, entry, [Caution("unexpected", f"It fails with {type(error).__name__}: {error}.")])
    entry = replace(entry, key=key)
    if volume is None:
        facts["preparation"], facts["source"]["content"] = canonical, entry.content
        return _stored(job, VolumeStore(job.store).put(key, image, labels, facts), entry, reused=False)
    if _blocked(volume.facts["cautions"], job.options):
        return _failed(job, replace(entry, key=None), _cautions(volume), thumbnail(volume))
    return _stored(job, volume, entry, reused=True)


def _sound_volume(job: RowJob, key: str) -> StoredVolume | None:
    """The volume of a key, or None; a damaged one is taken away."""
    store = VolumeStore(job.store)
    try:
        volume = store.open(key)
        if job.options.verify:
            store.verify(key)
    except InputError:
        store.remove(key)
        return None
    return volume


def _prepare(job: RowJob) -> tuple[Volume, Volume | None, dict[str, Any]]:
    """Read, check and prepare.

    Returns:
        Image and labels as stored, and what `volume.json` says of where they come from.

    Raises:
        _RefusedError: a doubt that blocks and is not accepted.
        MedFMError: it cannot be read or prepared.
    """
    row = job.row
    image = job.plan.open(row.path, row.modality, row.series or None)
    cautions = image_doubts(image, row.modality)
    if _blocked(_plain(cautions), job.options):
        raise _RefusedError(cautions, thumbnail(image))
    original = read_volume(row.labels, kind=Kind.LABEL) if row.labels else None
    prepared, labels = job.plan.run(replace(image, modality=row.modality), original)
    cautions += prepared_doubts(prepared, labels, original)
    if _blocked(_plain(cautions), job.options):
        raise _RefusedError(cautions, thumbnail(image))
    source = {
        "format": image.meta.get("format"),
        "shape": list(image.shape),
        "affine": image.affine.matrix.tolist(),
        "spacing_mm": list(image.spacing),
        "orientation": image.affine.codes,
    }
    names = {str(value): name for value, name in row.label_names.items()}
    facts = {"source": source, "label_names": names, "cautions": _plain(cautions), "software": {"medfm": __version__}}
    return prepared, labels, facts


def _blocked(doubts: Sequence[Mapping[str, Any]], options: PreparingOptions) -> bool:
    return any(doubt["blocks"] and doubt["code"] not in options.accept for doubt in doubts)


def _plain(cautions: Sequence[Caution]) -> list[dict[str, Any]]:
    return [{"code": c.code, "sentence": _sentence(c), "blocks": c.blocks} for c in cautions]


def _cautions(volume: StoredVolume) -> list[Caution]:
    return [Caution(doubt["code"], doubt["sentence"], doubt["blocks"]) for doubt in volume.facts["cautions"]]


def _stored(job: RowJob, volume: StoredVolume, entry: IndexEntry, reused: bool) -> Outcome:
    doubts = volume.facts["cautions"]
    entry = replace(
        entry,
        status="doubtful" if any(doubt["code"] not in NOTES for doubt in doubts) else "ok",
        sentences=tuple(doubt["sentence"] for doubt in doubts),
    )
    facts = {name: value for name, value in volume.facts.items() if name != "points"}
    picture = thumbnail(volume)
    return Outcome(job.row, entry, tuple(doubt["code"] for doubt in doubts), facts, picture, reused=reused)


def _failed(job: RowJob, entry: IndexEntry, cautions: Sequence[Caution], picture: bytes = b"") -> Outcome:
    entry = replace(entry, sentences=tuple(_sentence(caution) for caution in cautions))
    return Outcome(job.row, entry, tuple(caution.code for caution in cautions), picture=picture)


def _sentence(caution: Caution) -> str:
    if not caution.fix:
        return caution.sentence
    return f"{caution.sentence.rstrip('.')}; {caution.fix}."


def _fingerprint(row: ManifestRow) -> str:
    files = fingerprint(source_files(row.path))
    return files if row.labels is None else f"{files}:{fingerprint(source_files(row.labels))}"


def _labels_hash(row: ManifestRow) -> str | None:
    if row.labels is None:
        return None
    names = sorted(row.label_names.items())
    return f"{content_hash(source_files(row.labels))}:{names}"
