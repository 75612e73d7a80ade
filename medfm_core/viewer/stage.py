"""The scene that a viewer shows, whatever the result is of; knows nothing of pages and buttons."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import slicer
import vtk
from MedFMLib.scene import SlicerScene
from MedFMLib.scene_nodes import fill_image, to_vtk
from trame_slicer.core import SlicerApp

from medfm_core.grey_window import grey_window

if TYPE_CHECKING:
    from MedFMLib.results import Result

    from medfm_core.volume import Volume


class Stage:
    """A scene with scans and a bridge to it.

    Args:
        result: what is shown.

    Attributes:
        app: trame-slicer's application; its views are made by the page.
        bridge: the scene as the models see it.
        result: what is shown.
    """

    def __init__(self, result: Result) -> None:
        vtk.vtkLogger.SetStderrVerbosity(vtk.vtkLogger.VERBOSITY_OFF)  # of a missing display and home folder
        self.app, self.result = SlicerApp(), result
        vtk.vtkOutputWindow.GetInstance().SetDisplayModeToNever()
        scene = self.app.scene
        slicer.mrmlScene = scene
        self._legends = slicer.vtkSlicerColorLogic()  # trame-slicer's own logic knows no legends
        self._legends.SetMRMLApplicationLogic(self.app.app_logic)
        self._legends.SetMRMLScene(scene)
        self.bridge = SlicerScene(scene)

    def add_scan(self, scan: Volume, name: str) -> Any:
        """Put a scan into the scene; its node."""
        node = self.app.scene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", name)
        node.SetIJKToRASMatrix(to_vtk(scan.affine.matrix))
        node.SetAndObserveImageData(fill_image(vtk.vtkImageData(), scan.voxels.transpose(2, 1, 0)))
        node.CreateDefaultDisplayNodes()
        display = node.GetDisplayNode()
        display.SetAndObserveColorNodeID("vtkMRMLColorTableNodeGrey")
        display.SetAutoWindowLevel(False)
        display.SetWindowLevel(*grey_window(scan))
        return node

    def fill(self) -> None:
        """Show the scans and the result; call it once the views are there."""
        raise NotImplementedError

    def set_opacity(self, opacity: float) -> None:
        """Set how much the map covers, 0 to 1."""
        self.bridge.set_saliency_opacity(opacity)
        self.draw()

    def set_threshold(self, share: float) -> None:
        """Set from where on the map has colour; see `SlicerScene.set_saliency_threshold`."""
        self.bridge.set_saliency_threshold(share)
        self.draw()

    def hide_saliency(self) -> None:
        """Show no map."""
        self.bridge.hide_saliency()
        self.draw()

    def draw(self) -> None:
        """Draw all views: a slice view does not notice by itself that the blend of its layers changed."""
        for view in self.app.view_manager.get_views():
            view.schedule_render()
