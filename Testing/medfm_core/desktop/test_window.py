"""The panel in a window of its own: the same panel, on PySide6, with slices beside it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from types import SimpleNamespace

import numpy as np
import pytest

os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")
pytest.importorskip("slicer", reason="needs the extra panel")
pytest.importorskip("PySide6.QtWidgets", reason="needs the extra panel", exc_type=ImportError)
pytest.importorskip("Qt", reason="needs the extra panel")

import nibabel
from panel_desk import FINDING, LISTED, PLANNED, WORKING, StandInDialogs, phantom, write_result
from panel_stand_ins import Workers
from Qt import QtCore, QtGui, QtTest

from medfm_core.commands import panel as command
from medfm_core.desktop import packages
from medfm_core.errors import InputError, ResourceError

KIDNEY_RAS = (-50, -30, 0)


@pytest.fixture
def scan(tmp_path):
    _, _, grey, affine = phantom()
    file = tmp_path / "chest.nii.gz"
    nibabel.Nifti1Image(grey, affine).to_filename(file)
    return SimpleNamespace(file=file, folder=write_result(tmp_path / "result"))


@pytest.fixture
def window(tmp_path):
    from MedFMLib.view_model import PanelModel

    from medfm_core.desktop.window import Window, application

    application()
    workers = Workers()
    store = QtCore.QSettings(str(tmp_path / "settings.ini"), QtCore.QSettings.IniFormat)
    made = Window(store, lambda launch, host, installer: PanelModel(launch, host, installer, workers))
    made.workers, made.answers = workers, StandInDialogs()
    made.show()
    yield made
    made.close()


def pictures(window):
    """What each view shows, `(height, width, 3)`."""
    found = []
    for view in window.views:
        view.draw()
        image = view._image.convertToFormat(QtGui.QImage.Format_RGB888)
        rows = np.frombuffer(image.constBits(), np.uint8).reshape(image.height(), image.bytesPerLine())
        found.append(rows[:, : 3 * image.width()].reshape(image.height(), image.width(), 3).astype(int))
    return found


def coloured(picture):
    """How many pixels have a colour."""
    return int((np.ptp(picture, axis=-1) > 40).sum())


def test_a_scan_is_opened_shown_and_chosen(window, scan):
    window.open_scan(scan.file)
    window.panel.tick()
    assert window.model.volume.GetName() == "chest"
    assert window.ui.inputSelector.currentText() == "chest"
    assert window.ui.inputLabel.text().startswith("chest: 48 x 40 x 30 voxels")
    axial, coronal, sagittal = pictures(window)
    assert min(axial.max(), coronal.max()) > 100  # the sagittal slice in the middle lies between the organs
    assert sum(map(coloured, (axial, coronal, sagittal))) == 0


def test_a_result_and_a_finding_of_it_are_shown(window, scan):
    from medfm_core.desktop.opening import show_result

    window.open_scan(scan.file)
    show_result(window, str(scan.folder), "/".join(FINDING))
    window.panel.tick()
    for view in window.views:
        offsets = [view.node.GetSliceToRAS().GetElement(row, 3) for row in range(3)]
        assert np.abs(np.subtract(offsets, KIDNEY_RAS)).max() < 4
    with_map = [coloured(picture) for picture in pictures(window)]
    assert min(with_map) > 100
    assert window.ui.saliencyCheck.isChecked()
    window.ui.saliencyCheck.click()
    window.panel.tick()
    assert all(now != before for now, before in zip(map(coloured, pictures(window)), with_map, strict=True))


def test_a_result_of_another_scan_is_refused(window, scan, tmp_path):
    from medfm_core.desktop.opening import show_result

    window.open_scan(scan.file)
    with pytest.raises(InputError, match="holds no result"):
        show_result(window, str(tmp_path))
    with pytest.raises(InputError, match="is not in the result"):
        show_result(window, str(scan.folder), "cough/liver")


def test_the_panel_runs_as_in_slicer(window, scan):
    window.open_scan(scan.file)
    window.model.enter()
    window.workers.now.lines = [json.dumps(WORKING).encode() + b"\n"]
    window.workers.now.code = 0
    window.panel.tick()
    window.panel.tick()
    worker = window.workers.now
    worker.answer("models", **LISTED)
    window.panel.tick()
    worker.answer("plan", **PLANNED)
    window.panel.tick()
    assert window.ui.modelBox.currentText() == "Organs, small"
    QtTest.QTest.keyClick(window.ui.runButton, QtCore.Qt.Key_Space)
    assert worker.last("analyze")["arguments"]["device"] == "auto"
    window.panel.tick()
    assert window.ui.runButton.text() == "Cancel"


def test_wheel_and_keys_go_through_the_slices(window, scan):
    window.open_scan(scan.file)
    view = window.views[0]
    before = view.logic.GetSliceOffset()
    QtTest.QTest.keyClick(view, QtCore.Qt.Key_Up)
    assert view.logic.GetSliceOffset() == pytest.approx(before + 6)
    QtTest.QTest.keyClick(view, QtCore.Qt.Key_PageDown)
    assert view.logic.GetSliceOffset() == pytest.approx(before - 54)


def test_a_window_at_rest_draws_nothing_and_what_changes_is_drawn(window, scan):
    window.open_scan(scan.file)
    for _ in range(4):
        QtTest.QTest.qWait(100)
    view = window.views[0]
    before = view._image
    QtTest.QTest.qWait(300)
    assert view._image is before
    view.logic.SetSliceOffset(view.logic.GetSliceOffset() + view.logic.GetLowestVolumeSliceSpacing()[2])
    QtTest.QTest.qWait(300)
    assert view._image is not before


def test_a_click_moves_the_other_views_there(window, scan):
    window.open_scan(scan.file)
    pictures(window)
    axial, coronal, _ = window.views
    QtTest.QTest.mouseClick(axial, QtCore.Qt.LeftButton, QtCore.Qt.NoModifier, QtCore.QPoint(10, 10))
    x, y, z, _ = axial.node.GetXYToRAS().MultiplyPoint((10, axial.height() - 11, 0, 1))
    centre = [coronal.node.GetSliceToRAS().GetElement(row, 3) for row in range(3)]
    assert np.abs(np.subtract(centre, (x, y, z))).max() < 6


def test_folding_hides_what_is_within_and_keeps_the_keyboard_out(window):
    section = window.ui.analysisSection
    assert window.ui.runButton.isVisibleTo(section)
    section.setProperty("collapsed", True)
    assert not window.ui.runButton.isVisibleTo(section)
    assert section.sizeHint().height() < 60


def test_every_control_can_be_reached_by_the_keyboard(window):
    for name in ("runButton", "findingsTree", "phraseEdit", "modelsTree", "pythonButton", "inputSelector"):
        assert getattr(window.ui, name).focusPolicy() & QtCore.Qt.TabFocus, name


def test_the_window_closes_clean(window, scan):
    window.open_scan(scan.file)
    window.close()
    assert not window.panel.timer.isActive()
    window.end()


def test_a_missing_extra_is_one_sentence(monkeypatch):
    monkeypatch.setattr(packages, "find_spec", lambda name: None if name == "PySide6" else 1)
    with pytest.raises(ResourceError, match=r"not installed \(PySide6\); pip install 'medfm\[panel\]'"):
        packages.check_packages()


def test_the_command_says_what_is_wrong(scan, tmp_path):
    from medfm_core.cli import main

    assert main(["panel", "--result", str(scan.folder)]) == 2
    assert main(["panel", str(scan.file), "--finding", "x"]) == 2
    assert main(["panel", str(tmp_path / "nothing.nii.gz")]) == 2
    assert command.NAME == "panel"


def test_without_a_display_it_is_said():
    environment = {name: value for name, value in os.environ.items() if name not in ("DISPLAY", "QT_QPA_PLATFORM")}
    environment.pop("WAYLAND_DISPLAY", None)
    words = [sys.executable, "-m", "medfm_core.cli", "panel"]
    done = subprocess.run(words, capture_output=True, text=True, check=False, env=environment)
    if sys.platform == "linux":
        assert done.returncode == 3
        assert "there is no display" in done.stderr


def test_the_file_of_the_widgets_is_found_where_it_is_installed():
    from medfm_core.desktop.loading import ui_file

    assert ui_file().is_file()
