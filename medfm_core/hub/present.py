"""What of a card lies in the cache, whole."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from medfm_core.card_parts import WeightFile
from medfm_core.card_sources import Recorded, read_record
from medfm_core.cards import ModelCard, not_fetched, verify_card
from medfm_core.errors import WeightsError
from medfm_core.hub.hashing import sha256_of


def is_fetched(card: ModelCard) -> bool:
    """Whether all files of a card lie in the cache, as far as sizes tell."""
    try:
        root = card.root()
    except WeightsError:
        return False
    record = read_record(root)
    return all(_is_unchanged(root / file.file, file, record.get(file.file)) for file in card.weights)


def require_files(card: ModelCard, root: Path | None = None) -> None:
    """Refuse to load a card whose files are not there and whole.

    Files of the hub whose size and time of change are those of their last check are taken for whole, so that
    gigabytes are not hashed at each start; `medfm models verify` reads every byte.

    Args:
        card: the card.
        root: the folder the files lie in, where it is not the card's own.

    Raises:
        WeightsError: a file is missing or is not the one that the card means.
    """
    if card.source.kind != "hub" or root is not None:
        verify_card(card, root)
        return
    missing = missing_files(card, card.root())
    if len(missing) == len(card.weights):
        raise not_fetched(card)
    if missing:
        raise WeightsError(
            f"{missing[0].file} of {card.id} is missing or not the one that the card means",
            f"run medfm models pull {card.id}, which fetches it again",
        )


def missing_files(card: ModelCard, root: Path) -> tuple[WeightFile, ...]:
    """The files of a card that are not in a folder, or not whole there.

    A file whose size and time of change are those of its last check is taken for whole; another one is hashed.

    Args:
        card: the card.
        root: the folder.
    """
    record = read_record(root)
    missing = []
    for file in card.weights:
        path, entry = root / file.file, record.get(file.file)
        if _is_unchanged(path, file, entry) or _is_whole(path, file, entry):
            continue
        missing.append(file)
    return tuple(missing)


def _is_unchanged(path: Path, file: WeightFile, entry: Recorded | None) -> bool:
    """Whether a file is by size and time the one that was checked last."""
    if entry is None or path.is_symlink() or not _is_meant(file, entry):
        return False
    with suppress(OSError):
        stat = path.stat()
        return (stat.st_size, stat.st_mtime_ns) == (entry.bytes, entry.changed_ns)
    return False


def _is_whole(path: Path, file: WeightFile, entry: Recorded | None) -> bool:
    """Whether a file is by its bytes what the card, or else the record, says."""
    if path.is_symlink() or not path.is_file():
        return False
    expected: Mapping[str, object] = {}
    if file.converted is None and file.sha256 is not None:
        expected = {"sha256": file.sha256, "bytes": file.bytes}
    elif entry is not None and _is_meant(file, entry):
        expected = {"sha256": entry.sha256, "bytes": entry.bytes}
    return bool(expected) and path.stat().st_size == expected["bytes"] and sha256_of(path) == expected["sha256"]


def _is_meant(file: WeightFile, entry: Recorded) -> bool:
    """Whether what is recorded is what the card means."""
    if file.converted is not None:
        return entry.is_made_by(file.converted, file.sha256)
    return file.sha256 in (None, entry.sha256)
