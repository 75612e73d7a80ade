"""A card's files, deleted from the cache."""

from __future__ import annotations

import shutil
from pathlib import Path

from medfm_core.card_sources import PIN, RECORD, fetched_folder, read_record, repository_folder, write_record
from medfm_core.cards import ModelCard
from medfm_core.errors import InputError
from medfm_core.hub.lock import locked
from medfm_core.hub.places import PARTS
from medfm_core.io.atomic import write_error
from medfm_core.progress import SILENT, Progress
from medfm_core.settings import read_hub_settings


def remove_card(card: ModelCard, others: tuple[ModelCard, ...] = (), progress: Progress = SILENT) -> int:
    """Delete a card's files from the cache, and beginnings of them.

    Args:
        card: the card.
        others: further cards, whose files stay although they may lie in the same folder.
        progress: told when another process is at work there.

    Returns:
        The bytes that became free.

    Raises:
        InputError: the card is not of the hub, or the files cannot be deleted.
    """
    if card.source.kind != "hub":
        raise InputError(f"the weights of {card.id} are not of the hub", "delete them where they lie")
    cache = read_hub_settings().cache
    repository = repository_folder(cache, str(card.source.repo))
    if not repository.is_dir():
        return 0
    with locked(repository, progress):
        return _remove(card, others, cache, repository)


def _remove(card: ModelCard, others: tuple[ModelCard, ...], cache: Path, repository: Path) -> int:
    freed = 0
    root = fetched_folder(cache, str(card.source.repo), card.source.revision)
    place = (card.source.repo, card.source.revision)
    kept = {
        file.file
        for other in others
        if other.id != card.id and (other.source.repo, other.source.revision) == place
        for file in other.weights
    }
    try:
        for file in card.weights:
            for path in [cache / PARTS / f"{file.sha256}.part"] + ([] if root is None else [root / file.file]):
                if (path.is_file() or path.is_symlink()) and file.file not in kept:
                    freed += path.lstat().st_size
                    path.unlink()
        if root is not None and root.is_dir():
            left = {name: entry for name, entry in read_record(root).items() if (root / name).is_file()}
            if left:
                write_record(root, left)
            else:
                (root / RECORD).unlink(missing_ok=True)
                shutil.rmtree(root)
                if card.source.revision is None:
                    (repository / PIN).unlink(missing_ok=True)
    except OSError as error:
        raise write_error(error, repository) from error
    return freed
