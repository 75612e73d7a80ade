"""What goes wrong with a hub, in a sentence that says what to do."""

from __future__ import annotations

from dataclasses import dataclass

from medfm_core.errors import MedFMError, ResourceError, WeightsError

_GIVE_ACCESS = "set HF_TOKEN to a token of huggingface.co/settings/tokens, or run hf auth login"
_OTHER_WAY = "or take the files from another machine with medfm models import"


class HubError(ResourceError):
    """The hub could not give what was asked for; another address might."""


class WrongFileError(WeightsError):
    """The hub has another file than the card means."""


@dataclass(frozen=True)
class Asked:
    """What was asked of whom.

    Attributes:
        repo: "owner/name" or "datasets/owner/name".
        file: the file's name, or empty for the repository itself.
        revision: the commit.
        endpoint: address of the hub.
        access: how to get access to gated weights.
        has_token: whether a token was sent.
    """

    repo: str
    file: str
    revision: str
    endpoint: str
    access: str | None = None
    has_token: bool = False


def explain(error: Exception, asked: Asked) -> MedFMError:
    """The error that tells the user what a failure of the hub's client means.

    Args:
        error: what huggingface_hub or the network under it raised.
        asked: what was asked for.
    """
    from huggingface_hub import errors

    if isinstance(error, errors.GatedRepoError):
        return _gated(asked)
    if isinstance(error, errors.RevisionNotFoundError):
        return HubError(f"{asked.repo} has no revision {asked.revision[:12]} any more", "look for a newer MedFM")
    if isinstance(error, errors.EntryNotFoundError):
        return HubError(f"{asked.repo} has no file {asked.file} in this revision", "look for a newer MedFM")
    if isinstance(error, errors.OfflineModeIsEnabled):
        return offline(asked.repo)
    response = getattr(error, "response", None)
    status = getattr(response, "status_code", None)
    if status is not None:
        return _status(int(status), asked, isinstance(error, errors.RepositoryNotFoundError))
    return _network(error, asked)


def offline(what: str) -> HubError:
    """Nothing is fetched offline."""
    return HubError(
        f"{what} is not complete on this machine, and MedFM is set to stay offline",
        "unset MEDFM_OFFLINE and HF_HUB_OFFLINE, " + _OTHER_WAY,
    )


def _gated(asked: Asked) -> HubError:
    access = (asked.access or f"ask for it on {asked.endpoint}/{asked.repo}").rstrip(".")
    if asked.has_token:
        return HubError(f"the owner of {asked.repo} has not given access to the owner of this token", access)
    return HubError(f"{asked.repo} is gated and no token is set", f"{access}; then {_GIVE_ACCESS}")


def _status(status: int, asked: Asked, is_missing: bool) -> HubError:
    if status == 401 and asked.has_token and not is_missing:
        return HubError(f"{asked.endpoint} does not accept the token", _GIVE_ACCESS)
    if status == 401 and asked.access:
        return _gated(asked)
    if status in (401, 404):
        fix = "check the card" if asked.has_token else f"if it is private, {_GIVE_ACCESS}"
        return HubError(f"{asked.endpoint} shows no repository {asked.repo} (code {status})", fix)
    if status == 403:
        refused = HubError(f"{asked.endpoint} refuses {asked.repo} (code 403)", _GIVE_ACCESS)
        return _gated(asked) if asked.access else refused
    if status == 407:
        return HubError("the proxy asks for a name and a password", "set HTTPS_PROXY to http://NAME:PASSWORD@HOST:PORT")
    if status == 429:
        what = f"{asked.endpoint} has had too many requests from here (code 429)"
        return HubError(what, f"wait a while, or {_GIVE_ACCESS}")
    return HubError(f"{asked.endpoint} has trouble (code {status})", f"try again later, {_OTHER_WAY}")


def _network(error: Exception, asked: Asked) -> HubError:
    chain, current = [], error
    while current is not None and len(chain) < 8:
        chain.append(current)
        current = current.__cause__ or current.__context__
    text = " ".join(f"{type(item).__name__} {item}" for item in chain)
    if "CERTIFICATE" in text.upper() or "SSLError" in text:
        return HubError(
            f"the certificate of {asked.endpoint} is not trusted here",
            "set SSL_CERT_FILE to your institution's certificate authorities",
        )
    if "ProxyError" in text:
        return HubError(f"the proxy does not let through to {asked.endpoint}", "check HTTPS_PROXY and NO_PROXY")
    what = "does not answer in time" if "Timeout" in text else "cannot be reached"
    return HubError(
        f"{asked.endpoint} {what} ({type(error).__name__})",
        f"check the network, HTTPS_PROXY and HF_ENDPOINT, {_OTHER_WAY}",
    )
