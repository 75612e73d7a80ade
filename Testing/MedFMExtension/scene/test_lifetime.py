"""Views are put back as they were, whatever goes away in between."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("slicer", reason="needs slicer-core: pip install 'medfm[slicer]'")

from MedFMLib.scene import ORGANS, SALIENCY, SlicerScene
from MedFMLib.scene_nodes import nodes


@pytest.fixture
def shown(case):
    """A view in which the user compared two scans, with saliency over one of them now."""
    other = case.space.volume(np.zeros((4, 4, 4), np.int16), np.eye(4), "PET")
    third = case.space.volume(np.zeros((4, 4, 4), np.int16), np.eye(4), "MR")
    view = case.space.slice_view(other).composite
    view.SetForegroundVolumeID(third.GetID())
    view.SetForegroundOpacity(0.3)
    view.SetCompositing(1)
    case.before = layers(view)
    case.other, case.third, case.view = other, third, view
    case.bridge.import_result(case.volume, case.result)
    case.bridge.show_saliency(case.volume, case.map, "Renal mass")
    return case


def layers(view):
    return (
        view.GetBackgroundVolumeID(), view.GetForegroundVolumeID(), view.GetForegroundOpacity(), view.GetCompositing()
    )  # fmt: skip


def test_hiding_puts_the_users_view_back(shown):
    heat = shown.volume.GetNodeReference(SALIENCY)
    assert layers(shown.view) == (shown.volume.GetID(), heat.GetID(), 0.6, 0)
    assert shown.bridge.saliency is heat
    shown.bridge.show_saliency(shown.volume, shown.map, "Renal mass")  # once more does not forget what was before
    shown.bridge.hide_saliency()
    assert layers(shown.view) == shown.before
    assert shown.bridge.saliency is None
    shown.bridge.hide_saliency()
    assert layers(shown.view) == shown.before


def test_a_view_that_the_user_changed_meanwhile_is_left_alone(shown):
    shown.view.SetForegroundVolumeID(shown.third.GetID())
    shown.bridge.hide_saliency()
    assert layers(shown.view) == (shown.volume.GetID(), shown.third.GetID(), 0.6, 0)
    shown.bridge.show_saliency(shown.volume, shown.map, "Renal mass")
    shown.bridge.hide_saliency()
    assert shown.view.GetForegroundVolumeID() == shown.third.GetID()


def test_a_reloaded_module_still_puts_the_view_back(shown):
    shown.bridge.close()
    again = SlicerScene(shown.scene)
    again.hide_saliency()
    assert layers(shown.view) == shown.before
    assert again.segmentation(shown.volume) is shown.volume.GetNodeReference(ORGANS)
    again.close()


def test_organs_are_outlined_while_a_map_shows_and_filled_again(shown):
    display = shown.bridge.segmentation(shown.volume).GetDisplayNode()
    assert display.GetOpacity2DFill() == 0
    shown.bridge.hide_saliency()
    assert display.GetOpacity2DFill() == pytest.approx(0.35)
    display.SetOpacity2DFill(0.2)
    shown.bridge.show_saliency(shown.volume, shown.map, "Renal mass")
    shown.bridge.hide_saliency()
    assert display.GetOpacity2DFill() == pytest.approx(0.2)


def test_the_map_needs_its_file_only_once(shown):
    shown.bridge.hide_saliency()
    shown.map.unlink()
    shown.bridge.show_saliency(shown.volume, shown.map, "Renal mass")
    assert shown.bridge.saliency is not None


@pytest.mark.parametrize("what", ["volume", "map"])
def test_removing_the_volume_or_the_map_puts_the_view_back(shown, what):
    gone = shown.volume if what == "volume" else shown.volume.GetNodeReference(SALIENCY)
    shown.scene.RemoveNode(gone)
    assert layers(shown.view) == shown.before
    assert shown.bridge.saliency is None
    assert len(nodes(shown.scene, "vtkMRMLSegmentationNode")) == 1  # results are the user's to keep
    if what == "map":
        shown.bridge.show_saliency(shown.volume, shown.map, "Renal mass")
        assert shown.bridge.saliency is not None


def test_what_was_shown_before_may_be_gone_too(shown):
    shown.scene.RemoveNode(shown.other)
    shown.bridge.hide_saliency()
    assert layers(shown.view) == (None, shown.third.GetID(), 0.3, 1)


def test_closing_the_scene_leaves_nothing_to_trip_over(shown):
    volume = shown.volume
    shown.scene.Clear(False)
    assert not shown.bridge.is_alive(volume)
    assert shown.bridge.saliency is None
    shown.bridge.hide_saliency()
    shown.bridge.centre_on((0.0, 0.0, 0.0))
    fresh = shown.space.volume(np.full((24, 36, 40), 100, np.int16), shown.affine)
    shown.bridge.import_result(fresh, shown.result)
    shown.bridge.show_saliency(fresh, shown.map, "Renal mass")
    assert shown.bridge.segmentation(fresh) is not None


def test_a_closed_bridge_hears_nothing(shown):
    shown.bridge.close()
    shown.bridge.close()
    shown.scene.RemoveNode(shown.volume.GetNodeReference(SALIENCY))
    assert shown.view.GetBackgroundVolumeID() == shown.volume.GetID()
