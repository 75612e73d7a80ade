"""What `medfm doctor` shows: whether this machine can run MedFM, and what to do where it cannot.

Nothing here touches the network, and no check ends in an error: what cannot be found out is shown as such.
"""

from __future__ import annotations

import os
import platform
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass
from importlib import metadata, util
from pathlib import Path
from typing import TYPE_CHECKING

from medfm_core import __version__, machine
from medfm_core.anatomy import load_vocabulary
from medfm_core.card_library import list_cards
from medfm_core.errors import MedFMError
from medfm_core.hub.present import is_fetched
from medfm_core.settings import VARIABLES, read_settings
from medfm_core.weights import check_safetensors

if TYPE_CHECKING:
    from rich.table import Table

STATES = ("ok", "warn", "missing")
REQUIRED = (
    "torch",
    "numpy",
    "SimpleITK",
    "nibabel",
    "pydicom",
    "safetensors",
    "huggingface_hub",
    "rich",
    "jinja2",
    "matplotlib",
)
OPTIONAL = {
    "monai": "training and the benchmarks",
    "jsonargparse": "training",
    "transformers": "questions in free text (`medfm ask`) and encoding new sentences",
}
SYNTAXES = {
    "JPEG": "JPEGBaseline8Bit",
    "JPEG lossless": "JPEGLosslessSV1",
    "JPEG-LS": "JPEGLSLossless",
    "JPEG 2000": "JPEG2000Lossless",
    "HTJ2K": "HTJ2KLossless",
    "RLE": "RLELossless",
}
DECODERS = ("libjpeg", "openjpeg", "gdcm", "PIL")
_GB = 1e9
_RAM_GB, _DISK_GB = 4.0, 2.0


@dataclass(frozen=True)
class Check:
    """One thing looked at.

    Attributes:
        name: what was looked at.
        state: "ok", "warn" (works, with a drawback) or "missing" (something cannot run).
        detail: what was found.
        fix: what to do about it; empty where nothing is needed.
    """

    name: str
    state: str
    detail: str
    fix: str = ""


def run_checks() -> tuple[Check, ...]:
    """Look at everything. Imports torch, when it is there; takes a second or two."""
    parts: tuple[Callable[[], Iterable[Check]], ...] = (
        _versions,
        _processor,
        _memory,
        _disk,
        _devices,
        _decoders,
        _resources,
        _environment,
    )
    return tuple(check for part in parts for check in _guarded(part))


def worst(checks: Iterable[Check]) -> str:
    """The gravest state among the checks."""
    return max((check.state for check in checks), key=STATES.index, default="ok")


def as_dict(checks: Iterable[Check]) -> dict:
    """The checks as JSON data: `{"version": 1, "state": ..., "checks": [{"name", "state", "detail", "fix"}, ...]}`."""
    checks = tuple(checks)
    return {"version": 1, "state": worst(checks), "checks": [asdict(check) for check in checks]}


def table(checks: Iterable[Check]) -> Table:
    """The checks as a table for a rich console."""
    from rich.table import Table
    from rich.text import Text

    styles = {"ok": "green", "warn": "yellow", "missing": "red"}
    made = Table(title="MedFM on this machine", title_justify="left", show_lines=False)
    for column in ("", "What", "Found", "To do"):
        made.add_column(column, overflow="fold")
    for check in checks:
        state = Text(check.state, style=styles[check.state])
        made.add_row(state, Text(check.name), Text(check.detail), Text(check.fix))
    return made


def _guarded(part: Callable[[], Iterable[Check]]) -> Iterator[Check]:
    try:
        yield from part()
    except Exception as error:  # a broken installation must not keep the user from seeing the rest
        name = part.__name__.strip("_").replace("_", " ")
        yield Check(name, "warn", f"could not be looked at: {type(error).__name__}: {error}")


def _versions() -> Iterator[Check]:
    yield Check("medfm", "ok", f"{__version__}, in {Path(__file__).resolve().parent}")
    is_known = (3, 10) <= sys.version_info < (3, 14)
    yield Check(
        "python",
        "ok" if is_known else "warn",
        f"{platform.python_version()}, {platform.platform()}",
        "" if is_known else "use Python 3.10 to 3.13",
    )
    for package in REQUIRED:
        version = _version(package)
        if version is None:
            yield Check(package, "missing", "not installed", f"pip install {package}")
        else:
            yield Check(package, "ok", version)
    for package, purpose in OPTIONAL.items():
        yield Check(package, "ok", _version(package) or f"not installed; only {purpose} would need it")


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def _processor() -> Iterator[Check]:
    cores = machine.usable_cores()
    detail = f"{cores} of {os.cpu_count()} cores usable, {platform.machine()}"
    yield Check("cores", "ok" if cores > 1 else "warn", detail)
    if util.find_spec("torch") is None:
        return
    import torch

    # the private names are all that torch < 2.11 offers; a build without them simply shows fewer
    features = {
        "AVX2": "_is_avx2_supported",
        "AVX-512": "_is_avx512_supported",
        "AVX-512 BF16": "_is_avx512_bf16_supported",
        "AMX": "_is_amx_tile_supported",
    }
    found = [name for name, probe in features.items() if getattr(torch.cpu, probe, bool)()]
    is_fast = "AVX-512 BF16" in found or "AMX" in found
    speed = "bf16 in hardware" if is_fast else "no bf16 in hardware, fp32 is used"
    yield Check("processor", "ok", f"{', '.join(found) or 'no vector extensions reported'}; {speed}")
    yield Check("torch threads", "ok", f"{torch.get_num_threads()}")


