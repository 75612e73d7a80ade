"""The module file, its .ui file, and what Slicer's own machinery needs of both."""

from __future__ import annotations

import ast
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from pathlib import Path
from types import SimpleNamespace

import pytest
from MedFMLib.launch import Launch
from MedFMLib.run_parts import RunOptions

FILE = Path(__file__).parents[3] / "MedFMExtension" / "MedFM" / "MedFM.py"
UI = FILE.parent / "Resources" / "UI" / "MedFM.ui"
OWN = {"slicer", "vtk", "MedFMLib"} | set(sys.stdlib_module_names)
FOCUSABLE = {
    "QPushButton", "QToolButton", "QCheckBox", "QLineEdit", "QComboBox", "QSlider", "QTreeWidget", "QPlainTextEdit",
    "qMRMLNodeComboBox", "ctkCollapsibleButton", "QProgressBar",
}  # fmt: skip


@pytest.fixture(scope="module")
def tree():
    return ast.parse(FILE.read_text(encoding="utf-8"))


def test_the_module_file_imports_no_third_party(tree):
    names = [node for node in ast.walk(tree) if isinstance(node, ast.Import | ast.ImportFrom)]
    at_file_scope = [node for node in tree.body if node in names]
    packages = {
        (node.module if isinstance(node, ast.ImportFrom) else node.names[0].name).partition(".")[0]
        for node in at_file_scope
    }
    assert packages <= OWN
    later = {
        (node.module if isinstance(node, ast.ImportFrom) else node.names[0].name).partition(".")[0] for node in names
    }
    assert later <= OWN | {"qt", "SampleData"}


def test_translated_texts_are_whole(tree):
    """A text that is put together before it is translated is in no dictionary."""
    calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "_"]
    assert calls
    assert all(isinstance(call.args[0], ast.Constant) for call in calls)


def test_what_slicer_shows_of_the_module(module, application):
    parent = SimpleNamespace()
    module.MedFM(parent)
    assert (parent.title, parent.categories) == ("MedFM", ["Segmentation"])
    assert "Research use only" in parent.helpText
    assert "TotalSegmentator" in parent.acknowledgementText
    application.app.after_startup[-1]()
    import SampleData

    sample = SampleData.registered[-1]
    assert sample["uris"].startswith("file://")
    assert sample["sampleName"] == "MedFMChest"


def test_the_sample_is_the_one_that_is_named():
    import hashlib

    from MedFMLib.sample import SAMPLE_SHA256, sample_scan

    assert hashlib.sha256(sample_scan().read_bytes()).hexdigest() == SAMPLE_SHA256


def test_every_widget_that_takes_the_keyboard_has_a_tool_tip():
    for widget in ElementTree.parse(UI).iter("widget"):
        if widget.get("class") in FOCUSABLE:
            tip = widget.find("property[@name='toolTip']/string")
            assert tip is not None, widget.get("name")
            assert tip.text, widget.get("name")


def test_every_widget_of_the_scene_is_given_it_and_every_bound_member_exists(module):
    root = ElementTree.parse(UI)
    takers = {w.get("name") for w in root.iter("widget") if w.get("class").startswith("qMRML")} - {"MedFM"}
    assert takers == {connection.findtext("receiver") for connection in root.iter("connection")}
    members = [p.findtext("string") for p in root.iter("property") if p.get("name") == "SlicerParameterName"]
    assert members == ["inputVolume", "secondVolume", "thirdVolume"]
    assert all(hasattr(module.MedFMParameterNode, member) for member in members)


def test_every_widget_class_of_the_file_has_a_counterpart_outside_slicer():
    from medfm_core.desktop.twins import TWINS

    custom = {entry.findtext("class") for entry in ElementTree.parse(UI).iter("customwidget")}
    assert custom == {twin.__name__ for twin in TWINS}


def test_names_of_widgets_are_unique():
    names = [widget.get("name") for widget in ElementTree.parse(UI).iter("widget")]
    assert len(names) == len(set(names))


def test_reload_takes_the_library_along(desk, monkeypatch):
    kept = {name: module for name, module in sys.modules.items() if name.partition(".")[0] == "MedFMLib"}
    desk.widget.onReload()
    assert not [name for name in sys.modules if name.partition(".")[0] == "MedFMLib"]
    assert desk.widget.reloads == 1
    sys.modules.update(kept)


def test_the_self_test_of_the_module(module, space):
    tests = module.MedFMTest()
    tests.test_ChoicesAreKeptInTheScene()
    tests.test_VolumeIsChecked()


def test_a_script_analyses_a_volume(module, space, tmp_path, monkeypatch):
    from MedFMLib import process as processing
    from panel_desk import phantom, write_result
    from panel_stand_ins import Workers

    from medfm_core.geometry import Affine
    from medfm_core.volume import Volume

    workers = Workers()
    plain = processing.WorkerClient
    monkeypatch.setattr(processing, "WorkerClient", lambda launch: plain(launch, workers))
    monkeypatch.setattr(module.MedFMLogic, "launch", lambda self: Launch("python"))
    _, _, grey, affine = phantom()
    volume = space.add_scan(Volume(grey, Affine(affine), "CT"), "Chest")

    def speak(*_):
        if "analyze" in workers.now.names() and not workers.now.stopped:
            write_result(Path(workers.now.last("analyze")["arguments"]["out"]))
            workers.now.answer("analyze", seconds=1.0)
            monkeypatch.setattr(module.slicer.app, "processEvents", lambda: None)

    monkeypatch.setattr(module.slicer.app, "processEvents", speak)
    found = module.MedFMLogic().process(volume, outputFolder=tmp_path)
    assert found["organs"].GetSegmentation().GetNumberOfSegments() == 2
    assert found["findings"].GetTable().GetNumberOfRows() == 2
    assert workers.now.stopped
    assert (tmp_path / "Chest" / "report.html").is_file()
    with pytest.raises(ValueError, match="Choose an input volume"):
        module.MedFMLogic().process(None)
    assert RunOptions().device == "auto"


def test_a_script_is_told_why_not(module, space, monkeypatch):
    monkeypatch.setattr(module.MedFMLogic, "launch", lambda self: Launch("/no/such/python"))
    volume = space.scene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", "Empty")
    with pytest.raises(RuntimeError, match="no voxels"):
        module.MedFMLogic().process(volume)


def test_torch_is_installed_by_its_extension_alone(application, monkeypatch):
    from MedFMLib.panel_installer import SlicerInstaller

    installer = SlicerInstaller()
    assert "Extensions Manager" in installer.can_install_torch()
    asked = []
    logic = SimpleNamespace(installTorch=lambda askConfirmation=False: asked.append(askConfirmation))  # noqa: N803
    monkeypatch.setitem(sys.modules, "PyTorchUtils", SimpleNamespace(PyTorchUtilsLogic=lambda: logic, __spec__=1))
    assert installer.can_install_torch() == ""
    with pytest.raises(RuntimeError, match="was not installed"):
        installer.install_torch()
    assert asked == [True]  # without the arguments that this release does not know
    with pytest.raises(RuntimeError, match=r"Slicer 5\.12"):
        installer.install(("rich>=13",))


def test_the_panel_imports_no_torch():
    script = (
        f"import sys; sys.path[:0] = [{str(FILE.parent)!r}]\n"
        "import MedFMLib.panel, medfm_core.desktop.opening\n"
        "assert not {'torch', 'torchvision'} & set(sys.modules)\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
