"""The hub's own client, kept to what may be done here: no usage figures, https only, tokens only to the hub itself."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

from medfm_core.errors import MedFMError, ResourceError
from medfm_core.hub.problems import Asked, HubError, explain, offline
from medfm_core.hub.receiving import Sink, open_part, receive
from medfm_core.io.atomic import write_error
from medfm_core.progress import Progress, Stage
from medfm_core.settings import HubSettings, is_safe_address, prepare_hub_environment

T = TypeVar("T")
_TRIES = 3
_LONGEST_WAIT_S = 30.0
_POLL_S = 0.1
_TRANSIENT = (408, 429, 500, 502, 503, 504)
_INSTALL = "run pip install 'huggingface_hub>=1.0'"


@dataclass(frozen=True)
class Remote:
    """What the hub says of a file.

    Attributes:
        url: where its bytes are; may hold for some minutes only.
        etag: sha256 of a large file, git's name of a small one; None where the server does not say.
        bytes: size; None where the server does not say.
        commit: the commit that it belongs to.
    """

    url: str
    etag: str | None
    bytes: int | None
    commit: str | None


class HubClient:
    """Asks one hub, or one mirror of it.

    Args:
        settings: of the environment.
        progress: asked between two tries whether to go on.
        mirror: address of a mirror that a card names; it never gets the token.

    Raises:
        HubError: MedFM is set to stay offline.
        ResourceError: huggingface_hub is missing or too old.
    """

    def __init__(self, settings: HubSettings, progress: Progress, mirror: str | None = None) -> None:
        if settings.offline:
            raise offline("what was asked for")
        prepare_hub_environment(offline=False)
        _check_library()
        self.endpoint = mirror or settings.endpoint
        self._progress = progress
        self._token = None if mirror else _token()

    def commit_of(self, asked: Asked) -> str:
        """The commit that a repository's main branch is at now.

        Args:
            asked: the repository.

        Raises:
            HubError: the hub does not say.
        """
        from huggingface_hub import HfApi

        api = HfApi(endpoint=self.endpoint, token=self._token or False, library_name="medfm")
        kind, name = _kind_and_name(asked.repo)
        info = self._try(lambda: api.repo_info(name, repo_type=kind), asked)
        if not isinstance(info.sha, str) or len(info.sha) != 40:
            raise HubError(f"{self.endpoint} names no commit of {asked.repo}", "set HF_ENDPOINT to a hub")
        return info.sha

    def look(self, asked: Asked) -> Remote:
        """Ask what a file is and where its bytes are.

        Args:
            asked: the file.

        Raises:
            HubError: the hub does not say.
        """
        from huggingface_hub import get_hf_file_metadata, hf_hub_url

        kind, name = _kind_and_name(asked.repo)
        url = hf_hub_url(name, asked.file, repo_type=kind, revision=asked.revision, endpoint=self.endpoint)
        token = self._token or False
        found = self._try(
            lambda: get_hf_file_metadata(url, token=token, endpoint=self.endpoint, library_name="medfm"), asked
        )
        return Remote(found.location, found.etag, found.size, found.commit_hash)

    def fetch(self, remote: Remote, part: Path, expected_bytes: int, stage: Stage, asked: Asked) -> None:
        """Bring the bytes of a file, after those that `part` already holds.

        Args:
            remote: the file.
            part: where they go; what came stays there when the connection breaks.
            expected_bytes: its size; not a byte more is written.
            stage: advanced by the bytes that came.
            asked: the file, for messages.

        Raises:
            HubError: the connection broke, or the hub refuses.
            ResourceError: the disk is full.
            WrongFileError: more bytes came than the file has.
            CancelledError: no more is wanted.
        """
        from huggingface_hub.utils import build_hf_headers

        token = self._token if _same_origin(remote.url, self.endpoint) else None
        asked = replace(asked, endpoint=self.endpoint, has_token=token is not None)
        headers = build_hf_headers(token=token or False, library_name="medfm")
        fruitless = 0
        while True:
            have = _size(part)
            try:
                with open_part(part) as stream, self._only_safe_addresses():
                    return receive(remote.url, headers, Sink(stream, expected_bytes, stage))
            except MedFMError:
                raise
            except Exception as error:
                if isinstance(error, OSError) and error.errno is not None and not hasattr(error, "response"):
                    raise write_error(error, part) from error
                wait = _wait_s(error, fruitless)
                fruitless = 0 if _size(part) > have else fruitless + 1
                if wait is None or fruitless >= _TRIES:
                    raise explain(error, asked) from error
                self._wait(wait)

    def _try(self, ask: Callable[[], T], asked: Asked) -> T:
        """Ask, and ask again after what passes by itself."""
        asked = replace(asked, endpoint=self.endpoint, has_token=self._token is not None)
        for attempt in range(_TRIES):
            try:
                with self._only_safe_addresses():
                    return ask()
            except MedFMError:
                raise
            except Exception as error:  # a dozen kinds, of the hub and of the network under it
                if isinstance(error, MemoryError):
                    raise
                wait = _wait_s(error, attempt)
                if wait is None or attempt == _TRIES - 1:
                    raise explain(error, asked) from error
                self._wait(wait)
        raise AssertionError("every last try returns or raises")

    def _wait(self, seconds: float) -> None:
        for _ in range(math.ceil(seconds / _POLL_S)):
            self._progress.check()
            time.sleep(_POLL_S)

    @contextmanager
    def _only_safe_addresses(self) -> Iterator[None]:
        """Look at every address before a request goes there, those of redirects included."""
        from huggingface_hub import get_session

        try:
            session = get_session()
        except OSError as error:
            raise ResourceError(
                f"the certificate authorities cannot be read ({error.strerror})", "correct SSL_CERT_FILE"
            ) from error
        hooks = {name: list(listed) for name, listed in session.event_hooks.items()}
        session.event_hooks = {**hooks, "request": [*hooks.get("request", []), _refuse_unsafe]}
        try:
            yield
        finally:
            session.event_hooks = hooks


def _refuse_unsafe(request: Any) -> None:
    address = str(request.url)
    if not is_safe_address(address):
        host = address.split("?", 1)[0]
        raise HubError(f"the hub sends on to an address without encryption ({host})", "use another HF_ENDPOINT")


def _kind_and_name(repo: str) -> tuple[str, str]:
    """The hub's word for the kind of a repository, and its owner/name."""
    name = repo.removeprefix("datasets/")
    return ("model" if name == repo else "dataset"), name


