"""`python -m training.publish`: put a model card and its safetensors on your own repository of the Hugging Face Hub.

Everything goes up in one commit, so a repository never holds half a model. The repository is made where it is missing,
private unless you say otherwise.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from medfm_core.card_library import load_card
from medfm_core.card_parts import Source
from medfm_core.cards import ModelCard, verify_card
from medfm_core.errors import InputError, MedFMError
from medfm_core.hub.client import HubClient
from medfm_core.hub.problems import Asked, explain, offline
from medfm_core.io.atomic import atomic_text
from medfm_core.progress import RichProgress
from medfm_core.settings import read_hub_settings
from medfm_core.strict import to_dict
from medfm_core.weights import check_safetensors
from training.command import command, parser_of
from training.published_page import published_page

CARD_NAME = "medfm-card.json"
EXAMPLES = """examples:
  python -m training.publish --card my-resources/cards/my-encoder.v1.json --repo my-name/my-encoder
  python -m training.publish --card my-resources/cards/my-encoder.v1.json --repo my-lab/my-encoder --public

A token with the right to write is needed: HF_TOKEN, or hf auth login. The card that others use, pinned to the commit,
is written to hub/<id>.json beside the cards' folder; they put it into their Resources/cards."""


@dataclass(frozen=True)
class Published:
    """Where a model went.

    Attributes:
        repo: "owner/name".
        revision: the commit.
        card: the card that fetches it from there.
    """

    repo: str
    revision: str
    card: Path


def publish(card: ModelCard, repo: str, is_public: bool = False) -> Published:
    """Upload a card's verified files, a README and the card itself in one commit.

    Args:
        card: a card whose files are on this machine; it must say its licence and what it was trained on.
        repo: "owner/name", yours.
        is_public: whether a repository that is made now is for everybody; one that is there stays as it is.

    Raises:
        InputError: the card does not say what others must know, or the repository's name is none.
        WeightsError: a file is not the one that the card means.
        HubError: the hub refuses, or MedFM is set to stay offline.
    """
    _check_words(card)
    source = _source(repo, None)
    paths = verify_card(card)
    for path in paths:
        if path.suffix == ".safetensors":
            check_safetensors(path)
    settings = read_hub_settings()
    if settings.offline:
        raise offline("the hub")
    HubClient(settings, RichProgress())  # checks the library and prepares it
    revision = _upload(card, repo, is_public, paths, _uploads(card, source))
    return Published(repo, revision, _write_card(card, repo, revision))


def _uploads(card: ModelCard, source: Source) -> dict[str, bytes]:
    """The texts that go up beside the weights, by name."""
    data = {**to_dict(card), "source": to_dict(source)}
    return {
        "README.md": published_page(card, str(source.repo)).encode(),
        CARD_NAME: (json.dumps(data, indent=1, ensure_ascii=False) + "\n").encode(),
    }


def _upload(card: ModelCard, repo: str, is_public: bool, paths: tuple[Path, ...], texts: dict[str, bytes]) -> str:
    """One commit with all files; its hash."""
    from huggingface_hub import CommitOperationAdd, HfApi

    api = HfApi(endpoint=read_hub_settings().endpoint, library_name="medfm")
    files = [CommitOperationAdd(file.file, path) for file, path in zip(card.weights, paths, strict=True)]
    files += [CommitOperationAdd(name, content) for name, content in texts.items()]
    try:
        api.create_repo(repo, private=not is_public, exist_ok=True)
        commit = api.create_commit(repo, files, commit_message=f"{card.id}")
    except Exception as error:  # a dozen kinds, of the hub and of the network under it
        if isinstance(error, (MemoryError, MedFMError)):
            raise
        asked = Asked(repo, "", "main", api.endpoint, has_token=api.token is not None or _has_token())
        raise explain(error, asked) from error
    return str(commit.oid)


def _write_card(card: ModelCard, repo: str, revision: str) -> Path:
    """The card that fetches the weights from the hub, pinned to the commit."""
    folder = (card.folder or Path()).parent / "hub"
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{card.id}.json"
    data: dict[str, Any] = {**to_dict(card), "source": to_dict(_source(repo, revision))}
    data.pop("default", None)
    atomic_text(path, json.dumps(data, indent=1, ensure_ascii=False) + "\n")
    return path


def _source(repo: str, revision: str | None) -> Source:
    if repo.startswith("datasets/"):
        raise InputError(f"{repo} is a data set's repository, not a model's", "write it as my-name/my-model")
    try:
        return Source("hub", repo=repo, revision=revision)
    except ValueError as error:
        raise InputError(str(error), "write it as my-name/my-model") from error


def _check_words(card: ModelCard) -> None:
    stated = {"licence": card.licence, "trained_on": " ".join(card.trained_on)}
    for name, value in stated.items():
        if "not stated" in value or "not-stated" in value:
            raise InputError(
                f"the card {card.id} does not state its {name}, which others must know",
                "export again with --about, whose JSON says it",
            )


def _has_token() -> bool:
    from huggingface_hub import get_token

    return get_token() is not None


@command()
def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command."""
    parser = parser_of("training.publish", __doc__, EXAMPLES)
    parser.add_argument("--card", type=Path, required=True, help="the model card, as training.export writes it")
    parser.add_argument("--repo", required=True, metavar="OWNER/NAME", help="your repository of the hub")
    parser.add_argument("--public", action="store_true", help="a new repository is for everybody")
    options = parser.parse_args(arguments)
    tell(publish(load_card(options.card), options.repo, options.public))
    return 0


def tell(published: Published) -> None:
    """Say where a model went."""
    print(f"published {published.repo} at revision {published.revision}")
    print(f"wrote {published.card}, the card that fetches it from there")


if __name__ == "__main__":
    sys.exit(main())
