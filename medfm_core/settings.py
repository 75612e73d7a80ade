"""Every environment variable that MedFM reads, in one place."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from medfm_core.errors import InputError

VARIABLES = {
    "MEDFM_RESOURCES": "folder that holds weights/, cards/ and vocabulary/ (default: the installed Resources)",
    "MEDFM_DEVICE": "device when --device is not given: auto, cpu, cuda, cuda:1, mps (default: auto)",
    "MEDFM_THREADS": "CPU threads (default: all cores this process may use)",
    "MEDFM_MEMORY_GB": "memory that a run may plan with, in GB (default: what the machine has free)",
}

SECRETS = {"MEDFM_LLM_KEY": "key for the language model's endpoint of --llm-endpoint; nothing shows its value"}


@dataclass(frozen=True)
class Settings:
    """What the environment asks for; read once per command by `read_settings`."""

    resources: Path
    device: str
    threads: int | None
    memory_gb: float | None


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