def _size(path: Path) -> int:
    return path.stat().st_size if path.is_file() else 0


def _same_origin(one: str, other: str) -> bool:
    return one.split("/")[:3] == other.split("/")[:3]


def _wait_s(error: Exception, attempt: int) -> float | None:
    """How long to wait before asking again; None when that would not help."""
    response = getattr(error, "response", None)
    if response is not None:
        if response.status_code not in _TRANSIENT:
            return None
        given = response.headers.get("Retry-After", "")
        wait = float(given) if given.isdigit() else float(2**attempt)
        return wait if wait <= _LONGEST_WAIT_S else None
    from huggingface_hub.errors import OfflineModeIsEnabled

    if isinstance(error, (OfflineModeIsEnabled, ValueError)) or "CERTIFICATE" in str(error).upper():
        return None
    return 0.5 * 2**attempt


def _token() -> str | None:
    from huggingface_hub import get_token

    return get_token()


def _check_library() -> None:
    try:
        import huggingface_hub
        from huggingface_hub import constants
        from huggingface_hub.utils import disable_progress_bars
    except ImportError as error:
        raise ResourceError("fetching weights needs the package huggingface_hub", _INSTALL) from error
    if int(huggingface_hub.__version__.split(".")[0]) < 1:
        raise ResourceError(f"huggingface_hub {huggingface_hub.__version__} is too old to fetch weights", _INSTALL)
    constants.HF_HUB_DISABLE_TELEMETRY = True  # for one that was imported before
    disable_progress_bars()
