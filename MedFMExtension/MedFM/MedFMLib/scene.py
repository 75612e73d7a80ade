"""The scene as the models see it: `host.SceneHost` over MRML.

The same code runs in Slicer (`SlicerScene(slicer.mrmlScene)`) and on the slicer-core package outside it. This file and
the `scene_*` files beside it are the only ones that touch MRML. What belongs to a volume is found through references on
the volume's own node, which a saved scene keeps, so nothing here is lost when the module is reloaded.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import slicer

from .host import VolumeFacts
from .result_image import read_voxels
from .results import Result, read_result
from .scene_errors import SceneError
from .scene_export import volume_facts, write_volume
from .scene_findings import add_findings
from .scene_nodes import PREFIX, mark, nodes, on_volume
from .scene_saliency import FILE, add_saliency, get_threshold, set_threshold, show_legend
from .scene_segments import add_segmentation, only_outlines
from .scene_views import OPACITY, centre_views, restore, set_opacity, show_over, shown_overlay
from .scene_watch import SceneWatch

ORGANS, FINDINGS, SALIENCY = f"{PREFIX}organs", f"{PREFIX}findings", f"{PREFIX}saliency"
_ROLES = (ORGANS, FINDINGS, SALIENCY)


class SlicerScene:
    """A MRML scene that takes results.

    Args:
        scene: `slicer.mrmlScene`, or any other.
    """

    def __init__(self, scene: slicer.vtkMRMLScene) -> None:
        self.scene = scene
        self._opacity = OPACITY
        self._latest: slicer.vtkMRMLVolumeNode | None = None
        self._watch = SceneWatch(scene, self._node_goes, self._scene_closed)

    def close(self) -> None:
        """Observe the scene no more, as before the module is reloaded; nodes and views stay as they are."""
        self._watch.stop()

    def facts(self, volume: slicer.vtkMRMLVolumeNode) -> VolumeFacts:
        """What is known of a volume.

        Raises:
            SceneError: it is gone, or has no voxels.
        """
        self._check_alive(volume)
        return volume_facts(volume, has_result=self.segmentation(volume) is not None)

    def likely_input(self) -> slicer.vtkMRMLVolumeNode | None:
        """The volume that is worked with: the active one, else the first that is no label map and not made by us."""
        selection = self.scene.GetFirstNodeByClass("vtkMRMLSelectionNode")
        active = self.scene.GetNodeByID(selection.GetActiveVolumeID() or "") if selection is not None else None
        found = [active, *nodes(self.scene, "vtkMRMLScalarVolumeNode")]
        return next((node for node in found if node is not None and _may_be_scan(node)), None)

    def is_alive(self, volume: slicer.vtkMRMLVolumeNode | None) -> bool:
        """Whether a volume is still in the scene."""
        return volume is not None and bool(self.scene.IsNodePresent(volume))

    def export(self, volume: slicer.vtkMRMLVolumeNode, folder: str) -> str:
        """Write a volume's voxels and geometry, uncompressed; the path of the file.

        Raises:
            SceneError: the volume is gone or empty, or the file cannot be written.
        """
        self._check_alive(volume)
        return write_volume(volume, folder)

    def import_result(
        self, volume: slicer.vtkMRMLVolumeNode, result: Result, provenance: Mapping[str, str] | None = None
    ) -> None:
        """Add organs and findings beside a volume, in place of an earlier result of it.

        Saliency maps are read when they are first shown: a full-size map takes 400 MB.

        Args:
            volume: what was analysed.
            result: what was found.
            provenance: written on the nodes, beside model, version and date.

        Raises:
            SceneError: the volume is gone, or the result is another scan's or damaged; then nothing was added.
        """
        self._check_alive(volume)
        affine, shape = _grid(result)
        labels = on_volume(read_voxels(result.label_map, shape), affine, volume)
        if labels.dtype != np.uint8:
            raise SceneError(f"{result.label_map} holds no labels", "analyse the scan anew")
        made: list[slicer.vtkMRMLNode] = []
        try:
            made.append(add_segmentation(self.scene, result, labels, volume))
            if result.findings:
                made.append(add_findings(self.scene, result, volume))
        except Exception as error:
            for node in made:
                self.scene.RemoveNode(node)
            raise SceneError(
                f"the result in {result.folder} is damaged ({error!r})", "analyse the scan anew"
            ) from error
        self.remove_result(volume)
        for role, node in zip(_ROLES, made, strict=False):
            mark(node, {**_facts(result), **(provenance or {})})
            volume.SetNodeReferenceID(role, node.GetID())
        self._latest = volume

    def remove_result(self, volume: slicer.vtkMRMLVolumeNode) -> None:
        """Take the result of a volume out of the scene; views show what they showed before."""
        self.hide_saliency()
        for role in _ROLES:
            for node in _referenced(volume, role):
                self.scene.RemoveNode(node)
            volume.RemoveNodeReferenceIDs(role)

    def segmentation(self, volume: slicer.vtkMRMLVolumeNode) -> slicer.vtkMRMLSegmentationNode | None:
        """The organs found in a volume; None where it was not analysed."""
        return volume.GetNodeReference(ORGANS)

    def findings(self, volume: slicer.vtkMRMLVolumeNode) -> slicer.vtkMRMLTableNode | None:
        """The table of findings in a volume; None where there is none."""
        return volume.GetNodeReference(FINDINGS)

    def centre_on(self, point_ras: tuple[float, float, float]) -> None:
        """Move the slice views to a point of the latest result, in its scan's RAS, mm; a transform moves it along."""
        if self.is_alive(self._latest):
            moved = [0.0, 0.0, 0.0]
            self._latest.TransformPointToWorld(point_ras, moved)
            point_ras = tuple(moved)
        centre_views(self.scene, point_ras)

    def show_saliency(self, volume: slicer.vtkMRMLVolumeNode, path: str | Path, title: str) -> None:
        """Show a saliency map over its volume, with its legend, in the place of any other map.

        Args:
            volume: what was analysed.
            path: the map's file in the folder of results; not needed any more once it was shown.
            title: of the legend.

        Raises:
            SceneError: the volume is gone, or the map is missing, damaged or another scan's.
        """
        self._check_alive(volume)
        node = self._saliency(volume, Path(path), title)
        shown = shown_overlay(self.scene)
        if shown is not None and shown is not node:
            show_legend(shown, False)
        self._latest = volume
        show_over(self.scene, node, volume, self._opacity)
        show_legend(node, True)
        if self.segmentation(volume) is not None:
            only_outlines(self.segmentation(volume), True)

    def hide_saliency(self) -> None:
        """Show no saliency map, and the views as they were before."""
        shown = shown_overlay(self.scene)
        if shown is not None:
            show_legend(shown, False)
        for node in nodes(self.scene, "vtkMRMLSegmentationNode"):
            only_outlines(node, False)
        restore(self.scene)

    @property
    def saliency(self) -> slicer.vtkMRMLScalarVolumeNode | None:
        """The map that is shown; None where none is."""
        return shown_overlay(self.scene)

    def set_saliency_opacity(self, opacity: float) -> None:
        """Set how much the map covers, 0 to 1; kept for the next map."""
        self._opacity = min(max(opacity, 0.0), 1.0)
        set_opacity(self.scene, self._opacity)

    def set_saliency_threshold(self, share: float) -> None:
        """Leave without colour what is below a share of the value that has the last colour, 0 to 1."""
        if self.saliency is not None:
            set_threshold(self.saliency, share)

    def saliency_threshold(self) -> float | None:
        """The share in force, 0 to 1; None where no map is shown."""
        return None if self.saliency is None else get_threshold(self.saliency)

    def _saliency(self, volume: slicer.vtkMRMLVolumeNode, path: Path, title: str) -> slicer.vtkMRMLScalarVolumeNode:
        for node in _referenced(volume, SALIENCY):
            if node.GetAttribute(FILE) == path.name:
                return node
        result = read_result(path.parent)
        affine, shape = _grid(result)
        voxels = on_volume(read_voxels(path, shape).astype(np.float32, copy=False), affine, volume)
        node = add_saliency(self.scene, voxels, volume, title)
        mark(node, _facts(result))
        node.SetAttribute(FILE, path.name)
        volume.AddNodeReferenceID(SALIENCY, node.GetID())
        return node

    def _check_alive(self, volume: slicer.vtkMRMLVolumeNode | None) -> None:
        if not self.is_alive(volume):
            raise SceneError("the volume is no longer in the scene", "load it again and choose it")

    def _node_goes(self, node: slicer.vtkMRMLNode) -> None:
        """Put the views back before the map that they show, or the volume below it, is gone."""
        shown = shown_overlay(self.scene)
        if shown is not None and (node is shown or shown in _referenced(node, SALIENCY)):
            self.hide_saliency()

    def _scene_closed(self) -> None:
        self._opacity, self._latest = OPACITY, None


