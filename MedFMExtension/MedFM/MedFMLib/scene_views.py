"""What the slice views show: a map over its volume and back again, and where they are cut.

What a view showed before is kept on its own node, as references and an attribute, so it is restored even after the
module was reloaded or the scene was saved and opened again with the map showing.
"""

from __future__ import annotations

import json

import slicer

from .scene_nodes import PREFIX, nodes

_BEFORE, _LAYERS = f"{PREFIX}Before", ("Background", "Foreground")
OPACITY = 0.6


def show_over(
    scene: slicer.vtkMRMLScene,
    overlay: slicer.vtkMRMLScalarVolumeNode | None,
    volume: slicer.vtkMRMLScalarVolumeNode,
    opacity: float = OPACITY,
) -> None:
    """Show a map over its volume in every slice view.

    Args:
        scene: whose views.
        overlay: the map; None shows the volume alone, as below a segmentation.
        volume: what lies below it.
        opacity: of the map, 0 to 1.
    """
    for view in nodes(scene, "vtkMRMLSliceCompositeNode"):
        _remember(view, overlay)
        change = view.StartModify()
        view.SetBackgroundVolumeID(volume.GetID())
        view.SetForegroundVolumeID(_id_of(overlay))
        view.SetForegroundOpacity(opacity)
        view.SetCompositing(slicer.vtkMRMLSliceCompositeNode.Alpha)
        view.EndModify(change)


def restore(scene: slicer.vtkMRMLScene) -> None:
    """Show in every slice view what it showed before; a view whose foreground was changed since is left alone."""
    for view in nodes(scene, "vtkMRMLSliceCompositeNode"):
        before = view.GetAttribute(_BEFORE)
        if before is None:
            continue
        ours = view.GetNodeReferenceID(f"{_BEFORE}Overlay")
        if view.GetForegroundVolumeID() in (ours, None):
            _put_back(view, json.loads(before))
        _forget(view)


def set_opacity(scene: slicer.vtkMRMLScene, opacity: float) -> None:
    """Set the map's opacity, 0 to 1, in the views that show one."""
    for view in nodes(scene, "vtkMRMLSliceCompositeNode"):
        if view.GetAttribute(_BEFORE) is not None:
            view.SetForegroundOpacity(min(max(opacity, 0.0), 1.0))


def shown_overlay(scene: slicer.vtkMRMLScene) -> slicer.vtkMRMLScalarVolumeNode | None:
    """The map that the slice views show; None where none of them shows one."""
    for view in nodes(scene, "vtkMRMLSliceCompositeNode"):
        overlay = view.GetNodeReference(f"{_BEFORE}Overlay")
        if overlay is not None and view.GetForegroundVolumeID() == overlay.GetID():
            return overlay
    return None


def centre_views(scene: slicer.vtkMRMLScene, point: tuple[float, float, float]) -> None:
    """Move every slice view so that a point lies in its middle, and put the crosshair there.

    Args:
        scene: whose views.
        point: RAS, mm.
    """
    for view in nodes(scene, "vtkMRMLSliceNode"):
        view.JumpSliceByCentering(*point)
    crosshair = scene.GetFirstNodeByClass("vtkMRMLCrosshairNode")
    if crosshair is not None:
        crosshair.SetCrosshairRAS(*point)


def _id_of(node: slicer.vtkMRMLNode | None) -> str | None:
    return None if node is None else node.GetID()


def _remember(view: slicer.vtkMRMLSliceCompositeNode, overlay: slicer.vtkMRMLScalarVolumeNode | None) -> None:
    """Keep what the view shows, unless it shows one of our maps already."""
    ours = view.GetNodeReferenceID(f"{_BEFORE}Overlay")
    if view.GetAttribute(_BEFORE) is None or view.GetForegroundVolumeID() != ours:
        state = {"opacity": view.GetForegroundOpacity(), "compositing": view.GetCompositing()}
        view.SetAttribute(_BEFORE, json.dumps(state))
        for layer in _LAYERS:
            shown = getattr(view, f"Get{layer}VolumeID")()
            view.SetNodeReferenceID(f"{_BEFORE}{layer}", shown)
    view.SetNodeReferenceID(f"{_BEFORE}Overlay", _id_of(overlay))


def _put_back(view: slicer.vtkMRMLSliceCompositeNode, state: dict) -> None:
    change = view.StartModify()
    for layer in _LAYERS:
        volume = view.GetNodeReference(f"{_BEFORE}{layer}")
        getattr(view, f"Set{layer}VolumeID")(volume.GetID() if volume is not None else None)
    view.SetForegroundOpacity(float(state["opacity"]))
    view.SetCompositing(int(state["compositing"]))
    view.EndModify(change)


def _forget(view: slicer.vtkMRMLSliceCompositeNode) -> None:
    view.RemoveAttribute(_BEFORE)
    for role in (*_LAYERS, "Overlay"):
        view.SetNodeReferenceID(f"{_BEFORE}{role}", None)
