"""The scene as the models see it: `host.SceneHost` over MRML.

The same code runs in Slicer (`SlicerScene(slicer.mrmlScene)`) and on the slicer-core package outside it. This file and
the `scene_*` files beside it are the only ones that touch MRML. What belongs to a volume is found through references on
the volume's own node, which a saved scene keeps, so nothing here is lost when the module is reloaded.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import slicer

from .host import Carried, VolumeFacts
from .result_image import read_voxels
from .results import Result
from .scene_carried import BRAIN, carried, forget, keep
from .scene_errors import SceneError
from .scene_export import volume_facts, write_volume
from .scene_findings import add_findings
from .scene_maps import FINDINGS, ORGANS, ROUTING, SALIENCY, SceneMaps
from .scene_nodes import mark, nodes, on_volume, referenced
from .scene_result import facts_of, grid_of, place_of
from .scene_saliency import FILE
from .scene_segments import add_segmentation
from .scene_views import OPACITY, centre_views
from .scene_watch import SceneWatch

_ROLES = (ORGANS, FINDINGS, SALIENCY, ROUTING)


class SlicerScene(SceneMaps):
    """A MRML scene that takes results.

    Args:
        scene: `slicer.mrmlScene`, or any other.
    """

    def __init__(self, scene: slicer.vtkMRMLScene) -> None:
        super().__init__(scene)
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
        has_result = self.segmentation(volume) is not None or volume.GetAttribute(BRAIN) is not None
        return volume_facts(volume, has_result=has_result)

    def likely_input(self) -> slicer.vtkMRMLVolumeNode | None:
        """The volume that is worked with: the active one, else the first that is no label map and not made by us."""
        selection = self.scene.GetFirstNodeByClass("vtkMRMLSelectionNode")
        active = self.scene.GetNodeByID(selection.GetActiveVolumeID() or "") if selection is not None else None
        found = [active, *nodes(self.scene, "vtkMRMLScalarVolumeNode")]
        return next((node for node in found if node is not None and _may_be_scan(node)), None)

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
        affine, shape = grid_of(result, result.label_map)
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
        keep(made[0], result)
        for role, node in zip(_ROLES, made, strict=False):
            mark(node, {**facts_of(result), **(provenance or {})})
            volume.SetNodeReferenceID(role, node.GetID())
        self._latest = volume

    def import_brain(
        self,
        volumes: Mapping[str, slicer.vtkMRMLVolumeNode],
        result: Result,
        provenance: Mapping[str, str] | None = None,
    ) -> None:
        """Take a result of brain MRI, in place of earlier results of its volumes; maps are read when first shown.

        Args:
            volumes: of each scan, by its name in the result.
            result: what was found.
            provenance: written on the volumes, beside model, version and date.

        Raises:
            SceneError: a volume is gone, or is another scan; then nothing was changed.
        """
        for scan in result.scans:
            if scan.name in volumes:
                self._check_alive(volumes[scan.name])
                affine, shape = place_of(scan.grid, result)
                on_volume(np.broadcast_to(np.uint8(0), shape[::-1]), affine, volumes[scan.name])
        for name, volume in volumes.items():
            self.remove_result(volume)
            mark(volume, {**facts_of(result), **(provenance or {})})
            volume.SetAttribute(BRAIN, name)
            keep(volume, result)
            self._latest = volume

    def remove_result(self, volume: slicer.vtkMRMLVolumeNode) -> None:
        """Take the result of a volume out of the scene; views show what they showed before."""
        self.hide_saliency()
        for role in _ROLES:
            for node in referenced(volume, role):
                self.scene.RemoveNode(node)
            volume.RemoveNodeReferenceIDs(role)
        forget(volume)

    def carried(self, volume: slicer.vtkMRMLVolumeNode) -> Carried | None:
        """The result that the scene carries of a volume; None where there is none.

        It is the latest one from now on, to whose scan the points of `centre_on` belong.

        Raises:
            SceneError: its nodes do not fit each other any more.
        """
        self._check_alive(volume)
        found = carried(volume)
        if found is not None:
            self._latest = volume
        return found

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

    def _scene_closed(self) -> None:
        self._opacity, self._latest = OPACITY, None


def _may_be_scan(node: slicer.vtkMRMLNode) -> bool:
    is_volume = node.IsA("vtkMRMLScalarVolumeNode") and not node.IsA("vtkMRMLLabelMapVolumeNode")
    return is_volume and node.GetAttribute(FILE) is None and not node.GetHideFromEditors()
