"""The scene that the viewer shows, and what can be done in it; knows nothing of pages and buttons."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import slicer
import vtk
from MedFMLib.findings_table import STATE_WORDS, STATES, wording_of
from MedFMLib.scene import SlicerScene
from MedFMLib.scene_errors import SceneError
from MedFMLib.scene_nodes import fill_image, to_vtk
from MedFMLib.scene_segments import show_surfaces
from trame_slicer.core import SlicerApp

if TYPE_CHECKING:
    from MedFMLib.results import Finding

    from medfm_core.viewer.sources import Shown

_LEVEL_HU, _WINDOW_HU = 40.0, 400.0
_QUICK_VOXELS = 8_000_000  # up to here surfaces take seconds, not a minute


class Room:
    """A scene with one result.

    Args:
        shown: the result and its scan.

    Attributes:
        app: trame-slicer's application; its views are made by the page.
        bridge: the scene as the models see it.
        volume: the scan.
    """

    def __init__(self, shown: Shown) -> None:
        vtk.vtkLogger.SetStderrVerbosity(vtk.vtkLogger.VERBOSITY_OFF)  # of a missing display and home folder
        self.app, self.result = SlicerApp(), shown.result
        vtk.vtkOutputWindow.GetInstance().SetDisplayModeToNever()
        scene = self.app.scene
        slicer.mrmlScene = scene
        self._legends = slicer.vtkSlicerColorLogic()  # trame-slicer's own logic knows no legends
        self._legends.SetMRMLApplicationLogic(self.app.app_logic)
        self._legends.SetMRMLScene(scene)
        self.bridge = SlicerScene(scene)
        self.volume = self._add_scan(shown)
        self.has_surfaces = False

    def _add_scan(self, shown: Shown) -> Any:
        node = self.app.scene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", "Scan")
        node.SetIJKToRASMatrix(to_vtk(shown.scan.affine.matrix))
        node.SetAndObserveImageData(fill_image(vtk.vtkImageData(), shown.scan.voxels.transpose(2, 1, 0)))
        node.CreateDefaultDisplayNodes()
        display = node.GetDisplayNode()
        display.SetAndObserveColorNodeID("vtkMRMLColorTableNodeGrey")
        display.SetAutoWindowLevel(False)
        display.SetWindowLevel(_WINDOW_HU, _LEVEL_HU)
        return node

    def fill(self) -> None:
        """Show the scan in the views and the organs over it; call it once the views are there.

        Raises:
            SceneError: the result is damaged.
        """
        self.app.display_manager.show_volume_in_slice_background(self.volume)
        self.app.display_manager.reset_views()
        self.bridge.import_result(self.volume, self.result, {})
        i, j, k = self.volume.GetImageData().GetDimensions()
        if i * j * k <= _QUICK_VOXELS:
            self.show_surfaces(True)

    def organs(self) -> list[dict[str, Any]]:
        """Every segment: name, title, colour and a remark, in the result's order."""
        rows = []
        for label in self.result.labels:
            structure = self.result.structures[label.name]
            if structure.centre_ras is not None:
                volume = f"{structure.volume_ml:,.1f} mL" if structure.volume_ml is not None else ""
                state = "" if structure.state == "present" else structure.state
                colour = "#{:02x}{:02x}{:02x}".format(*label.colour)
                remark = ", ".join(filter(None, (volume, state)))
                rows.append({"name": label.name, "title": label.title, "colour": colour, "remark": remark})
        return rows

    def findings(self) -> list[dict[str, Any]]:
        """Every scored finding, the present ones first and the highest score first among them."""
        told = STATES[:3]  # all but what cannot be assessed
        scored = [finding for finding in self.result.findings if finding.score is not None and finding.state in told]
        scored.sort(key=lambda finding: (STATES.index(finding.state), -finding.score))
        return [self._row(finding) for finding in scored]

    def _row(self, finding: Finding) -> dict[str, Any]:
        return {
            "key": f"{finding.name}/{finding.organ}",
            "title": finding.label,
            "remark": f"{self.result.title_of(finding.organ)}: {STATE_WORDS[finding.state]}, {finding.score:.2f}",
            "wording": wording_of(finding),
            "has_map": (finding.name, finding.organ) in self.result.saliency,
        }

    def go_to(self, organ: str) -> bool:
        """Centre all views on an organ; False where the result does not show it."""
        centre = self.result.centre_of(organ)
        if centre is None:
            return False
        self.bridge.centre_on(centre)
        for view in self.app.view_manager.get_threed_views():
            view.set_focal_point(*centre)
        return True

    def select(self, key: str) -> bool:
        """Centre on a finding's organ and show its map; False where it has none, and then no map shows.

        Args:
            key: as in `findings`.
        """
        name, _, organ = key.partition("/")
        self.go_to(organ)
        path = self.result.saliency.get((name, organ))
        if path is None:
            self.hide_saliency()
            return False
        title = next(finding.label for finding in self.result.findings if finding.name == name)
        try:
            self.bridge.show_saliency(self.volume, path, title)
        except SceneError:
            self.hide_saliency()
            raise
        self.draw()
        return True

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

    def show_organs(self, visible: bool) -> None:
        """Show or hide the organs in all views."""
        self.bridge.segmentation(self.volume).GetDisplayNode().SetVisibility(visible)

    def show_surfaces(self, visible: bool) -> None:
        """Show or hide the organs in 3D; the first time makes the surfaces."""
        show_surfaces(self.bridge.segmentation(self.volume), visible)
        self.has_surfaces = visible
        if visible:
            for view in self.app.view_manager.get_threed_views():
                view.reset_view()