def _may_be_scan(node: slicer.vtkMRMLNode) -> bool:
    is_volume = node.IsA("vtkMRMLScalarVolumeNode") and not node.IsA("vtkMRMLLabelMapVolumeNode")
    return is_volume and node.GetAttribute(FILE) is None and not node.GetHideFromEditors()


def _referenced(node: slicer.vtkMRMLNode, role: str) -> list[slicer.vtkMRMLNode]:
    """What a node refers to in a role, as far as it is still there."""
    found = (node.GetNthNodeReference(role, index) for index in range(node.GetNumberOfNodeReferences(role)))
    return [other for other in found if other is not None]


def _grid(result: Result) -> tuple[np.ndarray, tuple[int, int, int]]:
    """Affine and shape of the analysed scan.

    Raises:
        SceneError: the manifest has none.
    """
    try:
        given = result.manifest["input"]
        affine = np.array(given["affine_ras"], dtype=np.float64).reshape(4, 4)
        i, j, k = (int(size) for size in given["shape"])
        np.linalg.inv(affine)
    except (KeyError, TypeError, ValueError, np.linalg.LinAlgError) as error:
        raise SceneError(f"the result in {result.folder} does not say where its voxels lie") from error
    return affine, (i, j, k)


def _facts(result: Result) -> dict[str, str]:
    manifest = result.manifest
    facts = {"Model": manifest["model"]["id"], "Version": manifest["medfm"], "Created": manifest["created"]}
    if "findings" in manifest:
        facts["FindingsModel"] = manifest["findings"]["model"]["id"]
    return {**{name: str(value) for name, value in facts.items()}, "Notice": str(manifest["notice"])}
