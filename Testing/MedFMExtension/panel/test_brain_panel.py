"""Brain MRI in the panel, as a user meets it: which models, which sequences, which maps."""

from __future__ import annotations

from pathlib import Path

import pytest
import scene_brains
from panel_desk import LISTED, ORGANS, PLANNED, SCORES

BRAIN = {
    **ORGANS, "id": "brain.v1", "title": "Brains", "task": "brain_embedding", "modality": ["MR"], "covers": [],
    "default": False, "place": "file", "ram_gb": None,
}  # fmt: skip
UNKNOWN_TIME = {**PLANNED, "devices": {"cpu": {"seconds": None, "basis": "not known"}}, "memory_gb": None}


def add(desk, name, of="T1w", modality="MR"):
    from medfm_core.geometry import Affine
    from medfm_core.volume import Volume

    grey, _, _ = scene_brains.phantom(of)
    return desk.space.add_scan(Volume(grey, Affine(scene_brains.affine_of(of)), modality=modality), name)


@pytest.fixture
def study(desk):
    """Three volumes, the models listed; the first volume is chosen."""
    desk.t1, desk.flair, desk.other = (
        add(desk, "p1 T1w"),
        add(desk, "axial dark", "FLAIR"),
        add(desk, "CT", "T1w", "CT"),
    )
    desk.widget.enter()
    desk.probe()
    desk.answer("models", **{**LISTED, "models": [ORGANS, SCORES, BRAIN]})
    desk.answer("plan", **UNKNOWN_TIME)
    return desk


def entries(box):
    return [box.itemText(row) for row in range(box.count)]


def pick_text(desk, box, text):
    box.setCurrentIndex(entries(box).index(text))
    desk.tick()


def run_pair(desk):
    desk.ui.secondSelector.setCurrentNode(desk.flair)
    desk.tick()
    pick_text(desk, desk.ui.secondSequenceBox, "FLAIR")
    desk.ui.runButton.click()
    desk.tick()
    asked = desk.worker.last("analyze")["arguments"]
    scene_brains.write_result(Path(asked["out"]), ("T1w", "FLAIR"))
    desk.answer("analyze", seconds=4.0, scans=["T1w", "FLAIR"])
    return asked


def test_an_mr_is_offered_brain_models_and_a_ct_is_not(study):
    ui = study.ui
    assert entries(ui.modelBox) == ["Brains"]
    assert ui.modelLabel.text == "11.8 MB, Apache-2.0, MR, brain, in a folder"
    assert ui.sequenceBox.currentText == "T1w"  # by the name of the volume
    assert not ui.sequenceBox.isHidden()
    assert ui.findingsBox.isHidden()
    assert ui.findingsModelLabel.text.startswith("Brain models give no findings")
    assert ui.findingsTree.isHidden()
    assert study.worker.last("plan")["arguments"]["model"] == "brain.v1"
    assert ui.expectedLabel.text.startswith("8.0 GB of memory are free.")
    assert (ui.runButton.enabled, ui.runButton.text) == (True, "Run")
    ui.inputSelector.setCurrentNode(study.other)
    study.tick()
    assert entries(ui.modelBox) == ["Organs, small"]
    assert ui.sequenceBox.isHidden()
    assert ui.secondSelector.isHidden()
    assert not ui.findingsBox.isHidden()
    assert not ui.findingsTree.isHidden()
    assert "model" not in study.worker.last("plan")["arguments"]


def test_what_nobody_says_can_be_given_to_either(study):
    study.ui.inputSelector.setCurrentNode(add(study, "volume", modality=None))
    study.tick()
    ui = study.ui
    assert entries(ui.modelBox) == ["Organs, small", "Brains"]
    assert ui.sequenceBox.isHidden()
    pick_text(study, ui.modelBox, "Brains")
    assert not ui.sequenceBox.isHidden()
    assert ui.sequenceBox.currentText == "Choose…"
    assert not ui.runButton.enabled
    assert ui.runButton.toolTip == "Choose whether volume is T1w, T2w or FLAIR."
    pick_text(study, ui.sequenceBox, "T2w")
    assert entries(ui.sequenceBox) == ["T1w", "T2w", "FLAIR"]
    assert ui.runButton.enabled


def test_two_scans_are_analysed_together_and_their_maps_shown(study):
    view = study.space.scene.AddNewNodeByClass("vtkMRMLSliceCompositeNode")
    study.ui.registerCheck.click()
    asked = run_pair(study)
    assert (asked["sequences"], asked["modality"], asked["model"]) == (["T1w", "FLAIR"], "MR", "brain.v1")
    assert asked["register"] is True
    assert "strip" not in asked
    assert len(asked["source"]) == len(set(asked["source"])) == 2
    assert not any(Path(path).exists() for path in asked["source"])  # the copies of the voxels are gone
    ui, scene = study.ui, study.space.scene
    assert ui.messageLabel.text == "Done in 4 s. Research use only, not a diagnosis."
    assert ui.warningsLabel.text == "T1w: the skull is still there."
    assert entries(ui.mapBox) == [
        "None", "Saliency of T1w", "Saliency of FLAIR", "Experts of block 3, T1w", "Experts of block 3, FLAIR",
    ]  # fmt: skip
    assert ui.mapBox.currentText == "Saliency of T1w"  # shown at once: nothing else would be seen
    assert scene.GetNodeByID(view.GetForegroundVolumeID()).GetName() == "p1 T1w saliency (Saliency of T1w)"
    assert "not what is abnormal" in ui.mapLabel.text
    assert ui.wordingLabel.text.startswith("Brain models give no findings")
    assert ui.thresholdSlider.enabled
    ui.opacitySlider.value = 40
    assert view.GetForegroundOpacity() == 0.4
    pick_text(study, ui.mapBox, "Experts of block 3, FLAIR")
    assert view.GetForegroundVolumeID() is None
    assert view.GetBackgroundVolumeID() == study.flair.GetID()
    routing = study.widget.scene.routing
    assert routing.GetDisplayNode().GetVisibility()
    assert not ui.thresholdSlider.enabled
    ui.opacitySlider.value = 70
    assert routing.GetDisplayNode().GetOpacity2DFill() == 0.7
    pick_text(study, ui.mapBox, "None")
    assert study.widget.scene.routing is None
    assert ui.mapLabel.text == ""
    assert ui.saliencyCheck.isHidden()


