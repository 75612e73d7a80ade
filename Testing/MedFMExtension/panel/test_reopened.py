"""A scene with a result is saved, closed and opened again: the panel lists the result as before."""

from __future__ import annotations

import pytest
import scene_brains
from panel_desk import write_result


@pytest.fixture
def reopen(desk, tmp_path):
    """Save the scene, close it and open it again, as a user does with a .mrb file."""
    import scene_offscreen

    kept = scene_offscreen.bundle_reader(desk.space.scene, desk.space.application)

    def again():
        bundle = tmp_path / "scene.mrb"
        scene_offscreen.save_bundle(desk.space.scene, bundle)
        desk.space.scene.Clear(False)
        desk.tick()
        assert desk.rows() == {}
        assert desk.space.scene.ReadFromMRB(str(bundle), True)
        desk.tick()

    yield again
    assert kept


def test_findings_and_the_map_that_was_shown_are_there_again(desk, reopen):
    composite = desk.space.scene.AddNewNodeByClass("vtkMRMLSliceCompositeNode")
    desk.done().pick("Renal mass")
    before = desk.rows()
    reopen()
    ui = desk.ui
    assert desk.rows() == before
    assert ui.inputSelector.currentNode().GetName() == "Chest"
    assert ui.messageLabel.text.startswith("Listed as the scene carries it; for the report")
    assert not ui.reportButton.enabled
    assert not ui.similarButton.enabled
    assert not ui.askButton.enabled
    composite = desk.space.scene.GetFirstNodeByClass("vtkMRMLSliceCompositeNode")
    assert composite.GetForegroundVolumeID()
    assert ui.saliencyCheck.checked  # as the views show it
    ui.saliencyCheck.click()
    desk.tick()
    assert composite.GetForegroundVolumeID() is None
    view = desk.space.scene.AddNewNodeByClass("vtkMRMLSliceNode")
    desk.pick("Renal mass")
    assert composite.GetForegroundVolumeID()
    centre = [view.GetSliceToRAS().GetElement(row, 3) for row in range(3)]
    assert max(abs(a - b) for a, b in zip(centre, (-50, -30, 0), strict=True)) < 3


def test_a_map_that_the_scene_does_not_have_is_told(desk, reopen):
    desk.done()
    reopen()
    desk.pick("Renal mass")
    assert not desk.ui.saliencyCheck.checked
    assert "it keeps those that were shown before it was saved" in desk.ui.wordingLabel.text


def test_the_folder_of_the_result_brings_report_and_maps_back(desk, reopen, tmp_path):
    desk.done()
    reopen()
    desk.dialogs.path = str(write_result(tmp_path / "kept"))
    desk.ui.openButton.click()
    desk.tick()
    assert desk.ui.messageLabel.text.startswith("Opened.")
    assert desk.ui.reportButton.enabled
    assert len(desk.rows()) == 2


def test_another_volume_and_back_lists_the_result_of_each(desk):
    other = desk.done().volume("Other")
    desk.ui.inputSelector.setCurrentNode(other)
    desk.tick()
    first = desk.rows()  # the last result stays until there is another one
    assert len(first) == 2
    desk.widget.scene.import_result(other, desk.model.run.result)
    desk.widget.scene.segmentation(other).SetAttribute("MedFM.Model", "another")
    desk.ui.inputSelector.setCurrentNode(None)
    desk.ui.inputSelector.setCurrentNode(other)
    desk.tick()
    assert desk.model.run.volume == other
    assert not desk.ui.reportButton.enabled
    desk.ui.inputSelector.setCurrentNode(desk.chosen)
    desk.tick()
    assert desk.model.run.volume == desk.chosen
    assert desk.ui.messageLabel.text.startswith("Found before.")
    assert desk.ui.reportButton.enabled  # of this session, so its files are here


def test_maps_of_a_brain_are_there_again(desk, reopen, tmp_path):
    from medfm_core.geometry import Affine
    from medfm_core.volume import Volume

    desk.ready()
    grey, _, _ = scene_brains.phantom("T1w")
    volume = desk.space.add_scan(Volume(grey, Affine(scene_brains.affine_of("T1w")), modality="MR"), "p1 T1w")
    desk.space.scene.AddNewNodeByClass("vtkMRMLSliceCompositeNode")
    desk.ui.inputSelector.setCurrentNode(volume)
    desk.dialogs.path = str(scene_brains.write_result(tmp_path / "brain", ("T1w",)))
    desk.ui.openButton.click()
    desk.tick()
    box = desk.ui.mapBox
    box.setCurrentIndex(2)  # the experts
    desk.tick()
    reopen()
    assert [box.itemText(row) for row in range(box.count)] == ["None", "Saliency of T1w", "Experts of block 3, T1w"]
    assert box.currentText == "Experts of block 3, T1w"
    box.setCurrentIndex(1)
    desk.tick()
    assert desk.widget.scene.saliency is not None
