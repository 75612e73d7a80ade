"""The label map as a segmentation node: one shared map, a segment for each structure that it shows."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import slicer

from .results import Label, Result
from .scene_nodes import PREFIX, fill_image, ijk_to_ras, place_under, to_vtk
from .scene_terms import terminology

_LABEL_MAP = "Binary labelmap"
_FILL, _FILLED = f"{PREFIX}FillBefore", 0.35


def add_segmentation(
    scene: slicer.vtkMRMLScene, result: Result, labels: np.ndarray, volume: slicer.vtkMRMLVolumeNode
) -> slicer.vtkMRMLSegmentationNode:
    """Add the organs of a result.

    Slicer's own import copies each structure out of the map and merges it again, 16 s for 117 structures; handing all
    segments one map, as Slicer holds it in the end, takes a tenth of a second.

    Args:
        scene: where to.
        result: what the labels mean.
        labels: `(k, j, i)` uint8 on the volume's grid.
        volume: what was analysed.

    Returns:
        The node, below the volume in the subject hierarchy, with the volume's geometry as its reference.
    """
    tags = Tags(result.manifest["model"]["id"], lambda label: _organ_tags(label, result))
    node = add_labels(scene, f"{volume.GetName()} organs", (result.labels, labels), volume, tags)
    display = node.GetDisplayNode()
    display.SetOpacity2DFill(_FILLED)
    display.SetOpacity2DOutline(1.0)
    return node


@dataclass(frozen=True)
class Tags:
    """What is written on segments.

    Attributes:
        model: id of the model that drew them.
        own: what MedFM itself writes on the segment of a label.
    """

    model: str
    own: Callable[[Label], Mapping[str, str]]

    def of(self, label: Label) -> dict[str, str]:
        """Terminology, what DICOM says of the algorithm (without it an export says MANUAL), and our own."""
        return {
            slicer.vtkSegment.GetTerminologyEntryTagName(): terminology(label),
            "DICOM.SegmentAlgorithmType": "AUTOMATIC",
            "DICOM.SegmentAlgorithmName": f"MedFM {self.model}",
            f"{PREFIX}Model": self.model,
            **self.own(label),
        }


def add_labels(
    scene: slicer.vtkMRMLScene,
    name: str,
    drawn: tuple[Sequence[Label], np.ndarray],
    volume: slicer.vtkMRMLVolumeNode,
    tags: Tags,
) -> slicer.vtkMRMLSegmentationNode:
    """Add a label map.

    Args:
        scene: where to.
        name: of the node.
        drawn: the labels, and `(k, j, i)` uint8 on the volume's grid; a label that no voxel has gets no segment.
        volume: what was analysed.
        tags: of the segments.

    Returns:
        The node, below the volume in the subject hierarchy, with the volume's geometry as its reference.
    """
    known, labels = drawn
    image = fill_image(slicer.vtkOrientedImageData(), labels)
    image.SetGeometryFromImageToWorldMatrix(to_vtk(ijk_to_ras(volume)))
    shown = np.flatnonzero(np.bincount(labels.reshape(-1), minlength=256))
    segments = {label.name: _segment(label, image, tags) for label in known if label.value in shown}
    node = scene.AddNewNodeByClass("vtkMRMLSegmentationNode", name)
    node.CreateDefaultDisplayNodes()
    node.SetReferenceImageGeometryParameterFromVolumeNode(volume)
    for segment_id, segment in segments.items():
        node.GetSegmentation().AddSegment(segment, segment_id)
    place_under(scene, node, volume)
    return node


def _segment(label: Label, image: slicer.vtkOrientedImageData, tags: Tags) -> slicer.vtkSegment:
    segment = slicer.vtkSegment()
    segment.SetName(label.title)
    segment.SetColor(*(part / 255 for part in label.colour))
    segment.SetLabelValue(label.value)
    segment.AddRepresentation(_LABEL_MAP, image)
    for name, value in tags.of(label).items():
        segment.SetTag(name, value)
    return segment


def _organ_tags(label: Label, result: Result) -> Mapping[str, str]:
    structure = result.structures[label.name]
    return {
        f"{PREFIX}Organ": label.name,
        f"{PREFIX}State": structure.state,
        f"{PREFIX}Reason": structure.reason,
    }


def show_surfaces(node: slicer.vtkMRMLSegmentationNode, visible: bool = True) -> None:
    """Show the organs in the 3D views, or not.

    The surfaces are made at the first time: a second for a chest at 3 mm, a minute for 117 structures at full size.
    """
    if visible:
        node.CreateClosedSurfaceRepresentation()
    node.GetDisplayNode().SetVisibility3D(visible)


def show_only(node: slicer.vtkMRMLSegmentationNode, organs: tuple[str, ...] | None) -> None:
    """Show these structures and hide the others; None shows all.

    Args:
        node: made by `add_segmentation`.
        organs: names of the vocabulary.
    """
    display, segmentation = node.GetDisplayNode(), node.GetSegmentation()
    change = display.StartModify()
    for index in range(segmentation.GetNumberOfSegments()):
        name = segmentation.GetNthSegmentID(index)
        display.SetSegmentVisibility(name, organs is None or name in organs)
    display.EndModify(change)


def only_outlines(node: slicer.vtkMRMLSegmentationNode, only: bool) -> None:
    """Leave the organs unfilled so that they hide nothing of a map below them, or fill them as before.

    Args:
        node: made by `add_segmentation`.
        only: whether to draw outlines alone.
    """
    display, before = node.GetDisplayNode(), node.GetAttribute(_FILL)
    if only and before is None:
        node.SetAttribute(_FILL, str(display.GetOpacity2DFill()))
        display.SetOpacity2DFill(0.0)
    elif not only and before is not None:
        node.RemoveAttribute(_FILL)
        if display.GetOpacity2DFill() == 0:  # unless the user chose another since
            display.SetOpacity2DFill(float(before))