def test_report_and_embeddings_of_a_brain(study, tmp_path):
    run_pair(study)
    study.ui.reportButton.click()
    assert study.dialogs.opened == [str(study.model.report())]
    study.dialogs.path = str(tmp_path / "vectors.npz")
    study.ui.exportButton.click()
    study.tick()
    assert study.worker.last("embed")["arguments"]["result"] == str(study.model.run.result.folder)
    study.answer("embed", out=study.dialogs.path, units=["FLAIR", "T1w"], width=96)
    assert study.ui.studyLabel.text == f"The embeddings are in {study.dialogs.path}."
    assert not study.ui.askButton.enabled


def test_one_volume_is_not_taken_twice_nor_a_ct_among_them(study):
    ui = study.ui
    ui.secondSelector.setCurrentNode(study.t1)
    study.tick()
    assert ui.runButton.toolTip == "p1 T1w is chosen twice; choose another volume, or none."
    ui.secondSelector.setCurrentNode(study.other)
    study.tick()
    assert ui.runButton.toolTip == "CT: The scan says that it is CT; the model is for MR."
    ui.secondSelector.setCurrentNode(None)
    study.tick()
    assert ui.runButton.enabled


def test_without_a_brain_model_the_way_to_one_is_said(study):
    study.answer("models", **LISTED) if "models" in study.worker.names() else None
    study.model.weights.refresh()
    study.answer("models", **LISTED)
    ui = study.ui
    assert entries(ui.modelBox) == []
    assert not ui.runButton.enabled
    assert ui.runButton.toolTip.startswith(
        "No model for brain MRI is here: fetch or import one under Weights, or train"
    )
    assert ui.findingsModelLabel.text == ui.runButton.toolTip


def test_volumes_and_sequences_are_kept_in_the_scene(study):
    ui = study.ui
    ui.secondSelector.setCurrentNode(study.flair)
    study.tick()
    pick_text(study, ui.secondSequenceBox, "FLAIR")
    ui.stripCheck.click()
    study.tick()
    kept = study.widget.logic.getParameterNode()
    assert (kept.secondVolume, kept.sequences, kept.strip) == (study.flair, ",FLAIR,", True)
    study.widget.exit()
    kept.sequences, kept.register = "T2w,FLAIR,", True
    study.widget.enter()
    study.tick()
    assert (ui.sequenceBox.currentText, ui.secondSequenceBox.currentText) == ("T2w", "FLAIR")
    assert ui.registerCheck.checked
    assert study.model.choices.register


def test_a_second_scan_that_goes_stops_the_run(study):
    ui = study.ui
    ui.secondSelector.setCurrentNode(study.flair)
    study.tick()
    pick_text(study, ui.secondSequenceBox, "FLAIR")
    ui.runButton.click()
    study.tick()
    study.space.scene.RemoveNode(study.flair)
    study.tick()
    study.worker.answer("analyze", "cancelled")
    study.tick()
    assert "The input volume was removed" in ui.messageLabel.text
    assert study.model.brain.volumes == [study.t1, None, None]
    assert ui.runButton.enabled


def test_the_scene_is_closed_while_experts_show(study):
    run_pair(study)
    pick_text(study, study.ui.mapBox, "Experts of block 3, T1w")
    study.space.scene.Clear(False)
    study.tick()
    assert study.ui.mapBox.isHidden()
    assert study.ui.inputLabel.text == "Choose an input volume."
    assert not study.ui.reportButton.enabled


def test_a_result_is_opened_on_the_volume_that_it_was_made_of(study, tmp_path):
    study.dialogs.path = str(scene_brains.write_result(tmp_path / "one", ("FLAIR",)))
    study.ui.openButton.click()
    study.tick()
    assert "another scan" in study.ui.messageLabel.text
    study.ui.inputSelector.setCurrentNode(study.flair)
    study.tick()
    study.ui.openButton.click()
    study.tick()
    assert study.ui.messageLabel.text.startswith("Opened.")
    assert study.ui.mapBox.currentText == "Saliency of FLAIR"
    study.dialogs.path = str(scene_brains.write_result(tmp_path / "two", ("T1w", "FLAIR")))
    study.ui.sequenceBox.setCurrentIndex(entries(study.ui.sequenceBox).index("T2w"))
    study.ui.openButton.click()
    study.tick()
    assert "The result is of T1w, FLAIR; choose the volumes" in study.ui.messageLabel.text
