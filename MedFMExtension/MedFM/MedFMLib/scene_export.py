"""What the worker needs of a volume: its facts without a copy, and its voxels and geometry as a file."""

from __future__ import annotations

import os

import slicer

from .host import VolumeFacts
from .scene_errors import SceneError
from .scene_nodes import dimensions

_NAME = "volume.nrrd"
_MODALITY = "DICOM.Modality"
_ATTENUATION = "112031"  # DICOM's code for attenuation coefficient, which Slicer sets on a CT


def volume_facts(volume: slicer.vtkMRMLVolumeNode, *, has_result: bool) -> VolumeFacts:
    """What a volume's node says of itself.

    Args:
        volume: any volume.
        has_result: whether it was analysed already.

    Raises:
        SceneError: it has no voxels.
    """
    shape, image = dimensions(volume), volume.GetImageData()
    return VolumeFacts(
        name=volume.GetName(),
        shape=shape,
        spacing_mm=tuple(volume.GetSpacing()),
        voxel_bytes=image.GetScalarSize(),
        value_range=tuple(float(value) for value in image.GetScalarRange()),
        components=image.GetNumberOfScalarComponents(),
        frames=_frames(volume),
        modality=_modality(volume),
        is_labels=bool(volume.IsA("vtkMRMLLabelMapVolumeNode")),
        has_result=has_result,
    )


def write_volume(volume: slicer.vtkMRMLVolumeNode, folder: str) -> str:
    """Write a volume as it is, without packing, which takes longer than all else.

    Its own storage node is not touched, so the scene does not think that it was saved. A transform above it is left
    out: the results will lie under the same one.

    Args:
        volume: what to write.
        folder: where to; made already.

    Returns:
        The file's path; it holds no name of the volume.

    Raises:
        SceneError: the volume is empty, or the disk is full or cannot be written.
    """
    dimensions(volume)
    path = os.path.join(folder, _NAME)
    storage = slicer.vtkMRMLNRRDStorageNode()
    storage.SetFileName(path)
    storage.SetUseCompression(False)
    if not storage.WriteData(volume) or not os.path.isfile(path):
        raise SceneError("the volume could not be written for the analysis", "look whether the disk is full")
    return path


def _frames(volume: slicer.vtkMRMLVolumeNode) -> int:
    """Time points of the sequence that a browser shows through this volume, as far as the node itself says it."""
    if volume.IsA("vtkMRMLMultiVolumeNode"):
        return volume.GetNumberOfFrames()
    frames = volume.GetAttribute("MultiVolume.NumberOfFrames")
    return int(frames) if frames and frames.isdigit() else 1


def _modality(volume: slicer.vtkMRMLVolumeNode) -> str:
    """DICOM's word for what made it: of its series in the subject hierarchy, or of what its voxels measure."""
    hierarchy = slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(volume.GetScene())
    item = hierarchy.GetItemByDataNode(volume)
    said = hierarchy.GetItemAttribute(item, _MODALITY) if item else ""
    quantity = volume.GetVoxelValueQuantity()
    return said or ("CT" if quantity is not None and quantity.GetCodeValue() == _ATTENUATION else "")
