"""A MRML scene with views that draw into memory: what Slicer's application sets up, without its windows."""

from __future__ import annotations

import tempfile

import numpy as np
import slicer
import vtk
from vtkmodules.util.numpy_support import vtk_to_numpy

_SLICE_MANAGERS = ("ModelSlice", "Crosshair", "ColorLegend", "Segmentations2D")
_THREED_MANAGERS = ("Camera", "View", "Model", "Segmentations3D")
_NAMES = {
    "Crosshair": "vtkMRMLCrosshairDisplayableManager",
    "ColorLegend": "vtkMRMLColorLegendDisplayableManager",
    "ModelSlice": "vtkMRMLModelSliceDisplayableManager",
    "Segmentations2D": "vtkMRMLSegmentationsDisplayableManager2D",
    "Segmentations3D": "vtkMRMLSegmentationsDisplayableManager3D",
    "Camera": "vtkMRMLCameraDisplayableManager",
    "View": "vtkMRMLViewDisplayableManager",
    "Model": "vtkMRMLModelDisplayableManager",
}


def bundle_reader(scene, application) -> list:
    """What reads .mrb files into a scene, with a folder to unpack them into; to be kept as long as the scene."""
    remote = slicer.vtkMRMLRemoteIOLogic()
    remote.SetMRMLScene(scene)
    folder = tempfile.TemporaryDirectory(prefix="medfm-scene-")
    remote.GetCacheManager().SetRemoteCacheDirectory(folder.name)
    manager = slicer.vtkDataIOManagerLogic()
    manager.SetMRMLScene(scene)
    manager.SetMRMLApplicationLogic(application)
    manager.SetAndObserveDataIOManager(remote.GetDataIOManager())
    remote.AddDataIOToScene()
    return [remote, manager, folder]


def save_bundle(scene, path) -> None:
    """Save a scene as Slicer does, with its data."""
    for kind in ("vtkMRMLVolumeNode", "vtkMRMLSegmentationNode", "vtkMRMLTableNode"):
        found = scene.GetNodesByClass(kind)
        found.UnRegister(None)
        for index in range(found.GetNumberOfItems()):
            found.GetItemAsObject(index).AddDefaultStorageNode()
    assert scene.WriteToMRB(str(path))


