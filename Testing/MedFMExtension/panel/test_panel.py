"""The panel in Slicer's surroundings, driven as a user drives it, with a worker that a test speaks through."""

from __future__ import annotations

import csv
from pathlib import Path

from panel_desk import write_result

LICENCE = {
    "summary": {"title": "Large", "licence": "CC-BY-NC", "terms": "No clinical use.", "intended_use": "Research."},
    "licence_text": "The licence",
}
RUNNING = {"name": "Outline the organs", "fraction": 0.41, "remaining_seconds": 125.0}


def test_before_it_is_entered_nothing_is_started(desk):
    assert desk.workers.opened == []
    assert not desk.panel.timer.isActive()
    assert not desk.ui.runButton.enabled
    assert "Research use only" in desk.ui.noticeLabel.text


def test_an_installation_that_lacks_something_is_unfolded_and_says_what_and_how_big(desk):
    desk.widget.enter()
    assert desk.panel.timer.isActive()
    desk.probe(packages={"torch": ""}, torch_works=False)
    assert not desk.ui.installSection.collapsed
    assert "torch: missing; about 800 MB, brought by the PyTorch extension" in desk.ui.packagesLabel.text
    assert desk.ui.installButton.enabled
    assert "MB" in desk.ui.installButton.text
    assert "torch" in desk.ui.runButton.toolTip
    desk.ui.installButton.click()
    desk.tick()
    assert "Extensions Manager" in desk.ui.installLabel.text  # the PyTorch extension is not there
    assert not desk.panel.timer.isActive()


def test_once_all_is_there_the_page_folds_and_the_panel_says_what_a_run_takes(desk):
    desk.ready()
    ui = desk.ui
    assert ui.installSection.collapsed
    assert ui.inputSelector.currentNode() == desk.chosen
    assert ui.inputLabel.text.startswith("Chest: 48 x 40 x 30 voxels of 5 x 5 x 6 mm")
    assert ui.modelBox.currentText == "Organs, small"
    assert ui.modelLabel.text == "11.8 MB, Apache-2.0, CT, 2 structures, comes with MedFM"
    assert ui.deviceBox.currentText == "Automatic (cpu), about 2 min"
    assert ui.expectedLabel.text.startswith("Needs about 1.6 GB of memory; 8.0 GB are free. No GPU")
    assert (ui.runButton.text, ui.runButton.enabled) == ("Run", True)


def test_a_run_shows_its_stage_and_the_time_left_and_ends_with_findings(desk):
    desk.ready().ui.runButton.click()
    desk.tick()
    assert desk.ui.runButton.text == "Cancel"
    assert not desk.ui.inputSelector.enabled
    desk.answer("analyze", "progress", **RUNNING)
    assert desk.ui.progressBar.value == 41
    assert desk.ui.stageLabel.text == "Outline the organs, about 2 min left"
    write_result(Path(desk.worker.last("analyze")["arguments"]["out"]))
    desk.answer("analyze", seconds=3.0)
    assert desk.ui.messageLabel.text == "Done in 3 s. Research use only, not a diagnosis."
    assert desk.ui.progressBar.isHidden()
    assert desk.rows() == {
        "Left kidney (62 mL)": [("Renal mass (left)", "present", "0.81")],
        "Liver (267 mL)": [("Hepatic steatosis", "absent", "0.04")],
    }
    assert desk.ui.presentCheck.text == "P&resent (1)"


def test_the_same_button_cancels_and_nothing_is_imported(desk):
    desk.ready().ui.runButton.click()
    desk.tick()
    desk.ui.runButton.click()
    desk.tick()
    assert not desk.ui.runButton.enabled
    desk.worker.answer("analyze", "cancelled")
    desk.tick()
    assert desk.ui.messageLabel.text == "Cancelled; nothing was imported."
    assert (desk.ui.runButton.text, desk.ui.runButton.enabled) == ("Run", True)
    assert desk.space.scene.GetNumberOfNodesByClass("vtkMRMLSegmentationNode") == 0
    assert not desk.panel.timer.isActive()


