"""All files of a card, brought into the cache and into order."""

from __future__ import annotations

from pathlib import Path

from medfm_core.card_parts import WeightFile
from medfm_core.card_sources import Recorded, read_pin, read_record, repository_folder, write_pin, write_record
from medfm_core.cards import ModelCard
from medfm_core.errors import WeightsError
from medfm_core.hub.client import HubClient
from medfm_core.hub.download import Fetched, Wanted, download
from medfm_core.hub.hashing import sha256_of
from medfm_core.hub.licences import check_accepted
from medfm_core.hub.lock import locked
from medfm_core.hub.places import make_folder, place_inside, put, sweep_old_parts
from medfm_core.hub.present import missing_files
from medfm_core.hub.problems import Asked, offline
from medfm_core.hub.targets import Shapes, expected_shapes
from medfm_core.progress import SILENT, Progress
from medfm_core.settings import HubSettings, read_hub_settings
from medfm_core.weights import check_safetensors


def pull_card(card: ModelCard, progress: Progress = SILENT, shapes: Shapes | None = None) -> Path:
    """Fetch what is missing of a card's files; what is there and whole is left alone and nothing is asked for.

    Args:
        card: the card; one that is shipped or in a folder is only verified.
        progress: told of the bytes.
        shapes: name to shape of the tensors of each file that must be converted, by the file's name; by default those
            of the card's architecture.

    Returns:
        The folder in which the card's files lie.

    Raises:
        InputError: the licence was not accepted.
        HubError: the hub could not give a file, or MedFM is set to stay offline.
        WeightsError: a file is not the one that the card means, or is not what its name says.
        ResourceError: the disk is full or a package is missing.
        CancelledError: no more is wanted.
    """
    if card.source.kind != "hub":
        card.verify()
        return card.root()
    settings = read_hub_settings()
    check_accepted(card, settings.cache)
    folder = repository_folder(make_folder(settings.cache), str(card.source.repo))
    with locked(folder, progress):
        sweep_old_parts(settings.cache)
        return _pull(card, settings, progress, shapes)


def _pull(card: ModelCard, settings: HubSettings, progress: Progress, shapes: Shapes | None) -> Path:
    folder = repository_folder(settings.cache, str(card.source.repo))
    revision = card.source.revision or read_pin(folder)
    root = None if revision is None else folder / revision
    missing = card.weights if root is None else missing_files(card, root)
    if not missing:
        assert root is not None
        return root
    if settings.offline:
        raise offline(f"the model {card.id}")
    clients = [HubClient(settings, progress, mirror) for mirror in (None, *card.source.mirrors)]
    if revision is None:
        asked = Asked(str(card.source.repo), "", "main", clients[0].endpoint, card.source.access)
        revision = clients[0].commit_of(asked)
        write_pin(folder, revision)
    root = make_folder(folder / revision)
    for files in _by_published(missing):
        file = files[0]
        asked = Asked(str(card.source.repo), file.published, revision, settings.endpoint, card.source.access)
        fetched = download(Wanted(asked, file.sha256, file.bytes), clients, settings.cache, progress)
        for file in files:
            settle(card, file, fetched, root, progress, shapes)
        fetched.part.unlink(missing_ok=True)
    return root


def _by_published(files: tuple[WeightFile, ...]) -> list[list[WeightFile]]:
    """Files of one published checkpoint together, so that it is fetched once."""
    groups: dict[str, list[WeightFile]] = {}
    for file in files:
        groups.setdefault(file.published, []).append(file)
    return list(groups.values())


def settle(
    card: ModelCard, file: WeightFile, fetched: Fetched, root: Path, progress: Progress, shapes: Shapes | None = None
) -> None:
    """Move a verified file to its place, or make it of the verified file where the card says so, and record it.

    Args:
        card: the card.
        file: its entry.
        fetched: the published file; where another is made of it, it stays and the caller deletes it.
        root: the folder of the card's files.
        progress: told of the conversion.
        shapes: as for `pull_card`.

    Raises:
        WeightsError: it is not what its name says.
        ResourceError: the disk is full.
    """
    target = place_inside(root, file.file)
    if file.converted is None:
        if target.suffix == ".safetensors":
            _check_header(fetched, file)
        put(fetched.part, target)
        entry = Recorded(fetched.sha256, fetched.bytes, target.stat().st_mtime_ns)
    else:
        from medfm_core.hub.conversion import convert_checkpoint

        wanted = expected_shapes(card, file) if shapes is None else shapes[file.file]
        with progress.stage(f"Convert {file.published}"):
            convert_checkpoint(fetched.part, target, file.converted, wanted, source_sha256=fetched.sha256)
        stat = target.stat()
        digest = sha256_of(target)
        entry = Recorded(digest, stat.st_size, stat.st_mtime_ns, fetched.sha256, file.converted.digest)
    write_record(root, read_record(root) | {file.file: entry})


def _check_header(fetched: Fetched, file: WeightFile) -> None:
    try:
        check_safetensors(fetched.part)
    except WeightsError as error:
        fetched.part.unlink()
        raise WeightsError(error.what.replace(str(fetched.part), file.file), "report it to its owner") from error
