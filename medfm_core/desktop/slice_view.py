"""One slice view: Slicer's own pipeline draws into memory, and the widget shows the picture."""

from __future__ import annotations

from typing import Any

import numpy as np
import slicer
import vtk
from Qt import QtCore, QtGui, QtWidgets
from vtkmodules.util.numpy_support import vtk_to_numpy

from medfm_core.desktop.space import Space

_MANAGERS = ("ModelSlice", "Crosshair", "ColorLegend")
_SEGMENTS = "vtkMRMLSegmentationsDisplayableManager2D"
_KEYS = {QtCore.Qt.Key_Up: 1, QtCore.Qt.Key_Right: 1, QtCore.Qt.Key_Down: -1, QtCore.Qt.Key_Left: -1}
_PAGES = {QtCore.Qt.Key_PageUp: 10, QtCore.Qt.Key_PageDown: -10}
_NOTCH = 120  # what a mouse wheel gives for one step
_DRAW_AFTER_MS = 15


class SliceView(QtWidgets.QWidget):
    """Shows a slice; wheel, arrows and page keys go through the scan, a click moves the other views there.

    Args:
        space: the scene.
        name: of the view: "Red", "Green" or "Yellow".
        orientation: "Axial", "Coronal" or "Sagittal".
        on_point: called with the point in RAS, mm, that was clicked.
    """

    def __init__(self, space: Space, name: str, orientation: str, on_point: Any) -> None:
        super().__init__()
        self._on_point, self._image, self._size = on_point, None, (0, 0)
        self.setMinimumSize(120, 120)
        self.setFocusPolicy(QtCore.Qt.StrongFocus)
        self.setAccessibleName(f"{orientation} slice")
        self.setToolTip(f"{orientation}: wheel or arrow keys change the slice, a click moves the other views there")
        self.logic = slicer.vtkMRMLSliceLogic()
        self.logic.SetMRMLApplicationLogic(space.application)
        self.logic.SetMRMLScene(space.scene)
        self.node = self.logic.AddSliceNode(name)
        self.node.SetOrientation(orientation)
        space.application.GetSliceLogics().AddItem(self.logic)
        self._window, self._mapper, self._keep = _pipeline(space.application, self.node)
        self._timer = QtCore.QTimer(self)
        self._timer.setSingleShot(True)
        self._timer.setInterval(_DRAW_AFTER_MS)
        self._timer.timeout.connect(self.draw)
        self._tags = [
            (watched, watched.AddObserver(vtk.vtkCommand.ModifiedEvent, self._on_change))
            for watched in (self.node, self.logic, self.logic.GetSliceCompositeNode())
        ]
        request = self._window.GetInteractor()
        self._tags.append((request, request.AddObserver(vtk.vtkCommand.RenderEvent, self._on_change)))

    def stop(self) -> None:
        """Draw no more; a second call does nothing."""
        self._timer.stop()
        for watched, tag in self._tags:
            watched.RemoveObserver(tag)
        self._tags = []

    def show_volume(self, volume: Any) -> None:
        """Show a volume, fitted; None for none."""
        self.logic.GetSliceCompositeNode().SetBackgroundVolumeID(volume.GetID() if volume is not None else None)
        self.logic.FitSliceToAll(*self.node.GetDimensions()[:2])

    def draw(self) -> None:
        """Draw now."""
        width, height = max(self.width(), 1), max(self.height(), 1)
        if (width, height) != self._size:
            self._size = width, height
            self._window.SetSize(width, height)
            self.logic.ResizeSliceNode(width, height)
        self.node.UpdateMatrices()
        self.logic.UpdatePipeline()
        self._mapper.SetInputConnection(self.logic.GetImageDataConnection())
        self._window.Render()
        self._image = _picture(self._window)
        self.update()

    def paintEvent(self, event: Any) -> None:  # noqa: N802
        """Show the picture that was drawn last."""
        painter = QtGui.QPainter(self)
        painter.fillRect(self.rect(), QtCore.Qt.black)
        if self._image is not None:
            painter.drawImage(self.rect(), self._image)
        if self.hasFocus():
            painter.setPen(self.palette().color(QtGui.QPalette.Highlight))
            painter.drawRect(self.rect().adjusted(0, 0, -1, -1))
        painter.end()

    def resizeEvent(self, event: Any) -> None:  # noqa: N802
        """Draw in the new size."""
        super().resizeEvent(event)
        self._timer.start()

    def wheelEvent(self, event: Any) -> None:  # noqa: N802
        """Go through the slices."""
        self._step(round(event.angleDelta().y() / _NOTCH))

    def keyPressEvent(self, event: Any) -> None:  # noqa: N802
        """Go through the slices."""
        steps = _KEYS.get(event.key(), 0) or _PAGES.get(event.key(), 0)
        if steps:
            self._step(steps)
        else:
            super().keyPressEvent(event)

    def mousePressEvent(self, event: Any) -> None:  # noqa: N802
        """Move the other views to this point."""
        super().mousePressEvent(event)
        if event.button() == QtCore.Qt.LeftButton and self.logic.GetSliceCompositeNode().GetBackgroundVolumeID():
            place = event.position()
            point = (place.x(), self.height() - 1 - place.y(), 0.0, 1.0)
            self._on_point(self, self.node.GetXYToRAS().MultiplyPoint(point)[:3])

    def _step(self, steps: int) -> None:
        spacing = self.logic.GetLowestVolumeSliceSpacing()[2] or 1.0
        self.logic.SetSliceOffset(self.logic.GetSliceOffset() + steps * spacing)

    def _on_change(self, *_: object) -> None:
        if not self._timer.isActive():
            self._timer.start()


