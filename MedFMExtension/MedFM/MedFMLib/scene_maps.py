"""The maps over a scan: saliency, and the routing of a brain model's experts; one at a time."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import slicer

from .result_image import read_voxels
from .results import Result, read_result
from .scene_errors import SceneError
from .scene_nodes import PREFIX, mark, nodes, on_volume, referenced
from .scene_result import facts_of, grid_of
from .scene_routing import ROUTING_FILE, add_routing, show_routing, shown_routing
from .scene_saliency import FILE, add_saliency, get_threshold, set_threshold, show_legend
from .scene_segments import only_outlines
from .scene_views import OPACITY, restore, set_opacity, show_over, shown_overlay

ORGANS, FINDINGS, SALIENCY, ROUTING = (f"{PREFIX}{role}" for role in ("organs", "findings", "saliency", "routing"))


class SceneMaps:
    """A scene whose views can show a map.

    Args:
        scene: `slicer.mrmlScene`, or any other.
    """

    def __init__(self, scene: slicer.vtkMRMLScene) -> None:
        self.scene = scene
        self._opacity = OPACITY
        self._latest: slicer.vtkMRMLVolumeNode | None = None

    def is_alive(self, volume: slicer.vtkMRMLVolumeNode | None) -> bool:
        """Whether a volume is still in the scene."""
        return volume is not None and bool(self.scene.IsNodePresent(volume))

    def segmentation(self, volume: slicer.vtkMRMLVolumeNode) -> slicer.vtkMRMLSegmentationNode | None:
        """The organs found in a volume; None where it was not analysed."""
        return volume.GetNodeReference(ORGANS)

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
        show_routing(self.scene, None, 0.0)
        self._latest = volume
        show_over(self.scene, node, volume, self._opacity)
        show_legend(node, True)
        if self.segmentation(volume) is not None:
            only_outlines(self.segmentation(volume), True)

    def show_routing(self, volume: slicer.vtkMRMLVolumeNode, path: str | Path, title: str) -> None:
        """Show which expert serves which place of a scan, over its volume and in the place of any other map.

        Args:
            volume: what was analysed.
            path: label map in the folder of results; not needed any more once it was shown.
            title: of the node.

        Raises:
            SceneError: the volume is gone, or the map is missing, damaged or another scan's.
        """
        self._check_alive(volume)
        node = self._routing(volume, Path(path), title)
        shown = shown_overlay(self.scene)
        if shown is not None:
            show_legend(shown, False)
        self._latest = volume
        show_over(self.scene, None, volume)
        show_routing(self.scene, node, self._opacity)

    def hide_saliency(self) -> None:
        """Show no map, and the views as they were before."""
        show_routing(self.scene, None, 0.0)
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

    @property
    def routing(self) -> slicer.vtkMRMLSegmentationNode | None:
        """The routing that is shown; None where none is."""
        return shown_routing(self.scene)

    def set_saliency_opacity(self, opacity: float) -> None:
        """Set how much the map covers, 0 to 1; kept for the next map."""
        self._opacity = min(max(opacity, 0.0), 1.0)
        set_opacity(self.scene, self._opacity)
        if self.routing is not None:
            self.routing.GetDisplayNode().SetOpacity2DFill(self._opacity)

    def set_saliency_threshold(self, share: float) -> None:
        """Leave without colour what is below a share of the value that has the last colour, 0 to 1."""
        if self.saliency is not None:
            set_threshold(self.saliency, share)

    def saliency_threshold(self) -> float | None:
        """The share in force, 0 to 1; None where no map is shown."""
        return None if self.saliency is None else get_threshold(self.saliency)

    def _saliency(self, volume: slicer.vtkMRMLVolumeNode, path: Path, title: str) -> slicer.vtkMRMLScalarVolumeNode:
        for node in referenced(volume, SALIENCY):
            if node.GetAttribute(FILE) == path.name:
                return node
        result = read_result(path.parent)
        affine, shape = grid_of(result, path)
        voxels = on_volume(read_voxels(path, shape).astype(np.float32, copy=False), affine, volume)
        node = add_saliency(self.scene, voxels, volume, title)
        self._keep(node, (SALIENCY, FILE), (volume, path), result)
        return node

    def _routing(self, volume: slicer.vtkMRMLVolumeNode, path: Path, title: str) -> slicer.vtkMRMLSegmentationNode:
        for node in referenced(volume, ROUTING):
            if node.GetAttribute(ROUTING_FILE) == path.name:
                return node
        result = read_result(path.parent)
        affine, shape = grid_of(result, path)
        labels = on_volume(read_voxels(path, shape), affine, volume)
        if labels.dtype != np.uint8 or not result.labels:
            raise SceneError(f"{path} holds no experts", "analyse the scan anew")
        node = add_routing(self.scene, result, labels, volume, title)
        self._keep(node, (ROUTING, ROUTING_FILE), (volume, path), result)
        return node

    def _keep(
        self,
        node: slicer.vtkMRMLNode,
        names: tuple[str, str],
        place: tuple[slicer.vtkMRMLVolumeNode, Path],
        result: Result,
    ) -> None:
        """Note on a map's node where it is from, and on its volume that it has it; `names` of role and attribute."""
        (role, attribute), (volume, path) = names, place
        mark(node, facts_of(result))
        node.SetAttribute(attribute, path.name)
        volume.AddNodeReferenceID(role, node.GetID())

    def _check_alive(self, volume: slicer.vtkMRMLVolumeNode | None) -> None:
        if not self.is_alive(volume):
            raise SceneError("the volume is no longer in the scene", "load it again and choose it")

    def _node_goes(self, node: slicer.vtkMRMLNode) -> None:
        """Put the views back before the map that they show, or the volume below it, is gone."""
        shown = shown_overlay(self.scene)
        routing = self.routing
        goes = shown is not None and (node is shown or shown in referenced(node, SALIENCY))
        if goes or (routing is not None and (node is routing or routing in referenced(node, ROUTING))):
            self.hide_saliency()
