"""What a reader sees, in pixels: organs in their colours, saliency in its place, left where left is."""

from __future__ import annotations

import os
import sys
from ctypes.util import find_library

import numpy as np
import pytest
import scene_results

pytest.importorskip("slicer", reason="needs slicer-core: pip install 'medfm[slicer]'")

import vtk
from MedFMLib.scene_colours import ramp
from MedFMLib.scene_saliency import levels
from MedFMLib.scene_segments import show_only, show_surfaces

GREY = 100 / 255
LEFT, RIGHT, FRONT = (-40.0, -35.0, 0.0), (40.0, -35.0, 0.0), (35.0, 30.0, 0.0)


_LIBRARIES = ("EGL", "OSMesa")  # what draws without a screen on Linux; without them VTK ends the process
pytestmark = pytest.mark.skipif(
    sys.platform == "linux" and not os.environ.get("DISPLAY") and not any(map(find_library, _LIBRARIES)),
    reason="needs an offscreen renderer: apt-get install libegl1 libgl1-mesa-dri",
)


@pytest.fixture
def axial(case):
    view = case.space.slice_view(case.volume)
    case.bridge.centre_on((0.0, 0.0, 0.0))
    return view


def fill(picture, view, point, half=3):
    row, column = view.pixel_of(point)
    return picture[row - half : row + half + 1, column - half : column + half + 1].reshape(-1, 3).mean(0) / 255


@pytest.mark.parametrize(("organ", "place"), [("kidney_left", LEFT), ("kidney_right", RIGHT), ("liver", FRONT)])
def test_organs_lie_over_the_scan_in_their_colours(case, axial, organ, place):
    before = axial.picture()
    assert np.allclose(fill(before, axial, place), GREY, atol=0.01)
    case.bridge.import_result(case.volume, case.result)
    expected = 0.65 * GREY + 0.35 * np.array(scene_results.COLOURS[organ]) / 255
    assert np.allclose(fill(axial.picture(), axial, place), expected, atol=0.02)


def test_left_is_on_the_right_of_an_axial_slice(case, axial):
    case.bridge.import_result(case.volume, case.result)
    before = axial.picture().astype(int)
    show_only(case.bridge.segmentation(case.volume), ("kidney_left",))
    after = axial.picture().astype(int)
    show_only(case.bridge.segmentation(case.volume), ())
    gone = axial.picture().astype(int)
    columns = np.argwhere(np.abs(after - gone).sum(-1) > 10)[:, 1]
    assert columns.min() > 100
    columns = np.argwhere(np.abs(before - after).sum(-1) > 10)[:, 1]
    assert columns.max() < 100  # what was hidden lies on the patient's right
    rows = np.argwhere(np.abs(after - gone).sum(-1) > 10)[:, 0]
    assert rows.min() > 100  # and the kidney lies at the back, which is below


def test_left_is_on_the_right_of_the_coronal_view(case):
    case.bridge.import_result(case.volume, case.result)
    coronal = case.space.slice_view(case.volume, "Green", "Coronal")
    case.bridge.centre_on((0.0, -35.0, 0.0))
    places = columns(coronal.picture(), fills=0.35)
    assert places["kidney_left"].min() > 100 > places["kidney_right"].max()


def test_left_is_on_the_right_of_the_3d_view_from_the_front(case):
    case.bridge.import_result(case.volume, case.result)
    organs = case.bridge.segmentation(case.volume)
    show_only(organs, ("kidney_left", "kidney_right"))
    solid = case.space.view_3d()
    before = solid.picture()
    show_surfaces(organs)
    places = columns(solid.picture())
    assert places["kidney_left"].mean() > 120
    assert places["kidney_right"].mean() < 80
    show_surfaces(organs, False)
    assert np.array_equal(solid.picture(), before)


def columns(picture, fills=1.0):
    """Columns of the pixels that have each kidney's hue, as light falls on it or as it covers the grey scan."""
    found = {}
    for name in ("kidney_left", "kidney_right"):
        colour = (1 - fills) * 100 + fills * np.array(scene_results.COLOURS[name], float)
        away = np.abs(picture / np.maximum(picture.sum(-1, keepdims=True), 60) - colour / colour.sum()).max(-1)
        found[name] = np.argwhere(away < 0.04)[:, 1]
        assert len(found[name]) > 100
    return found


