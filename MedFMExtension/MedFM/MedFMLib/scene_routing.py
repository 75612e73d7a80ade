"""Which expert of a brain model serves which place, as a segmentation node: a segment per expert, shown or hidden."""

from __future__ import annotations

import numpy as np
import slicer

from .results import Result
from .scene_nodes import PREFIX, nodes
from .scene_segments import Tags, add_labels

ROUTING_FILE = f"{PREFIX}RoutingFile"
_FILLED = 0.6


def add_routing(
    scene: slicer.vtkMRMLScene, result: Result, labels: np.ndarray, volume: slicer.vtkMRMLVolumeNode, title: str
) -> slicer.vtkMRMLSegmentationNode:
    """Add the routing of one block.

    Args:
        scene: where to.
        result: whose labels are the experts.
        labels: `(k, j, i)` uint8 on the volume's grid.
        volume: what was analysed.
        title: such as "Experts of block 3, T1w".

    Returns:
        The node, below the volume in the subject hierarchy, hidden.
    """
    tags = Tags(result.manifest["model"]["id"], lambda label: {f"{PREFIX}Expert": label.name})
    node = add_labels(scene, f"{volume.GetName()} {title}", (result.labels, labels), volume, tags)
    display = node.GetDisplayNode()
    display.SetOpacity2DFill(_FILLED)
    display.SetOpacity2DOutline(0.0)  # patches are blocks: their edges say nothing
    display.SetVisibility(False)
    return node


def show_routing(scene: slicer.vtkMRMLScene, node: slicer.vtkMRMLSegmentationNode | None, opacity: float) -> None:
    """Show this routing and no other; None hides all."""
    for other in nodes(scene, "vtkMRMLSegmentationNode"):
        if other.GetAttribute(ROUTING_FILE) is not None and other.GetDisplayNode() is not None:
            other.GetDisplayNode().SetVisibility(other is node)
    if node is not None:
        node.GetDisplayNode().SetOpacity2DFill(opacity)


def shown_routing(scene: slicer.vtkMRMLScene) -> slicer.vtkMRMLSegmentationNode | None:
    """The routing that is shown; None where none is."""
    for node in nodes(scene, "vtkMRMLSegmentationNode"):
        display = node.GetDisplayNode()
        if node.GetAttribute(ROUTING_FILE) is not None and display is not None and display.GetVisibility():
            return node
    return None
