"""A language model behind an OpenAI-compatible endpoint; only the standard library talks to it."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit

from medfm_core.errors import InputError, ResourceError
from medfm_core.settings import llm_key
from training.data.reports.llm import Message

LOCAL = ("localhost", "127.0.0.1", "::1")
_MOST_BYTES = 4_000_000


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """Refuses redirects: reports and the key go to the named host or nowhere."""

    def redirect_request(self, *_: object) -> None:
        return None


@dataclass(frozen=True)
class Endpoint:
    """Where a model answers.

    Args:
        url: base address, such as https://host/v1; "/chat/completions" is put behind it.
        model: the model's name there.
        allow_plain_http: whether http:// to another machine is meant.
        timeout_s: how long to wait for an answer.

    Raises:
        InputError: the address is not usable, or would send reports unencrypted to another machine.
    """

    url: str
    model: str
    allow_plain_http: bool = False
    timeout_s: float = 120.0

    def __post_init__(self) -> None:
        try:
            parts = urlsplit(self.url)
            _ = parts.port
        except ValueError as error:
            raise InputError(f"{self.url!r} is no address", "give one such as https://host/v1") from error
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise InputError(f"{self.url!r} is no http or https address", "give one such as https://host/v1")
        if parts.username or parts.password or parts.query or parts.fragment:
            raise InputError("the endpoint's address holds a password or a query", "set MEDFM_LLM_KEY for the key")
        if parts.scheme == "http" and parts.hostname not in LOCAL and not self.allow_plain_http:
            raise InputError(
                f"{parts.hostname} would get the reports unencrypted", "use https://, or add --allow-plain-http"
            )

    @property
    def host(self) -> str:
        """Machine and port, for messages."""
        return urlsplit(self.url).netloc

    def ask(self, messages: Sequence[Message]) -> str:
        """Send messages and return the model's text.

        Raises:
            ResourceError: the endpoint does not answer, refuses, or answers in another form.
        """
        body = {"model": self.model, "messages": list(messages), "temperature": 0}
        headers = {"Content-Type": "application/json", "Accept": "application/json"}
        key = llm_key()
        if key:
            headers["Authorization"] = f"Bearer {key}"
        request = urllib.request.Request(  # noqa: S310 (the scheme is checked above)
            f"{self.url.rstrip('/')}/chat/completions", json.dumps(body).encode(), headers, method="POST"
        )
        handlers: list[urllib.request.BaseHandler] = [_NoRedirect()]
        if urlsplit(self.url).hostname in LOCAL:
            handlers.append(urllib.request.ProxyHandler({}))
        try:
            with urllib.request.build_opener(*handlers).open(request, timeout=self.timeout_s) as answer:
                data = json.loads(answer.read(_MOST_BYTES))
            return str(data["choices"][0]["message"]["content"] or "")
        except urllib.error.HTTPError as error:
            raise ResourceError(f"the endpoint {self.host} refused with {error.code} {error.reason}", _FIX) from error
        except OSError as error:
            raise ResourceError(f"the endpoint {self.host} does not answer: {error}", _FIX) from error
        except (KeyError, IndexError, TypeError, ValueError) as error:
            raise ResourceError(f"the endpoint {self.host} does not answer as OpenAI's API does", _FIX) from error


_FIX = "check --llm-endpoint, --llm-model and MEDFM_LLM_KEY, or leave them out to use the rules"
