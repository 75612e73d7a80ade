"""Notice what happens to the scene behind our back: nodes removed, the scene closed."""

from __future__ import annotations

from collections.abc import Callable

import slicer
import vtk


class SceneWatch:
    """Observers of a scene that are all taken away again.

    Args:
        scene: the scene.
        removing: called with a node that is about to go.
        closed: called when the scene was emptied.
    """

    def __init__(
        self,
        scene: slicer.vtkMRMLScene,
        removing: Callable[[slicer.vtkMRMLNode], None],
        closed: Callable[[], None],
    ) -> None:
        self._scene, self._removing, self._closed = scene, removing, closed
        self._tags = [
            scene.AddObserver(slicer.vtkMRMLScene.NodeAboutToBeRemovedEvent, self._node_goes),
            scene.AddObserver(slicer.vtkMRMLScene.EndCloseEvent, self._scene_closed),
        ]

    def stop(self) -> None:
        """Observe nothing any more; a second call does nothing."""
        for tag in self._tags:
            self._scene.RemoveObserver(tag)
        self._tags = []

    @vtk.calldata_type(vtk.VTK_OBJECT)
    def _node_goes(self, _scene: object, _event: str, node: slicer.vtkMRMLNode) -> None:
        if node is not None and not self._scene.IsClosing():
            self._removing(node)

    def _scene_closed(self, _scene: object, _event: str) -> None:
        self._closed()