class OffscreenScene:
    """A scene, the logics that Slicer's modules bring, and its views."""

    def __init__(self) -> None:
        self.scene = slicer.vtkMRMLScene()
        self.application = slicer.vtkSlicerApplicationLogic()
        self.application.SetMRMLScene(self.scene)
        self.application.SetSliceLogics(vtk.vtkCollection())
        self.application.SetViewLogics(vtk.vtkCollection())
        self._keep = [
            self._logic(name)
            for name in (
                "vtkSlicerVolumesLogic",
                "vtkSlicerSegmentationsModuleLogic",
                "vtkSlicerSubjectHierarchyModuleLogic",
                "vtkSlicerColorLogic",
            )
        ]
        self._keep += bundle_reader(self.scene, self.application)
        self.application.GetColorLogic().SetMRMLScene(self.scene)
        self.application.GetColorLogic().AddDefaultColorNodes()
        slicer.vtkMRMLSliceNode.AddDefaultSliceOrientationPresets(self.scene, True)

    def _logic(self, name: str):
        logic = getattr(slicer, name)()
        logic.SetMRMLApplicationLogic(self.application)
        logic.SetMRMLScene(self.scene)
        return logic

    def volume(self, voxels: np.ndarray, affine: np.ndarray, name: str = "CT"):
        """A scalar volume of `(k, j, i)` voxels with a window that maps [0, 255] to itself."""
        from MedFMLib.scene_nodes import fill_image, to_vtk

        node = self.scene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", name)
        node.SetIJKToRASMatrix(to_vtk(affine))
        node.SetAndObserveImageData(fill_image(vtk.vtkImageData(), voxels))
        node.CreateDefaultDisplayNodes()
        display = node.GetDisplayNode()
        display.SetAndObserveColorNodeID("vtkMRMLColorTableNodeGrey")
        display.SetAutoWindowLevel(False)
        display.SetWindowLevelMinMax(0, 255)
        return node

    def slice_view(self, volume, name: str = "Red", orientation: str = "Axial", size: int = 200) -> View:
        """A slice view that shows a volume."""
        logic = slicer.vtkMRMLSliceLogic()
        logic.SetMRMLApplicationLogic(self.application)
        logic.SetMRMLScene(self.scene)
        node = logic.AddSliceNode(name)
        node.SetOrientation(orientation)
        self.application.GetSliceLogics().AddItem(logic)
        logic.GetSliceCompositeNode().SetBackgroundVolumeID(volume.GetID() if volume else None)
        renderer, window = _window(size)
        mapper, actor = vtk.vtkImageMapper(), vtk.vtkActor2D()
        mapper.SetColorWindow(255)
        mapper.SetColorLevel(127.5)
        actor.SetMapper(mapper)
        actor.GetProperty().SetDisplayLocationToBackground()
        renderer.AddViewProp(actor)  # before the managers add theirs: what comes later lies on top
        factory = slicer.vtkMRMLSliceViewDisplayableManagerFactory.GetInstance()
        managers = _managers(factory, _SLICE_MANAGERS, self.application, renderer, node)
        node.SetDimensions(size, size, 1)
        logic.ResizeSliceNode(size, size)
        logic.FitSliceToAll(size, size)

        def before() -> None:
            node.UpdateMatrices()
            logic.UpdatePipeline()
            mapper.SetInputConnection(logic.GetImageDataConnection())

        return View(node, logic.GetSliceCompositeNode(), window, before, (logic, managers, actor))

    def view_3d(self, size: int = 200) -> View:
        """A 3D view, seen from the front."""
        logic = slicer.vtkMRMLViewLogic()
        logic.SetMRMLApplicationLogic(self.application)
        logic.SetMRMLScene(self.scene)
        node = logic.AddViewNode("1")
        self.application.GetViewLogics().AddItem(logic)
        renderer, window = _window(size)
        factory = slicer.vtkMRMLThreeDViewDisplayableManagerFactory.GetInstance()
        managers = _managers(factory, _THREED_MANAGERS, self.application, renderer, node)
        node.SetBoxVisible(False)
        node.SetAxisLabelsVisible(False)
        return View(node, None, window, renderer.ResetCamera, (logic, managers))


class View:
    """One view."""

    def __init__(self, node, composite, window, before, keep) -> None:
        self.node, self.composite = node, composite
        self._window, self._before, self._keep = window, before, keep

    def picture(self) -> np.ndarray:
        """What it shows, `(height, width, 3)` uint8, the top row first."""
        self._before()
        self._window.Render()
        grab = vtk.vtkWindowToImageFilter()
        grab.SetInput(self._window)
        grab.ReadFrontBufferOff()
        grab.Update()
        image = grab.GetOutput()
        width, height, _ = image.GetDimensions()
        return vtk_to_numpy(image.GetPointData().GetScalars()).reshape(height, width, -1)[::-1, :, :3].copy()

    def pixel_of(self, point: tuple[float, float, float]) -> tuple[int, int]:
        """Row and column at which a slice view draws a point in RAS, mm."""
        turn = vtk.vtkMatrix4x4()
        vtk.vtkMatrix4x4.Invert(self.node.GetXYToRAS(), turn)
        column, row = turn.MultiplyPoint((*point, 1.0))[:2]
        return int(self.node.GetDimensions()[1] - 1 - round(row)), round(column)


def _window(size: int):
    renderer, window = vtk.vtkRenderer(), vtk.vtkRenderWindow()
    window.SetOffScreenRendering(1)
    window.SetMultiSamples(0)
    window.SetSize(size, size)
    window.AddRenderer(renderer)
    interactor = vtk.vtkRenderWindowInteractor()
    interactor.SetRenderWindow(window)
    renderer.SetBackground(0, 0, 0)
    return renderer, window


def _managers(factory, names, application, renderer, node):
    factory.SetMRMLApplicationLogic(application)
    for name in names:
        if not factory.IsDisplayableManagerRegistered(_NAMES[name]):
            factory.RegisterDisplayableManager(_NAMES[name])
    managers = factory.InstantiateDisplayableManagers(renderer)
    managers.SetMRMLDisplayableNode(node)
    return managers
