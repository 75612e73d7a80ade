"""Nodes and arrays: the few steps that everything placed in the scene shares."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import slicer
import vtk
from vtkmodules.util.numpy_support import numpy_to_vtk

from .scene_errors import SceneError
from .voxel_grid import on_grid

PREFIX = "MedFM."


def ijk_to_ras(volume: slicer.vtkMRMLVolumeNode) -> np.ndarray:
    """Voxel index to RAS before any transform, `(4, 4)` float64, mm."""
    matrix = vtk.vtkMatrix4x4()
    volume.GetIJKToRASMatrix(matrix)
    return from_vtk(matrix)


def from_vtk(matrix: vtk.vtkMatrix4x4) -> np.ndarray:
    """`(4, 4)` float64."""
    return np.array([[matrix.GetElement(row, column) for column in range(4)] for row in range(4)])


def to_vtk(matrix: np.ndarray) -> vtk.vtkMatrix4x4:
    """A matrix of VTK from `(4, 4)`."""
    made = vtk.vtkMatrix4x4()
    made.DeepCopy([float(value) for value in np.ravel(matrix)])
    return made


def dimensions(volume: slicer.vtkMRMLVolumeNode) -> tuple[int, int, int]:
    """Voxels along i, j, k.

    Raises:
        SceneError: the volume has no voxels.
    """
    if volume.GetImageData() is None:
        raise SceneError("the volume has no voxels", "load it again")
    return tuple(volume.GetImageData().GetDimensions())


def on_volume(voxels: np.ndarray, affine: np.ndarray, volume: slicer.vtkMRMLVolumeNode) -> np.ndarray:
    """Voxels of a map in the order of a volume's own, `(k, j, i)`.

    Raises:
        SceneError: they lie elsewhere.
    """
    return on_grid(voxels, affine, ijk_to_ras(volume), dimensions(volume))


def fill_image(image: vtk.vtkImageData, voxels: np.ndarray) -> vtk.vtkImageData:
    """Give an image its voxels, `(k, j, i)`; they are copied."""
    image.SetDimensions(*(int(size) for size in voxels.shape[::-1]))
    scalars = numpy_to_vtk(np.ascontiguousarray(voxels).reshape(-1), deep=True)
    scalars.SetName("ImageScalars")
    image.GetPointData().SetScalars(scalars)
    return image


def mark(node: slicer.vtkMRMLNode, facts: Mapping[str, str]) -> None:
    """Write where a node comes from onto it, as attributes that are saved with the scene."""
    for name, value in facts.items():
        node.SetAttribute(PREFIX + name, value)


def nodes(scene: slicer.vtkMRMLScene, class_name: str) -> list[slicer.vtkMRMLNode]:
    """All nodes of a class, those of derived classes too."""
    found = scene.GetNodesByClass(class_name)
    found.UnRegister(None)
    return [found.GetItemAsObject(index) for index in range(found.GetNumberOfItems())]


def place_under(scene: slicer.vtkMRMLScene, node: slicer.vtkMRMLNode, parent: slicer.vtkMRMLNode) -> None:
    """Put a node below another one in the subject hierarchy, and under the same transform."""
    hierarchy = slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(scene)
    above = _item(hierarchy, parent, hierarchy.GetSceneItemID())
    hierarchy.SetItemParent(_item(hierarchy, node, above), above)
    if node.IsA("vtkMRMLTransformableNode"):
        node.SetAndObserveTransformNodeID(parent.GetTransformNodeID())


def _item(hierarchy: slicer.vtkMRMLSubjectHierarchyNode, node: slicer.vtkMRMLNode, above: int) -> int:
    """The node's item; Slicer makes it by itself, the bare scene does not."""
    return hierarchy.GetItemByDataNode(node) or hierarchy.CreateItem(above, node)


def referenced(node: slicer.vtkMRMLNode, role: str) -> list[slicer.vtkMRMLNode]:
    """What a node refers to in a role, as far as it is still there."""
    found = (node.GetNthNodeReference(role, index) for index in range(node.GetNumberOfNodeReferences(role)))
    return [other for other in found if other is not None]
