"""Every environment variable that MedFM reads, in one place."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from medfm_core.errors import InputError

HUB_ENDPOINT = "https://huggingface.co"
VARIABLES = {
    "MEDFM_RESOURCES": "folder that holds weights/, cards/ and vocabulary/ (default: the installed Resources)",
    "MEDFM_DEVICE": "device when --device is not given: auto, cpu, cuda, cuda:1, mps (default: auto)",
    "MEDFM_THREADS": "CPU threads (default: all cores this process may use)",
    "MEDFM_MEMORY_GB": "memory that a run may plan with, in GB (default: what the machine has free)",
    "MEDFM_CACHE": "folder of fetched weights, shared by all programs of the user (default: see `medfm models list`)",
    "MEDFM_OFFLINE": "1: never open a connection; HF_HUB_OFFLINE=1 does the same (default: 0)",
    "HF_HUB_OFFLINE": "1: never open a connection (default: 0)",
    "HF_ENDPOINT": f"address of the hub or of a mirror of it (default: {HUB_ENDPOINT})",
    "MEDFM_TOTALSEGMENTATOR": "the command TotalSegmentator of another environment (default: the one on the path)",
    "TOTALSEG_WEIGHTS_PATH": "folder of TotalSegmentator's weights, as that program reads it",
    "TOTALSEG_HOME_DIR": "folder of TotalSegmentator's settings, which holds its weights where nothing else is said",
    "FSLDIR": "folder of FSL, whose MNI template brains can be registered to",
    "SSL_CERT_FILE": "file of the certificate authorities to trust, e.g. the hospital's (default: the usual ones)",
    "REQUESTS_CA_BUNDLE": "the same under another name; SSL_CERT_FILE goes first",
}

SECRETS = {
    "MEDFM_LLM_KEY": "key for the language model's endpoint of --llm-endpoint; nothing shows its value",
    "HF_TOKEN": "token of the hub, for gated weights; nothing shows its value",
    "HTTPS_PROXY": "proxy for https, read by the hub's client; it may hold a password",
    "HTTP_PROXY": "proxy for http, likewise",
    "NO_PROXY": "hosts that are reached without the proxy",
}
_TRUE = ("1", "on", "yes", "true")
_NOT_FOR_WORKERS = ("MEDFM_LLM_KEY", "HF_TOKEN", "HUGGING_FACE_HUB_TOKEN", "HTTPS_PROXY", "HTTP_PROXY")


@dataclass(frozen=True)
class Settings:
    """What the environment asks for; read once per command by `read_settings`."""

    resources: Path
    device: str
    threads: int | None
    memory_gb: float | None


@dataclass(frozen=True)
class HubSettings:
    """What the environment asks of the hub.

    Attributes:
        cache: folder of fetched weights.
        offline: whether no connection may be opened.
        endpoint: address of the hub or of its mirror, without a final slash.
    """

    cache: Path
    offline: bool
    endpoint: str


def read_hub_settings() -> HubSettings:
    """Read the hub's settings from the environment.

    Raises:
        InputError: the address of the hub is none, or is not safe to send a token to.
    """
    endpoint = (os.environ.get("HF_ENDPOINT") or HUB_ENDPOINT).rstrip("/")
    if not is_safe_address(endpoint):
        raise InputError(
            f"the environment variable HF_ENDPOINT is {endpoint!r}", "set it to an https address, or leave it unset"
        )
    cache = os.environ.get("MEDFM_CACHE")
    return HubSettings(
        cache=Path(cache).expanduser() if cache else _default_cache(),
        offline=any(_is_true(name) for name in ("MEDFM_OFFLINE", "HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE")),
        endpoint=endpoint,
    )


def has_display() -> bool:
    """Whether a window can be opened, or drawn in memory; on Windows and macOS always, else as the desktop says."""
    if sys.platform in ("win32", "darwin"):
        return True
    return any(os.environ.get(name) for name in ("DISPLAY", "WAYLAND_DISPLAY", "QT_QPA_PLATFORM"))


def is_safe_address(address: str) -> bool:
    """Whether what is sent to an address cannot be read on the way: https, or this machine itself."""
    parts = urlsplit(address)
    return bool(parts.hostname) and (
        parts.scheme == "https" or (parts.scheme == "http" and parts.hostname in ("127.0.0.1", "localhost", "::1"))
    )


def prepare_hub_environment(offline: bool) -> None:
    """Set what huggingface_hub reads when it is imported: no usage figures, no bars of its own, our authorities.

    Args:
        offline: whether it must not open connections.
    """
    os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
    os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
    authorities = os.environ.get("REQUESTS_CA_BUNDLE") or os.environ.get("CURL_CA_BUNDLE")
    if authorities:
        os.environ.setdefault("SSL_CERT_FILE", authorities)
    if offline:
        os.environ["HF_HUB_OFFLINE"] = "1"


def worker_environment() -> dict[str, str]:
    """The environment for a process that reads files of strangers: ours without keys, and offline."""
    kept = {name: value for name, value in os.environ.items() if name.upper() not in _NOT_FOR_WORKERS}
    return kept | {"HF_HUB_OFFLINE": "1", "MEDFM_OFFLINE": "1"}


def child_environment(root: Path) -> dict[str, str]:
    """Our environment for a process of our own, which must find this package whatever it was started with.

    Args:
        root: the folder that holds the package.
    """
    before = os.environ.get("PYTHONPATH")
    return dict(os.environ) | {"PYTHONPATH": f"{root}{os.pathsep}{before}" if before else str(root)}


def fsl_folder() -> Path | None:
    """The folder of FSL, None where it is not said."""
    folder = os.environ.get("FSLDIR")
    return Path(folder) if folder else None


def total_segmentator_command() -> Path | None:
    """The command TotalSegmentator that the user names, None where none is named."""
    name = os.environ.get("MEDFM_TOTALSEGMENTATOR")
    return Path(name).expanduser() if name else None


def total_segmentator_weights() -> Path:
    """The folder in which TotalSegmentator keeps its weights."""
    folder = os.environ.get("TOTALSEG_WEIGHTS_PATH")
    if folder:
        return Path(folder)
    return Path(os.environ.get("TOTALSEG_HOME_DIR") or Path.home() / ".totalsegmentator") / "nnunet" / "results"


def total_segmentator_environment(home: Path) -> dict[str, str]:
    """The environment for TotalSegmentator: ours without keys, its weights where they are, settings of ours.

    Args:
        home: folder of the settings that it shall read.
    """
    kept = {name: value for name, value in os.environ.items() if name.upper() not in _NOT_FOR_WORKERS}
    return kept | {"TOTALSEG_HOME_DIR": str(home), "TOTALSEG_WEIGHTS_PATH": str(total_segmentator_weights())}


def read_settings() -> Settings:
    """Read the settings from the environment.

    Raises:
        InputError: a variable holds something that is not of its kind.
    """
    return Settings(
        resources=Path(os.environ.get("MEDFM_RESOURCES") or _default_resources()),
        device=os.environ.get("MEDFM_DEVICE") or "auto",
        threads=_number("MEDFM_THREADS", int),
        memory_gb=_number("MEDFM_MEMORY_GB", float),
    )


def _default_resources() -> Path:
    """The Resources folder: inside the installed package, or beside it in a checkout."""
    package = Path(__file__).resolve().parent
    installed = package / "Resources"
    return installed if installed.is_dir() else package.parent / "Resources"


def _default_cache() -> Path:
    """The user's folder for what programs fetch; short on Windows, where paths must stay below 260 characters."""
    if os.name == "nt":
        return Path(os.environ.get("LOCALAPPDATA") or Path.home()) / "MedFM"
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Application Support" / "MedFM"
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "medfm"


def _is_true(name: str) -> bool:
    return (os.environ.get(name) or "").lower() in _TRUE


def _number(name: str, kind: type) -> int | float | None:
    text = os.environ.get(name)
    if not text:
        return None
    try:
        value = kind(text)
    except ValueError:
        value = 0
    if value <= 0:
        raise InputError(f"the environment variable {name} is {text!r}", f"set it to a positive {kind.__name__}")
    return value


def llm_key() -> str | None:
    """The key for a language model's endpoint, None where it is not set."""
    return os.environ.get("MEDFM_LLM_KEY") or None


def local_world_size() -> int:
    """How many processes of this run torchrun started on this machine; 1 without torchrun."""
    return int(os.environ.get("LOCAL_WORLD_SIZE") or 1)