def test_saliency_lies_in_its_organ_with_its_colours_threshold_and_opacity(case, axial):
    case.bridge.import_result(case.volume, case.result)
    organs = case.bridge.segmentation(case.volume).GetDisplayNode()
    filled = axial.picture()
    organs.SetOpacity2DFill(0.0)
    before = axial.picture()
    organs.SetOpacity2DFill(0.35)
    case.bridge.show_saliency(case.volume, case.map, "Renal mass")
    case.bridge.set_saliency_opacity(0.5)
    shown = axial.picture()
    peak = (
        case.heat[tuple(np.array(np.linalg.inv(case.affine) @ (*LEFT, 1.0))[:3].round().astype(int))] / case.heat.max()
    )
    expected = 0.5 * GREY + 0.5 * ramp(256)[round(peak * 255)]
    assert np.allclose(fill(shown, axial, LEFT, 0), expected, atol=0.08)
    for place in (RIGHT, FRONT, (-40.0, -35.0 + 20, 0.0)):
        assert np.array_equal(fill(shown, axial, place, 1), fill(before, axial, place, 1))
    case.bridge.set_saliency_opacity(1.0)
    assert np.allclose(fill(axial.picture(), axial, LEFT, 0), ramp(256)[round(peak * 255)], atol=0.08)
    areas = []
    for share in (0.3, 0.6, 0.9):
        case.bridge.set_saliency_threshold(share)
        assert case.bridge.saliency_threshold() == pytest.approx(share)
        changed = np.abs(axial.picture().astype(int) - before).sum(-1) > 20
        areas.append(changed[:, 100:160].sum())
    assert areas[0] > areas[1] > areas[2]
    case.bridge.hide_saliency()
    assert np.array_equal(axial.picture(), filled)


def test_the_legend_shows_with_the_map_alone(case):
    axial = case.space.slice_view(case.volume, size=400)
    case.bridge.import_result(case.volume, case.result)
    edge = np.s_[:, 350:]
    before = axial.picture()[edge]
    case.bridge.show_saliency(case.volume, case.map, "Renal mass")
    assert (axial.picture()[edge] != before).any(-1).mean() > 0.02
    case.bridge.hide_saliency()
    assert np.array_equal(axial.picture()[edge], before)


def test_colours_of_saliency_grow_lighter_all_the_way():
    red, green, blue = ramp(256).T
    lightness = 0.2126 * red**2.2 + 0.7152 * green**2.2 + 0.0722 * blue**2.2
    assert (np.diff(lightness) > 0).all()


def test_levels_leave_out_single_bright_voxels_and_most_of_the_faint_ones():
    heat = np.linspace(0, 1, 1001, dtype=np.float32)
    first, last = levels(np.append(heat, np.float32(1000.0)))
    assert first == pytest.approx(0.8, abs=0.01)
    assert last == pytest.approx(0.995, abs=0.01)
    assert levels(np.zeros(8, np.float32)) == (0.0, 1.0)
    assert levels(np.full(8, 0.25, np.float32)) == (0.0, 0.25)


def test_colours_of_saliency_are_the_reports():
    heat = pytest.importorskip("medfm_core.report.heat", reason="needs the runtime's packages")
    from MedFMLib.scene_colours import RAMP

    assert np.array_equal(np.array(RAMP), heat._RAMP)


def test_a_transform_above_the_scan_moves_the_point_along(case, axial):
    case.bridge.import_result(case.volume, case.result)
    transform = case.scene.AddNewNodeByClass("vtkMRMLLinearTransformNode", "moved")
    matrix = vtk.vtkMatrix4x4()
    matrix.SetElement(0, 3, 25.0)
    transform.SetMatrixTransformToParent(matrix)
    case.volume.SetAndObserveTransformNodeID(transform.GetID())
    case.bridge.centre_on(LEFT)
    assert axial.node.GetSliceToRAS().MultiplyPoint((0, 0, 0, 1))[:3] == pytest.approx((-15, -35, 0), abs=1e-6)


def test_views_are_centred_on_a_point(case, axial):
    coronal = case.space.slice_view(case.volume, "Green", "Coronal")
    case.scene.AddNewNodeByClass("vtkMRMLCrosshairNode")
    case.bridge.centre_on(LEFT)
    for view in (axial, coronal):
        row, column = view.pixel_of(LEFT)
        assert abs(row - 100) <= 1
        assert abs(column - 100) <= 1
        assert view.node.GetSliceToRAS().MultiplyPoint((0, 0, 0, 1))[:3] == pytest.approx(LEFT, abs=1e-6)
    assert tuple(case.scene.GetFirstNodeByClass("vtkMRMLCrosshairNode").GetCrosshairRAS()) == LEFT