def test_a_choice_in_the_list_centres_the_slices_and_shows_the_map(desk):
    view = desk.space.scene.AddNewNodeByClass("vtkMRMLSliceNode")
    composite = desk.space.scene.AddNewNodeByClass("vtkMRMLSliceCompositeNode")
    desk.done().pick("Renal mass")
    centre = [view.GetSliceToRAS().GetElement(row, 3) for row in range(3)]
    assert max(abs(a - b) for a, b in zip(centre, (-50, -30, 0), strict=True)) < 3
    overlay = desk.space.scene.GetNodeByID(composite.GetForegroundVolumeID())
    assert overlay.GetName() == "Chest saliency (Renal mass (left))"
    assert desk.ui.saliencyCheck.checked
    assert desk.ui.wordingLabel.text.startswith("Renal mass (left): present, 0.81. The model scored 0.81")
    desk.ui.opacitySlider.value = 30
    assert composite.GetForegroundOpacity() == 0.3
    desk.ui.thresholdSlider.value = 50
    assert abs(desk.widget.scene.saliency_threshold() - 0.5) < 0.01
    desk.ui.saliencyCheck.click()
    desk.tick()
    assert composite.GetForegroundVolumeID() is None
    desk.ui.saliencyCheck.click()
    desk.tick()
    assert composite.GetForegroundVolumeID() == overlay.GetID()
    desk.pick("Hepatic steatosis")  # it has no map
    assert composite.GetForegroundVolumeID() is None
    assert not desk.ui.saliencyCheck.checked


def test_filter_and_search_narrow_the_list(desk):
    desk.done()
    desk.ui.absentCheck.click()
    desk.tick()
    assert list(desk.rows()) == ["Left kidney (62 mL)"]
    desk.ui.absentCheck.click()
    desk.ui.searchEdit.text = "steat"
    desk.tick()
    assert list(desk.rows()) == ["Liver (267 mL)"]


def test_organs_in_3d_and_report(desk):
    desk.done().ui.surfacesCheck.click()
    organs = desk.widget.scene.segmentation(desk.chosen)
    assert organs.GetDisplayNode().GetVisibility3D()
    assert organs.GetSegmentation().ContainsRepresentation("Closed surface")
    desk.ui.reportButton.click()
    assert desk.dialogs.opened == [str(desk.model.report())]


def test_free_text_similar_studies_and_embeddings(desk, tmp_path):
    desk.done()
    assert not desk.ui.askButton.enabled
    desk.ui.phraseEdit.text = "fatty infiltration"
    desk.ui.askButton.click()
    desk.tick()
    assert desk.worker.last("ask")["arguments"]["phrase"] == "fatty infiltration"
    desk.answer(
        "ask", organ="liver", phrase="fatty infiltration", score=0.7, spread=[0.6, 0.8], cut=[], positive=["p"],
        negative=["n"], catalogue=[{"label": "Steatosis", "organ": "Liver", "state": "absent", "score": 0.04}],
    )  # fmt: skip
    assert "“fatty infiltration”: 0.70" in desk.ui.answerLabel.text
    assert "not calibrated" in desk.ui.answerLabel.text
    desk.dialogs.path = str(tmp_path)
    desk.ui.similarButton.click()
    desk.tick()
    desk.answer("similar", neighbours=[{"study": "other", "similarity": 0.91, "state": "present", "shared": 4}])
    assert desk.ui.similarTree.topLevelItem(0).text(1) == "0.910"
    desk.dialogs.path = str(tmp_path / "vectors.csv")
    desk.ui.exportButton.click()
    desk.tick()
    desk.answer("embed", out=desk.dialogs.path, units=3, width=96)
    assert desk.ui.studyLabel.text == f"The embeddings are in {desk.dialogs.path}."


def pick_model(desk, title):
    tree = desk.ui.modelsTree
    for item in (tree.topLevelItem(index) for index in range(tree.topLevelItemCount)):
        if item.text(0) == title:
            tree.setCurrentItem(item)
    desk.tick()


def test_weights_are_fetched_only_after_their_licence_was_accepted(desk):
    desk.ready()
    pick_model(desk, "Organs, large")
    assert "CC-BY-NC" in desk.ui.modelText.text
    desk.dialogs.agreed = False
    for agreed in (False, True):
        desk.dialogs.agreed = agreed
        desk.ui.fetchButton.click()
        desk.tick()
        desk.answer("model", **LICENCE)
        desk.slicer.app.processEvents()
        desk.tick()
        assert ("pull" in desk.worker.names()) is agreed
    assert desk.dialogs.asked[0][2] == "The licence"
    assert desk.worker.last("pull")["arguments"] == {"model": "big.v1", "accept_licence": True}
    desk.answer("pull", "progress", name="x", fraction=0.25, remaining_seconds=None)
    assert desk.ui.weightsBar.value == 25
    assert desk.ui.stopButton.enabled
    desk.answer("pull", model="big.v1", folder="/cache")
    assert "big.v1 was fetched and verified." in desk.ui.weightsLabel.text


