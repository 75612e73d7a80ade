"""Saliency maps as scalar volumes: window, threshold, colour map and legend."""

from __future__ import annotations

import numpy as np
import slicer
import vtk

from .scene_colours import saliency_colours
from .scene_nodes import PREFIX, fill_image, ijk_to_ras, place_under, to_vtk

FILE = f"{PREFIX}SaliencyFile"
_SHOWN = 0.2  # share of the map's positive voxels that is coloured at first: a map is nowhere quite zero in its organ
_BRIGHTEST = 0.005  # share that has the last colour: single voxels far above all others would leave the rest dark
_SAMPLED = 1 << 20


def add_saliency(
    scene: slicer.vtkMRMLScene, voxels: np.ndarray, volume: slicer.vtkMRMLVolumeNode, title: str
) -> slicer.vtkMRMLScalarVolumeNode:
    """Add a saliency map.

    Args:
        scene: where to.
        voxels: `(k, j, i)` float32 on the volume's grid, at least 0.
        volume: what was analysed.
        title: of the legend, such as "Gallstones".

    Returns:
        The node, below the volume in the subject hierarchy, exactly on its grid; no view shows it yet.
    """
    node = scene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", f"{volume.GetName()} saliency ({title})")
    node.SetIJKToRASMatrix(to_vtk(ijk_to_ras(volume)))
    node.SetAndObserveImageData(fill_image(vtk.vtkImageData(), voxels))
    node.CreateDefaultDisplayNodes()
    display = node.GetDisplayNode()
    first, highest = levels(voxels)
    display.SetAndObserveColorNodeID(saliency_colours(scene).GetID())
    display.SetAutoWindowLevel(False)
    display.SetWindowLevelMinMax(0.0, highest)
    display.SetInterpolate(True)
    set_threshold(node, first / highest)
    _add_legend(node, title)
    place_under(scene, node, volume)
    return node


def levels(voxels: np.ndarray) -> tuple[float, float]:
    """Where a map's colours begin at first, and the value from which on it has the last one.

    Args:
        voxels: at least 0.

    Returns:
        Two values, the first below the second, which is above 0.
    """
    positive = voxels[voxels > 0]
    if not positive.size:
        return 0.0, 1.0
    sample = positive[:: max(1, positive.size // _SAMPLED)]
    first, last = (float(np.quantile(sample, 1 - share)) for share in (_SHOWN, _BRIGHTEST))
    return (first, last) if first < last else (0.0, last)


def set_threshold(node: slicer.vtkMRMLScalarVolumeNode, share: float) -> None:
    """Leave without colour what is lower.

    Args:
        node: made by `add_saliency`.
        share: of the value that has the last colour, 0 to 1; at 0 all positive voxels are coloured.
    """
    display = node.GetDisplayNode()
    highest = display.GetWindowLevelMax()
    lowest = max(min(share, 1.0), 0.0) * highest
    change = display.StartModify()
    top = max(float(node.GetImageData().GetScalarRange()[1]), highest)
    display.SetThreshold(max(lowest, highest * 1e-6), top)
    display.ApplyThresholdOn()
    display.EndModify(change)


def get_threshold(node: slicer.vtkMRMLScalarVolumeNode) -> float:
    """The share below which the map has no colour, 0 to 1; see `set_threshold`."""
    display = node.GetDisplayNode()
    return display.GetLowerThreshold() / (display.GetWindowLevelMax() or 1.0)


def show_legend(node: slicer.vtkMRMLScalarVolumeNode, visible: bool) -> None:
    """Show the legend in the views that show the map already, or nowhere."""
    legend = slicer.vtkSlicerColorLogic.GetColorLegendDisplayNode(node)
    if legend is not None:
        legend.SetVisibility(visible)
        legend.Modified()  # views look at a legend when it changes, not when they change


def _add_legend(node: slicer.vtkMRMLScalarVolumeNode, title: str) -> None:
    legend = slicer.vtkSlicerColorLogic.AddDefaultColorLegendDisplayNode(node)
    if legend is None:  # a scene without the colours module
        return
    legend.SetTitleText(title)
    legend.SetSize(0.1, 0.4)
    legend.SetLabelFormat("%.2g")
    legend.SetNumberOfLabels(3)
    legend.SetUseColorNamesForLabels(False)
    legend.SetVisibility(False)
