"""What a scene itself carries of a result, so that it can be listed again after the scene was saved and opened.

Organs, findings and the maps that were shown are nodes; what they do not say, such as volumes and centres of organs, is
kept with them as one attribute. The folder of the result may be gone by then, so nothing here needs it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import slicer

from .brain_result import scan_of
from .host import Carried
from .results import Result, Structure, saliency_of, structures_of
from .scene_errors import SceneError
from .scene_findings import read_findings
from .scene_maps import FINDINGS, ORGANS, MapKind
from .scene_nodes import PREFIX, dimensions, ijk_to_ras, nodes, referenced

BRAIN = f"{PREFIX}BrainScan"  # on a volume: name of the scan that it is in its result
_KEPT = f"{PREFIX}Result"
_COPIED = ("schema", "medfm", "created", "notice", "model", "whole_body")


def keep(node: slicer.vtkMRMLNode, result: Result) -> None:
    """Write onto a node what no other node says of a result.

    Args:
        node: the organs, or a scan of brain MRI.
        result: which was taken into the scene.
    """
    manifest = {name: result.manifest[name] for name in _COPIED if name in result.manifest}
    manifest["warnings"] = list(result.warnings)
    manifest["structures"] = {name: _entry(structure) for name, structure in result.structures.items()}
    node.SetAttribute(_KEPT, json.dumps(manifest))


def forget(node: slicer.vtkMRMLNode) -> None:
    """Take it away again, and that a volume is a scan of a study."""
    node.RemoveAttribute(_KEPT)
    node.RemoveAttribute(BRAIN)


def carried(volume: slicer.vtkMRMLVolumeNode) -> Carried | None:
    """The result that the scene carries of a volume; None where it carries none.

    Args:
        volume: which was analysed.

    Raises:
        SceneError: the nodes do not fit each other any more.
    """
    try:
        if volume.GetAttribute(BRAIN) is not None:
            return _of_brain(volume)
        organs = volume.GetNodeReference(ORGANS)
        return None if organs is None else _of_organs(volume, organs)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise SceneError(
            f"what the scene holds of the result cannot be read ({error})", "open its folder, or analyse the scan anew"
        ) from error


def _of_organs(volume: slicer.vtkMRMLVolumeNode, organs: slicer.vtkMRMLNode) -> Carried:
    manifest, table = _manifest(organs), volume.GetNodeReference(FINDINGS)
    findings = () if table is None else read_findings(table)
    titles = {name: str(entry["title"]) for name, entry in manifest["structures"].items()}
    maps = saliency_of(Path(), _files(volume, MapKind.SALIENCY), findings)
    result = Result(
        None, manifest, structures_of(manifest, titles), (), findings, maps, tuple(map(str, manifest["warnings"]))
    )
    return Carried(result, {})


def _of_brain(volume: slicer.vtkMRMLVolumeNode) -> Carried:
    """All scans of the study: those that were taken into the scene with the same words."""
    kept, manifest = volume.GetAttribute(_KEPT), _manifest(volume)
    found = (other for other in nodes(volume.GetScene(), "vtkMRMLVolumeNode") if other.GetAttribute(_KEPT) == kept)
    volumes = {other.GetAttribute(BRAIN): other for other in found if other.GetAttribute(BRAIN) is not None}
    scans = []
    for name, node in volumes.items():
        grid = {"shape": dimensions(node), "affine_ras": ijk_to_ras(node).tolist()}
        files = (*_files(node, MapKind.SALIENCY), *_files(node, MapKind.ROUTING))
        scans.append(scan_of(name, grid, Path(), files))
    result = Result(None, manifest, {}, (), (), {}, tuple(map(str, manifest["warnings"])), tuple(scans))
    return Carried(result, volumes)


def _manifest(node: slicer.vtkMRMLNode) -> Mapping[str, Any]:
    """What `keep` wrote; of a scene that an older release saved the little that is sure."""
    kept = node.GetAttribute(_KEPT)
    return json.loads(kept) if kept else {"warnings": [], "structures": {}}


def _files(volume: slicer.vtkMRMLVolumeNode, kind: MapKind) -> list[str]:
    return [node.GetAttribute(kind.attribute) or "" for node in referenced(volume, kind.role)]


def _entry(structure: Structure) -> dict[str, Any]:
    """As in `analysis.json`, with the title, and without what is not needed to list findings."""
    entry = {
        "title": structure.title,
        "state": structure.state,
        "reason": structure.reason,
        "volume_ml": structure.volume_ml,
        "centre_ras_mm": structure.centre_ras,
        "parts": structure.parts,
    }
    return {name: value for name, value in entry.items() if value not in (None, "", ())}
