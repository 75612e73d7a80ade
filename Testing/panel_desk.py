"""The module's panel on a desk: over stand-ins, with a worker that a test speaks through, and hands that use it."""

from __future__ import annotations

import importlib.util
import json
import sys
from pathlib import Path

import numpy as np
import scene_results
from MedFMLib.requirements import REQUIREMENTS
from panel_stand_ins import Workers

SHAPE = (48, 40, 30)
FINDING = "renal_mass", "kidney_left"
WORKING = {
    "python": "3.12", "packages": {need.package: "99.0" for need in REQUIREMENTS}, "torch_works": True,
    "torch_detail": "a 3D convolution on cpu, 0.1 s with the import", "core_works": True, "core_detail": "0.1",
    "protocol": 1,
}  # fmt: skip
ORGANS = {
    "id": "organs.v1", "title": "Organs, small", "summary": "", "task": "organ_segmentation", "modality": ["CT"],
    "covers": ["liver", "spleen"], "findings": [], "bytes": 11789440, "licence": "Apache-2.0", "terms": None,
    "intended_use": "Research only.", "limits": ["few"], "default": True, "ram_gb": 2.5, "place": "shipped",
    "gated": False, "access": None, "must_accept": False,
}  # fmt: skip
FAR = {
    **ORGANS, "id": "big.v1", "title": "Organs, large", "default": False, "place": "hub", "must_accept": True,
    "bytes": 2_000_000_000, "terms": "No clinical use.", "licence": "CC-BY-NC",
}  # fmt: skip
SCORES = {**ORGANS, "id": "scores.v1", "title": "Scores", "task": "findings"}
LISTED = {"models": [FAR, ORGANS, SCORES], "cache": "/cache", "offline": False, "free_bytes": 5e9}
PLANNED = {
    "devices": {"cpu": {"seconds": 95.0, "basis": "measured on this machine"}}, "memory_gb": 1.6, "free_gb": 8.0,
    "problem": "", "warnings": [],
}  # fmt: skip


class StandInDialogs:
    """Answers what a test laid ready."""

    def __init__(self):
        self.path, self.agreed, self.asked, self.opened, self.copied = "", True, [], [], ""

    def file(self, title, kinds=""):
        return self.path

    def new_file(self, title, suggested, kinds):
        return self.path

    def folder(self, title):
        return self.path

    def agrees(self, title, question, details=""):
        self.asked.append((title, question, details))
        return self.agreed

    def open(self, path):
        self.opened.append(path)
        return True

    def copy(self, text):
        self.copied = text


def phantom():
    """Labels, heat and grey values of a liver and a left kidney, `(i, j, k)`, and their affine."""
    affine = np.diag([-5.0, -5.0, 6.0, 1.0])
    affine[:3, 3] = 120, 100, -90
    index = np.stack(np.meshgrid(*(np.arange(n) for n in SHAPE), indexing="ij"), -1)
    ras = index @ affine[:3, :3].T + affine[:3, 3]
    labels, grey = np.zeros(SHAPE, np.uint8), np.full(SHAPE, -1000, np.int16)
    for name, centre, radius in (("liver", (50, 20, 0), 40), ("kidney_left", (-50, -30, 0), 25)):
        inside = np.linalg.norm(ras - centre, axis=-1) < radius
        labels[inside], grey[inside] = scene_results.IDS[name], 60
    away = np.linalg.norm(ras - (-50, -30, 0), axis=-1)
    heat = np.where(away < 25, np.exp(-((away / 15) ** 2)), 0).astype(np.float32)
    return labels, heat, grey, affine


def write_result(folder):
    """A result of the phantom, with units that can be asked about."""
    labels, heat, _, affine = phantom()
    scene_results.write_result(folder, labels, affine, heat)
    manifest = json.loads((folder / "analysis.json").read_text())
    manifest["findings"]["units"] = {"liver": {"state": "present"}, "kidney_left": {"state": "cut"}}
    manifest["files"]["report.html"] = ""
    (folder / "analysis.json").write_text(json.dumps(manifest))
    (folder / "report.html").write_text("report")
    return folder


