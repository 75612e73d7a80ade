"""A scene with the logics that Slicer's application brings: colours, segmentations, subject hierarchy, slices."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import slicer
import vtk
from MedFMLib.scene_nodes import fill_image, to_vtk

from medfm_core.grey_window import grey_window
from medfm_core.volume import Volume

_LOGICS = ("Volumes", "SegmentationsModule", "SubjectHierarchyModule", "Color")


class Space:
    """An empty scene.

    Attributes:
        scene: the MRML scene; also `slicer.mrmlScene` from now on.
        application: the logic that knows the others.
    """

    def __init__(self) -> None:
        vtk.vtkLogger.SetStderrVerbosity(vtk.vtkLogger.VERBOSITY_OFF)  # of a missing display and home folder
        vtk.vtkOutputWindow.GetInstance().SetDisplayModeToNever()
        self.scene = slicer.mrmlScene = slicer.vtkMRMLScene()
        self.application = slicer.vtkSlicerApplicationLogic()
        self.application.SetMRMLScene(self.scene)
        self.application.SetSliceLogics(vtk.vtkCollection())
        self._logics = [self._logic(f"vtkSlicer{name}Logic") for name in _LOGICS]
        self.application.GetColorLogic().SetMRMLScene(self.scene)
        self.application.GetColorLogic().AddDefaultColorNodes()
        slicer.vtkMRMLSliceNode.AddDefaultSliceOrientationPresets(self.scene, True)

    def add_scan(self, volume: Volume, name: str) -> Any:
        """Put a scan into the scene: a CT in a window for soft tissue, an MR in one for its own values.

        Args:
            volume: affine in RAS; a CT's voxels in Hounsfield units.
            name: as it is listed.
        """
        node = self.scene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", name)
        node.SetIJKToRASMatrix(to_vtk(volume.affine.matrix))
        node.SetAndObserveImageData(fill_image(vtk.vtkImageData(), volume.voxels.transpose(2, 1, 0)))
        node.CreateDefaultDisplayNodes()
        display = node.GetDisplayNode()
        display.SetAndObserveColorNodeID("vtkMRMLColorTableNodeGrey")
        display.SetAutoWindowLevel(False)
        display.SetWindowLevel(*grey_window(volume))
        if volume.modality:
            hierarchy = slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(self.scene)
            item = hierarchy.GetItemByDataNode(node) or hierarchy.CreateItem(hierarchy.GetSceneItemID(), node)
            hierarchy.SetItemAttribute(item, "DICOM.Modality", volume.modality)
        return node

    def _logic(self, name: str) -> Any:
        logic = getattr(slicer, name)()
        logic.SetMRMLApplicationLogic(self.application)
        logic.SetMRMLScene(self.scene)
        return logic


def name_of(path: str | Path) -> str:
    """A scan's name in the list: that of its file, without what says how it is written."""
    name = Path(path).name
    for ending in (".gz", ".nii", ".nrrd", ".nhdr", ".mha", ".mhd"):
        name = name.removesuffix(ending)
    return name or "Scan"
