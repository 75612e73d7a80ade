"""The label map as a segmentation node: one shared map, a segment for each structure that it shows."""

from __future__ import annotations

from collections.abc import Mapping

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

    Slicer's import copies each structure out of the map and merges it again, 16 s for 117 structures; handing all
    segments one map, as Slicer holds it in the end, takes a tenth of a second.

    Args:
        scene: where to.
        result: what the labels mean.
        labels: `(k, j, i)` uint8 on the volume's grid.
        volume: what was analysed.

    Returns:
        The node, below the volume in the subject hierarchy, with the volume's geometry as its reference.
    """
    image = fill_image(slicer.vtkOrientedImageData(), labels)
    image.SetGeometryFromImageToWorldMatrix(to_vtk(ijk_to_ras(volume)))
    shown = np.flatnonzero(np.bincount(labels.reshape(-1), minlength=256))
    segments = {label.name: _segment(label, image, result) for label in result.labels if label.value in shown}
    node = scene.AddNewNodeByClass("vtkMRMLSegmentationNode", f"{volume.GetName()} organs")
    node.CreateDefaultDisplayNodes()
    node.SetReferenceImageGeometryParameterFromVolumeNode(volume)
    for name, segment in segments.items():
        node.GetSegmentation().AddSegment(segment, name)
    display = node.GetDisplayNode()
    display.SetOpacity2DFill(_FILLED)
    display.SetOpacity2DOutline(1.0)
    place_under(scene, node, volume)
    return node


def _segment(label: Label, image: slicer.vtkOrientedImageData, result: Result) -> slicer.vtkSegment:
    segment = slicer.vtkSegment()
    segment.SetName(label.title)
    segment.SetColor(*(part / 255 for part in label.colour))
    segment.SetLabelValue(label.value)
    segment.AddRepresentation(_LABEL_MAP, image)
    for name, value in _tags(label, result).items():
        segment.SetTag(name, value)
    return segment


def _tags(label: Label, result: Result) -> Mapping[str, str]:
    """Terminology, what DICOM says of the algorithm (without it an export says MANUAL), and our own."""
    structure, model = result.structures[label.name], result.manifest["model"]["id"]
    return {
        slicer.vtkSegment.GetTerminologyEntryTagName(): terminology(label),
        "DICOM.SegmentAlgorithmType": "AUTOMATIC",
        "DICOM.SegmentAlgorithmName": f"MedFM {model}",
        f"{PREFIX}Organ": label.name,
        f"{PREFIX}Model": model,
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