def _memory() -> Iterator[Check]:
    memory = machine.memory()
    is_enough = memory.free >= _RAM_GB * _GB
    yield Check(
        "memory",
        "ok" if is_enough else "warn",
        f"{memory.free / _GB:.1f} of {memory.total / _GB:.1f} GB free (limit of the {memory.limit})",
        "" if is_enough else f"close other programs: large scans want {_RAM_GB:g} GB",
    )


def _disk() -> Iterator[Check]:
    for name, folder in (("working folder", Path.cwd()), ("temporary folder", Path(tempfile.gettempdir()))):
        free = shutil.disk_usage(folder).free
        can_write = os.access(folder, os.W_OK)
        is_good = can_write and free >= _DISK_GB * _GB
        yield Check(
            name,
            "ok" if is_good else "warn",
            f"{free / _GB:.1f} GB free in {folder}{'' if can_write else ', not writable'}",
            "" if is_good else f"choose a writable folder with {_DISK_GB:g} GB free",
        )


def _devices() -> Iterator[Check]:
    if util.find_spec("torch") is None:
        return
    accelerators = [device for device in machine.devices() if device.name != "cpu"]
    for device in accelerators:
        room = "" if device.free is None else f", {device.free / _GB:.1f} of {device.total / _GB:.1f} GB free"
        yield Check(device.name, "ok", f"{device.title}{room}")
    if not accelerators:
        yield Check("accelerator", "ok", "none (cuda or mps); the CPU is used")


def _decoders() -> Iterator[Check]:
    if util.find_spec("pydicom") is None:
        return
    from pydicom import uid
    from pydicom.pixels import get_decoder

    can = {name: get_decoder(getattr(uid, syntax)).is_available for name, syntax in SYNTAXES.items()}
    readable = [name for name, is_readable in can.items() if is_readable]
    lacking = [name for name, is_readable in can.items() if not is_readable]
    by = [module for module in DECODERS if util.find_spec(module)]
    without = f"; not {', '.join(lacking)}" if lacking else ""
    yield Check(
        "compressed DICOM",
        "warn" if lacking else "ok",
        f"reads {', '.join(readable)}{without} (by {', '.join(by) or 'pydicom alone'})",
        'pip install "medfm[dicom]"' if lacking else "",
    )


def _resources() -> Iterator[Check]:
    folder = read_settings().resources
    if not folder.is_dir():
        yield Check("resources", "missing", f"{folder} is not there", "install MedFM anew or set MEDFM_RESOURCES")
        return
    try:
        vocabulary = load_vocabulary()
        yield Check("vocabulary", "ok", f"{len(vocabulary.organs)} organs, {len(vocabulary.composites)} composites")
        cards = list_cards()
    except MedFMError as error:
        yield Check("resources", "missing", error.what, error.fix)
        return
    if not cards:
        yield Check("models", "missing", f"no model card in {folder / 'cards'}", "install MedFM anew")
    for card in cards:
        if card.source.kind == "package":
            from medfm_core.total_segmentator import find_command  # slow to import

            state = "installed" if find_command() else "not installed, and not needed for other models"
            yield Check(card.id, "ok", f"{card.task}, the program {card.source.package}, {state}")
            continue
        if card.source.kind == "hub" and not is_fetched(card):
            yield Check(card.id, "ok", f"{card.task}, not fetched; `medfm models pull {card.id}` gets it")
            continue
        try:
            paths = card.verify()
            for path in paths:
                if path.suffix == ".safetensors":
                    check_safetensors(path)
            size = sum(file.bytes or 0 for file in card.weights) / 1e6
            yield Check(card.id, "ok", f"{card.task}, {size:.1f} MB verified; licence {card.licence}")
        except MedFMError as error:
            yield Check(card.id, "missing", error.what, error.fix)


def _environment() -> Iterator[Check]:
    try:
        settings = read_settings()
    except MedFMError as error:
        yield Check("settings", "missing", error.what, error.fix)
        return
    yield Check("settings", "ok", f"device {settings.device}, resources {settings.resources}")
    for name, meaning in VARIABLES.items():
        value = os.environ.get(name)
        yield Check(name, "ok", f"{value!r}" if value else f"not set: {meaning}")
