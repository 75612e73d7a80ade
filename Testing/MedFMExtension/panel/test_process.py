"""The panel with a worker that is a process: nothing of it is left after Cancel; and once with real weights."""

from __future__ import annotations

import time
from pathlib import Path

import panel_worker
import pytest
from MedFMLib.install import InstallState
from MedFMLib.launch import WORKER, core_folder
from MedFMLib.run_states import RunState
from MedFMLib.transport import PipeTransport
from panel_desk import Desk
from worker_pipe import descendants, is_alive, wait_until

SAMPLE = Path(core_folder(), "Resources", "sample", "chest_ct_3mm.nii.gz")
ENVIRONMENT = {"OMP_NUM_THREADS": "1", "MEDFM_THREADS": "2"}


def live(desk, condition, patience_s=120.0):
    """Let Slicer's own loop run, with the panel's timer in it, until something is true."""
    last = time.monotonic() + patience_s
    while not condition() and time.monotonic() < last:
        desk.slicer.app.processEvents()
        time.sleep(0.01)
    assert condition(), (desk.ui.installLabel.text, desk.ui.messageLabel.text, desk.ui.stageLabel.text)


@pytest.fixture
def at_work(module, space, monkeypatch, tmp_path):
    """Makes a desk whose processes are real ones."""
    made = []

    def make(open_transport):
        made.append(Desk(module, space, monkeypatch, tmp_path, open_transport))
        return made[-1]

    yield make
    for desk in made:
        desk.widget.cleanup()
        desk.ui.inputSelector.setMRMLScene(None)


def test_after_cancel_and_cleanup_no_process_is_left(at_work):
    def open_transport(launch, arguments):
        stub = ("-u", panel_worker.__file__) if arguments == WORKER else arguments
        return PipeTransport(launch, stub)

    desk = at_work(open_transport)
    desk.volume()
    desk.model.install.state = InstallState.READY  # what it finds is tested with real weights
    desk.widget.enter()
    desk.model.client.start()
    live(desk, lambda: desk.ui.runButton.enabled and desk.ui.deviceBox.currentText.startswith("Automatic (cpu)"))
    desk.ui.runButton.click()
    live(desk, lambda: desk.ui.progressBar.value == 30)
    assert desk.ui.stageLabel.text.startswith("Outline the organs, about")
    child = int(desk.ui.logEdit.plainText.rpartition(" ")[2])
    worker = desk.model.client.process_id
    below = descendants(worker)
    assert child in below
    desk.ui.runButton.click()
    live(desk, lambda: desk.model.run.state is RunState.CANCELLED)
    assert not is_alive(child)
    assert desk.ui.messageLabel.text == "Cancelled; nothing was imported."
    desk.widget.cleanup()
    assert wait_until(lambda: not any(map(is_alive, (worker, *below))))


@pytest.mark.slow
@pytest.mark.skipif(not SAMPLE.is_file(), reason="needs the source tree")
def test_the_whole_way_with_real_weights(at_work, monkeypatch):
    """Installation, run, progress, findings, a click, the map: as a user does it, with the shipped weights."""
    from medfm_core.io import read_volume

    for name, value in ENVIRONMENT.items():
        monkeypatch.setenv(name, value)
    desk = at_work(PipeTransport)
    composite = desk.space.scene.AddNewNodeByClass("vtkMRMLSliceCompositeNode")
    volume = desk.space.add_scan(read_volume(SAMPLE), "Chest")
    desk.widget.enter()
    live(desk, lambda: desk.ui.installSection.collapsed and desk.ui.runButton.enabled, 400)
    live(desk, lambda: desk.ui.modelBox.count > 0 and desk.model.client.devices is not None, 400)
    assert desk.ui.inputSelector.currentNode() == volume
    assert "39 structures" in desk.ui.modelLabel.text
    seen = set()
    desk.ui.runButton.click()
    live(desk, lambda: seen.add(desk.ui.progressBar.value) or not desk.model.run.state.is_busy, 1500)
    assert desk.model.run.state is RunState.DONE, desk.ui.messageLabel.text
    assert len(seen) > 5  # it moved
    assert desk.widget.scene.segmentation(volume).GetSegmentation().GetNumberOfSegments() > 25
    present = next(row for group in desk.model.findings.groups() for row in group.rows if row.saliency is not None)
    desk.pick(present.label)
    overlay = desk.space.scene.GetNodeByID(composite.GetForegroundVolumeID())
    assert overlay.GetImageData().GetScalarRange()[1] > 0
    assert desk.ui.saliencyCheck.checked
    worker = desk.model.client.process_id
    below = descendants(worker)
    desk.widget.cleanup()
    assert wait_until(lambda: not any(map(is_alive, (worker, *below))))
