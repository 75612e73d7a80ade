"""The sizes that a design comes in: `architectures/<design>-<size>.json` of the Resources folder.

Each file holds what a model card's `architecture` entry holds: `name`, the design, and the values of its configuration.
"""

from __future__ import annotations

import json
from typing import Any, TypeVar

from medfm_core.errors import InputError, WeightsError
from medfm_core.settings import read_settings
from medfm_core.strict import from_dict, unknown_name

T = TypeVar("T")


def read_sizes(design: str) -> dict[str, dict[str, Any]]:
    """Read all sizes of a design.

    Args:
        design: the name of the architecture, e.g. "totalfm".

    Returns:
        Values of the configuration by size.

    Raises:
        WeightsError: there is no file of the design, or one is not usable.
    """
    folder = read_settings().resources / "architectures"
    found = {}
    for path in sorted(folder.glob(f"{design}-*.json")):
        try:
            data = json.loads(path.read_text(encoding="utf-8"))
            if data.pop("name") != design:
                raise ValueError("it is of another architecture")
        except (OSError, ValueError, KeyError, AttributeError, TypeError) as error:
            raise WeightsError(f"the architecture {path} is not usable ({error!r})", "install MedFM anew") from error
        found[path.stem.removeprefix(f"{design}-")] = data
    if not found:
        raise WeightsError(f"no architecture {design}-*.json lies in {folder}", "install MedFM anew")
    return found


def size_config(design: str, size: str, kind: type[T]) -> T:
    """Make the configuration of one size.

    Args:
        design: the name of the architecture.
        size: one of `read_sizes`.
        kind: the dataclass of the configuration.

    Raises:
        InputError: there is no such size; the nearest is named.
        WeightsError: its file is not usable.
    """
    known = read_sizes(design)
    if size not in known:
        raise InputError(unknown_name(f"size of {design}", size, known), "choose a known one")
    return from_dict(kind, known[size], f"{design}-{size}", WeightsError)