def load_module():
    """`MedFM.py`, as Slicer loads it."""
    from slicer_stand_in import MODULE

    spec = importlib.util.spec_from_file_location("MedFM", MODULE)
    module = sys.modules["MedFM"] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


class Desk:
    """The module's widget over stand-ins, and what a user does with it."""

    def __init__(self, module, space, monkeypatch, tmp_path, open_transport=None):
        import qt
        import slicer
        from MedFMLib import view_model

        self.qt, self.slicer, self.space = qt, slicer, space
        self.workers, self.dialogs = Workers(), StandInDialogs()
        store = qt.QSettings(str(tmp_path / "settings.ini"), qt.QSettings.IniFormat)
        monkeypatch.setattr(module.MedFMLogic, "settings", lambda logic: _settings(store))
        monkeypatch.setattr("MedFMLib.panel_dialogs.Dialogs", lambda toolkit, parent: self.dialogs)
        plain = view_model.PanelModel
        monkeypatch.setattr(
            view_model,
            "PanelModel",
            lambda launch, host, installer: plain(launch, host, installer, open_transport or self.workers),
        )
        self.parent = slicer.qMRMLWidget()
        self.parent.setLayout(qt.QVBoxLayout())
        self.parent._isEntered = True
        type(self.parent).isEntered = property(lambda widget: widget._isEntered)
        self.widget = module.MedFMWidget(self.parent)
        self.widget.setup()
        self.ui, self.model, self.panel = self.widget.ui, self.widget.model, self.widget.panel

    @property
    def worker(self):
        return next(worker for worker in reversed(self.workers.opened) if worker.lines or worker.asked)

    def tick(self):
        """What the timer does, twice: once for what is awaited, once for what that asked."""
        self.panel.tick()
        self.panel.tick()

    def answer(self, name, event="result", /, **fields):
        self.worker.answer(name, event, **fields)
        self.tick()

    def probe(self, **changes):
        """Let the child process that looks at the installation answer."""
        self.workers.now.lines = [json.dumps({**WORKING, **changes}).encode() + b"\n"]
        self.workers.now.code = 0
        self.tick()

    def volume(self, name="Chest"):
        from medfm_core.geometry import Affine
        from medfm_core.volume import Volume

        _, _, grey, affine = phantom()
        return self.space.add_scan(Volume(grey, Affine(affine), "CT"), name)

    def ready(self):
        """A volume is chosen, everything is installed, the models are listed, the time is known."""
        self.chosen = self.volume()
        self.widget.enter()
        self.probe()
        self.answer("models", **LISTED)
        self.answer("plan", **PLANNED)
        return self

    def done(self):
        """An analysis has ended."""
        self.ready().ui.runButton.click()
        self.tick()
        write_result(Path(self.worker.last("analyze")["arguments"]["out"]))
        self.answer("analyze", seconds=3.0)
        return self

    def rows(self):
        """Texts of the listed findings, by organ."""
        tree = self.ui.findingsTree
        tops = [tree.topLevelItem(index) for index in range(tree.topLevelItemCount)]
        return {
            top.text(0): [tuple(top.child(n).text(c) for c in range(3)) for n in range(top.childCount())]
            for top in tops
        }

    def pick(self, text):
        """Choose the line of the tree that begins so, as the arrow keys and the mouse do."""
        tree = self.ui.findingsTree
        for top in (tree.topLevelItem(index) for index in range(tree.topLevelItemCount)):
            for item in (top.child(index) for index in range(top.childCount())):
                if item.text(0).startswith(text):
                    tree.setCurrentItem(item)
                    self.tick()
                    return
        raise AssertionError(f"{text} is not listed")


def _settings(store):
    from MedFMLib.panel_settings import Settings

    return Settings(store)
