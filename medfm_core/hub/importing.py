"""A card's files from a file, a folder or a zip file: for machines without a network."""

from __future__ import annotations

import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import BinaryIO

from medfm_core.card_parts import WeightFile
from medfm_core.card_sources import repository_folder
from medfm_core.cards import ModelCard
from medfm_core.errors import InputError, WeightsError
from medfm_core.hub.archives import is_zip, open_zip
from medfm_core.hub.download import Fetched
from medfm_core.hub.hashing import sha256_of
from medfm_core.hub.licences import check_accepted
from medfm_core.hub.lock import locked
from medfm_core.hub.places import check_room, make_folder, part_path
from medfm_core.hub.present import missing_files
from medfm_core.hub.pull import settle
from medfm_core.hub.targets import Shapes
from medfm_core.io.atomic import write_error
from medfm_core.progress import SILENT, Progress
from medfm_core.settings import read_hub_settings

_CHUNK_BYTES = 1 << 20
# Finds a card's file among what was given: its size, and a way to read it; None where it is not.
_Find = Callable[[WeightFile], "tuple[int, Callable[[], BinaryIO]] | None"]


def import_card(card: ModelCard, given: Path, progress: Progress = SILENT, shapes: Shapes | None = None) -> Path:
    """Copy a card's files into the cache, each verified by the sha256 of the card.

    Args:
        card: a card of the hub that states the sha256 of its files.
        given: one of its files under any name, a folder that holds them under their published names (with or without
            the folders between, a snapshot of the hub's own cache too), or a zip file of such a folder.
        progress: told of the bytes.
        shapes: as for `pull_card`.

    Returns:
        The folder in which the card's files lie.

    Raises:
        InputError: nothing of the card is there, the licence was not accepted, or the card is of another kind.
        WeightsError: a file is not the one that the card means, or files are still missing.
    """
    if card.source.kind != "hub":
        raise InputError(f"the weights of {card.id} are not of the hub and need no import")
    if card.source.revision is None or any(file.sha256 is None for file in card.weights):
        raise InputError(
            f"the card {card.id} states no revision and sha256 to check a file by",
            "pull it on a machine with a network and copy that machine's folder MEDFM_CACHE",
        )
    cache = read_hub_settings().cache
    check_accepted(card, cache)
    folder = repository_folder(make_folder(cache), str(card.source.repo))
    with locked(folder, progress), _finder(given, card) as find:
        root = make_folder(folder / card.source.revision)
        taken = 0
        for file in missing_files(card, root):
            found = find(file)
            if found is not None:
                taken += 1
                fetched = _copy(file, *found, cache, progress)
                settle(card, file, fetched, root, progress, shapes)
                fetched.part.unlink(missing_ok=True)
        left = [file.published for file in missing_files(card, root)]
    if left:
        what = f"of {card.id} are still missing: {', '.join(left)}" if taken else f"of {card.id} are in {given}"
        raise InputError(f"files {what}" if taken else f"no files {what}", "give the folder that holds them")
    return root


@contextmanager
def _finder(given: Path, card: ModelCard) -> Iterator[_Find]:
    if given.is_dir():
        yield lambda file: _in_folder(given, file)
    elif given.is_file() and is_zip(given) and given.stat().st_size not in {file.bytes for file in card.weights}:
        with open_zip(given) as archive:
            yield lambda file: _in_zip(archive, file)
    elif given.is_file():
        size = given.stat().st_size
        yield lambda file: (size, lambda: given.open("rb")) if size == file.bytes else None
    else:
        raise InputError(f"there is no file or folder {given}", "check its name")


def _in_folder(folder: Path, file: WeightFile) -> tuple[int, Callable[[], BinaryIO]] | None:
    for name in (file.published, PurePosixPath(file.published).name):
        path = folder.joinpath(*name.split("/"))
        if path.is_file():
            _check_link(path, folder)
            return path.stat().st_size, lambda found=path: found.open("rb")
    return None


def _check_link(path: Path, folder: Path) -> None:
    """Links may stay within the folder; those of the hub's own cache lead to the blobs beside its snapshots."""
    allowed = [folder.resolve()]
    if folder.resolve().parent.name == "snapshots":
        allowed.append(folder.resolve().parents[1] / "blobs")
    if not any(path.resolve().is_relative_to(place) for place in allowed):
        raise WeightsError(f"{path} is a link that leads out of its folder", "copy the file itself")


def _in_zip(archive: zipfile.ZipFile, file: WeightFile) -> tuple[int, Callable[[], BinaryIO]] | None:
    ends = [entry for entry in archive.infolist() if f"/{entry.filename}".endswith(f"/{file.published}")]
    if not ends:
        return None
    entry = min(ends, key=lambda item: len(item.filename))
    return entry.file_size, lambda: archive.open(entry)  # type: ignore[return-value]


def _copy(file: WeightFile, size: int, opened: Callable[[], BinaryIO], cache: Path, progress: Progress) -> Fetched:
    """Copy one file to its temporary name and verify it there: what is checked is what is kept."""
    wrong = f"the file given for {file.published} is not the one that the card means"
    fix = "get it from its owner in the revision that the card names"
    assert file.sha256 is not None
    assert file.bytes is not None
    if size != file.bytes:
        raise WeightsError(f"{wrong} ({size:,} bytes instead of {file.bytes:,})", fix)
    part = part_path(cache, file.sha256)
    check_room(part.parent, size)
    part.unlink(missing_ok=True)
    try:
        with (
            progress.stage(f"Copy {file.published}", total=size) as stage,
            opened() as source,
            part.open("xb") as stream,
        ):
            for chunk in iter(lambda: source.read(_CHUNK_BYTES), b""):
                stream.write(chunk)
                stage.advance(len(chunk))
                if stage.done > size:
                    raise WeightsError(f"{wrong} (it is longer than it says)", fix)
        if sha256_of(part) != file.sha256:
            raise WeightsError(f"{wrong} (its sha256 differs)", fix)
    except (zipfile.BadZipFile, EOFError) as error:
        part.unlink(missing_ok=True)
        raise WeightsError(f"{wrong} ({error})", fix) from error
    except OSError as error:
        part.unlink(missing_ok=True)
        raise write_error(error, part) from error
    except BaseException:
        part.unlink(missing_ok=True)
        raise
    return Fetched(part, file.sha256, file.bytes)