def test_weights_are_verified_imported_and_removed(desk, tmp_path):
    desk.ready().ui.verifyButton.click()
    desk.tick()
    desk.answer("verify", models=[{"model": "organs.v1", "state": "whole", "detail": ""}])
    assert "1 of 1 models are whole." in desk.ui.weightsLabel.text
    assert not desk.ui.removeButton.enabled
    pick_model(desk, "Organs, large")
    desk.dialogs.path = str(tmp_path)
    desk.ui.importFolderButton.click()
    desk.tick()
    desk.answer("model", **LICENCE)
    desk.slicer.app.processEvents()
    desk.tick()
    assert desk.worker.last("import")["arguments"]["path"] == str(tmp_path)


def test_settings_start_the_worker_anew(desk):
    desk.ready()
    before = len(desk.workers.opened)
    assert not desk.ui.applySettingsButton.enabled
    desk.ui.pythonEdit.text = "/opt/python"
    desk.ui.offlineCheck.click()
    desk.ui.applySettingsButton.click()
    desk.tick()
    launch = desk.widget.logic.launch()
    assert (launch.python, launch.is_external, launch.environment["MEDFM_OFFLINE"]) == ("/opt/python", True, "1")
    assert len(desk.workers.opened) > before
    assert not desk.ui.applySettingsButton.enabled


def test_the_report_for_bug_reports_names_no_volume(desk):
    desk.done().ui.diagnosisButton.click()
    assert "MedFM panel, protocol 1" in desk.dialogs.copied
    assert "Chest" not in desk.dialogs.copied


def test_a_result_that_was_made_before_is_opened(desk, scan):
    desk.ready()
    desk.dialogs.path = str(scan.folder)
    desk.ui.openButton.click()
    desk.tick()
    assert desk.ui.messageLabel.text.startswith("Opened.")
    assert len(desk.rows()) == 2
    desk.dialogs.path = str(scan.folder.parent)
    desk.ui.openButton.click()
    desk.tick()
    assert "holds no result of MedFM" in desk.ui.messageLabel.text


def test_the_volume_of_a_run_is_deleted(desk):
    desk.ready().ui.runButton.click()
    desk.tick()
    desk.space.scene.RemoveNode(desk.chosen)
    desk.tick()
    desk.worker.answer("analyze", "cancelled")
    desk.tick()
    assert "The input volume was removed" in desk.ui.messageLabel.text
    assert desk.ui.inputSelector.currentNode() is None


def test_the_scene_is_closed_while_a_map_shows(desk):
    desk.done().pick("Renal mass")
    desk.space.scene.Clear(False)
    desk.tick()
    assert desk.rows() == {}
    assert not desk.ui.reportButton.enabled
    assert desk.ui.inputLabel.text == "Choose an input volume."


def test_choices_are_kept_in_the_scene_and_come_back(desk):
    desk.ready().ui.findingsBox.setCurrentIndex(1)
    desk.tick()
    kept = desk.widget.logic.getParameterNode()
    assert (kept.withFindings, kept.model, kept.inputVolume) == (False, "organs.v1", desk.chosen)
    assert desk.model.choices.findings is False
    desk.widget.exit()
    kept.withFindings = True
    desk.widget.enter()
    desk.tick()
    assert desk.ui.findingsBox.currentText == "Scores"


def test_a_worker_that_dies_is_said_and_started_again(desk):
    desk.ready().ui.runButton.click()
    desk.tick()
    desk.worker.code = -9
    desk.tick()
    assert "signal 9" in desk.ui.messageLabel.text
    desk.ui.runButton.click()
    desk.tick()
    assert desk.worker.last("analyze")


def test_nothing_is_left_after_cleanup(desk):
    folder = desk.done().model.run.result.folder
    assert folder.is_dir()
    desk.widget.cleanup()
    assert desk.worker.stopped
    assert not folder.exists()
    assert not desk.panel.timer.isActive()
    desk.space.scene.RemoveNode(desk.chosen)  # nobody listens any more
    desk.widget.cleanup()


def test_rows_of_the_report_table_are_those_of_the_panel(desk, scan):
    with (scan.folder / "findings.csv").open() as stream:
        count = len(list(csv.DictReader(stream)))
    desk.done()
    assert sum(len(rows) for rows in desk.rows().values()) == count
