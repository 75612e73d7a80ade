"""The maps over a scan: saliency, and the routing of a brain model's experts; one at a time."""

from __future__ import annotations

from enum import Enum
from pathlib import Path

import numpy as np
import slicer

from .result_image import read_voxels
from .results import read_result
from .scene_errors import SceneError
from .scene_nodes import PREFIX, mark, nodes, on_volume, referenced
from .scene_result import facts_of, grid_of
from .scene_routing import ROUTING_FILE, add_routing, show_routing, shown_routing
from .scene_saliency import FILE, add_saliency, get_threshold, set_threshold, show_legend
from .scene_segments import only_outlines
from .scene_views import OPACITY, restore, set_opacity, show_over, shown_overlay

ORGANS, FINDINGS, SALIENCY, ROUTING = (f"{PREFIX}{role}" for role in ("organs", "findings", "saliency", "routing"))


class MapKind(Enum):
    """What a map holds; the values are those of `brain_maps.BrainMap.kind`."""

    SALIENCY = "saliency"
    ROUTING = "routing"

    @property
    def role(self) -> str:
        """Of the reference from the volume to the map."""
        return {MapKind.SALIENCY: SALIENCY, MapKind.ROUTING: ROUTING}[self]

    @property
    def attribute(self) -> str:
        """That names the file on the map's node."""
        return {MapKind.SALIENCY: FILE, MapKind.ROUTING: ROUTING_FILE}[self]


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
        self._show(volume, overlay=self.add_map(volume, path, title, MapKind.SALIENCY))

    def show_routing(self, volume: slicer.vtkMRMLVolumeNode, path: str | Path, title: str) -> None:
        """Show which expert serves which place of a scan, over its volume and in the place of any other map.

        Args:
            volume: what was analysed.
            path: label map in the folder of results; not needed any more once it was shown.
            title: of the node.

        Raises:
            SceneError: the volume is gone, or the map is missing, damaged or another scan's.
        """
        self._show(volume, routing=self.add_map(volume, path, title, MapKind.ROUTING))

    def add_map(
        self, volume: slicer.vtkMRMLVolumeNode, path: str | Path, title: str, kind: MapKind | str
    ) -> slicer.vtkMRMLDisplayableNode:
        """The node of a map, which is made where the scene has none yet; no view shows it by this.

        Args:
            volume: what was analysed.
            path: the map's file in the folder of results.
            title: of the node, and of its legend.
            kind: what the file holds.

        Raises:
            SceneError: the volume is gone, or the map is missing, damaged or another scan's.
        """
        self._check_alive(volume)
        path, kind = Path(path), MapKind(kind)
        for node in referenced(volume, kind.role):
            if node.GetAttribute(kind.attribute) == path.name:
                return node
        if path.parent == Path():
            raise SceneError("the map is no longer in the scene", "open the folder of its result")
        result = read_result(path.parent)
        affine, shape = grid_of(result, path)
        voxels = on_volume(read_voxels(path, shape), affine, volume)
        if kind is MapKind.SALIENCY:
            node = add_saliency(self.scene, voxels.astype(np.float32, copy=False), volume, title)
        elif voxels.dtype == np.uint8 and result.labels:
            node = add_routing(self.scene, result, voxels, volume, title)
        else:
            raise SceneError(f"{path} holds no experts", "analyse the scan anew")
        mark(node, facts_of(result))
        node.SetAttribute(kind.attribute, path.name)
        volume.AddNodeReferenceID(kind.role, node.GetID())
        return node

    def maps(self, volume: slicer.vtkMRMLVolumeNode) -> list[slicer.vtkMRMLDisplayableNode]:
        """The nodes of a volume's maps, those of saliency first."""
        return [node for kind in MapKind for node in referenced(volume, kind.role)]

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

    def shown_map(self, volume: slicer.vtkMRMLVolumeNode) -> str:
        """Name of the file of the volume's map that the views show; "" where they show none of it."""
        for kind, shown in ((MapKind.SALIENCY, self.saliency), (MapKind.ROUTING, self.routing)):
            if shown is not None and shown in referenced(volume, kind.role):
                return shown.GetAttribute(kind.attribute) or ""
        return ""

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

    def _show(
        self,
        volume: slicer.vtkMRMLVolumeNode,
        overlay: slicer.vtkMRMLScalarVolumeNode | None = None,
        routing: slicer.vtkMRMLSegmentationNode | None = None,
    ) -> None:
        """Show one map of a volume, of either kind, and no other."""
        before = shown_overlay(self.scene)
        if before is not None and before is not overlay:
            show_legend(before, False)
        self._latest = volume
        show_routing(self.scene, routing, self._opacity)
        show_over(self.scene, overlay, volume, self._opacity)
        if overlay is not None:
            show_legend(overlay, True)
        if self.segmentation(volume) is not None:
            only_outlines(self.segmentation(volume), True)

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
