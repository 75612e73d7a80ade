"""What a result says for the scene: where its voxels lie, and where its nodes come from."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from .results import Result
from .scene_errors import SceneError


def grid_of(result: Result, path: Path) -> tuple[np.ndarray, tuple[int, int, int]]:
    """Affine and shape of the scan that a map of a result lies on.

    Raises:
        SceneError: the manifest has none.
    """
    try:
        given = result.grid_of(path)
    except KeyError as error:
        raise SceneError(f"the result in {result.folder} does not say where its voxels lie") from error
    return place_of(given, result)


def place_of(given: Mapping[str, Any], result: Result) -> tuple[np.ndarray, tuple[int, int, int]]:
    """The same from an entry of the manifest, with `affine_ras` and `shape`.

    Raises:
        SceneError: it has none.
    """
    try:
        affine = np.array(given["affine_ras"], dtype=np.float64).reshape(4, 4)
        i, j, k = (int(size) for size in given["shape"])
        np.linalg.inv(affine)
    except (KeyError, TypeError, ValueError, np.linalg.LinAlgError) as error:
        raise SceneError(f"the result in {result.folder} does not say where its voxels lie") from error
    return affine, (i, j, k)


def facts_of(result: Result) -> dict[str, str]:
    """Model, version, date and notice, for the attributes of nodes."""
    manifest = result.manifest
    facts = {"Model": manifest["model"]["id"], "Version": manifest["medfm"], "Created": manifest["created"]}
    if "findings" in manifest:
        facts["FindingsModel"] = manifest["findings"]["model"]["id"]
    return {**{name: str(value) for name, value in facts.items()}, "Notice": str(manifest["notice"])}