def _pipeline(application: Any, node: Any) -> tuple[Any, Any, tuple[Any, ...]]:
    """A window in memory with everything that Slicer draws on a slice; its mapper, and what must be kept."""
    renderer, window, interactor = vtk.vtkRenderer(), vtk.vtkRenderWindow(), vtk.vtkRenderWindowInteractor()
    window.SetOffScreenRendering(1)
    window.SetMultiSamples(0)
    window.AddRenderer(renderer)
    interactor.SetRenderWindow(window)
    interactor.EnableRenderOff()  # what asks for a picture is heard, and drawn once
    mapper, actor = vtk.vtkImageMapper(), vtk.vtkActor2D()
    mapper.SetColorWindow(255)
    mapper.SetColorLevel(127.5)
    actor.SetMapper(mapper)
    actor.GetProperty().SetDisplayLocationToBackground()
    renderer.AddViewProp(actor)  # before the managers add theirs: what comes later lies on top
    factory = slicer.vtkMRMLSliceViewDisplayableManagerFactory.GetInstance()
    factory.SetMRMLApplicationLogic(application)
    for name in (*(f"vtkMRML{part}DisplayableManager" for part in _MANAGERS), _SEGMENTS):
        if not factory.IsDisplayableManagerRegistered(name):
            factory.RegisterDisplayableManager(name)
    managers = factory.InstantiateDisplayableManagers(renderer)
    managers.SetMRMLDisplayableNode(node)
    return window, mapper, (renderer, interactor, actor, managers)


def _picture(window: Any) -> QtGui.QImage:
    """What a window shows."""
    grab = vtk.vtkWindowToImageFilter()
    grab.SetInput(window)
    grab.ReadFrontBufferOff()
    grab.ShouldRerenderOff()  # a drawing of its own would ask for the next one, for ever
    grab.Update()
    image = grab.GetOutput()
    width, height, _ = image.GetDimensions()
    pixels = vtk_to_numpy(image.GetPointData().GetScalars()).reshape(height, width, -1)
    pixels = np.ascontiguousarray(pixels[::-1, :, :3])
    return QtGui.QImage(pixels.tobytes(), width, height, 3 * width, QtGui.QImage.Format_RGB888).copy()
