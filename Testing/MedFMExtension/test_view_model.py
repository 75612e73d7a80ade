"""The panel as a whole: installation, models, input, devices, results, weights, questions."""

from __future__ import annotations

import json
import os
import re
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from MedFMLib.host import VolumeFacts
from MedFMLib.input_check import check_input
from MedFMLib.install import PROBE, InstallState
from MedFMLib.launch import Launch
from MedFMLib.requirements import REQUIREMENTS, TORCH, Requirement
from MedFMLib.run_states import RunState
from MedFMLib.transport import PipeTransport
from MedFMLib.view_model import Choices, PanelModel
from panel_stand_ins import CT, DEVICES, StandInHost, StandInInstaller, Workers, write_result

ROOT = Path(__file__).resolve().parents[2]
GOOD = {
    "python": "3.12", "packages": {need.package: "99.0" for need in REQUIREMENTS}, "torch_works": True,
    "torch_detail": "a 3D convolution on cpu, 0.1 s with the import", "core_works": True, "core_detail": "0.1",
    "protocol": 1,
}  # fmt: skip
SHIPPED = {
    "id": "organs.v1", "title": "Organs", "summary": "", "task": "organ_segmentation", "modality": ["CT"],
    "covers": ["liver", "spleen"], "findings": [], "bytes": 11789440, "licence": "Apache-2.0", "terms": None,
    "intended_use": "Research only.", "limits": ["few"], "default": True, "ram_gb": 2.5, "place": "shipped",
    "gated": False, "access": None, "must_accept": False,
}  # fmt: skip
ON_HUB = {**SHIPPED, "id": "big.v1", "default": False, "place": "hub", "bytes": None, "must_accept": True, "terms": "T"}
LISTED = {"models": [ON_HUB, SHIPPED], "cache": "/cache", "offline": False, "free_bytes": 5e9}
PLANNED = {
    "devices": {"cpu": {"seconds": 95.0, "basis": "measured on this machine"}}, "memory_gb": 1.6, "free_gb": 8.0,
    "problem": "", "warnings": [],
}  # fmt: skip


class Desk:
    """A panel model over stand-ins."""

    def __init__(self):
        self.workers, self.host, self.installer = Workers(), StandInHost(), StandInInstaller()
        self.external = False
        launch = lambda: Launch("python", {}, self.external)  # noqa: E731
        self.panel = PanelModel(launch, self.host, self.installer, self.workers)

    @property
    def worker(self):
        return next(worker for worker in reversed(self.workers.opened) if worker.lines or worker.asked)

    def probe(self, **changes):
        """Let the child process that looks at the installation answer."""
        self.workers.now.lines = [b"noise\n", json.dumps({**GOOD, **changes}).encode() + b"\n"]
        self.workers.now.code = 0
        self.panel.pump()

    def ready(self):
        self.panel.enter()
        self.probe()
        self.panel.pump()
        self.worker.answer("models", **LISTED)
        self.panel.pump()
        return self

    def chosen(self):
        self.ready().panel.set_volume("chest")
        self.worker.answer("plan", **PLANNED)
        self.panel.pump()
        return self

    def done(self):
        self.chosen().panel.press_run()
        write_result(Path(self.worker.last("analyze")["arguments"]["out"]))
        self.worker.answer("analyze", seconds=3.0)
        self.panel.pump()
        assert self.panel.run.state is RunState.DONE
        return self


@pytest.fixture
def desk():
    made = Desk()
    yield made
    made.panel.close()


def test_nothing_runs_before_the_installation_was_tested(desk):
    desk.panel.set_volume("chest")
    assert desk.panel.why_not() == "The installation was not checked yet."
    desk.panel.press_run()
    desk.panel.enter()
    assert desk.panel.install.state is InstallState.CHECKING
    assert desk.workers.commands == [("-u", str(PROBE), "auto", *(need.package for need in REQUIREMENTS))]
    assert desk.panel.pump()
    desk.probe()
    assert desk.panel.install.state is InstallState.READY
    assert len(desk.workers.opened) == 2


def test_the_panel_becomes_ready_and_tells_time_and_memory(desk):
    desk.chosen()
    assert desk.panel.why_not() == ""
    auto, cpu = desk.panel.expected.choices()
    assert (auto.title, cpu.title) == ("Automatic (cpu), about 2 min", "CPU: 4 cores, about 2 min")
    assert desk.panel.expected.sentence() == "Needs about 1.6 GB of memory; 8.0 GB are free."
    assert desk.panel.expected.accelerator_sentence() == "No GPU was found: the CPU computes."
    grid = desk.worker.last("plan")["arguments"]["grid"]
    assert grid == {"shape": [512, 512, 133], "spacing_mm": [0.7, 0.7, 2.5], "voxel_bytes": 2}
    asked = desk.worker.names().count("plan")
    desk.panel.choose(Choices(device="cpu"))
    assert desk.worker.names().count("plan") == asked  # the device changes nothing of the plan
    desk.panel.choose(Choices(model="organs.v1"))
    assert desk.worker.names().count("plan") == asked + 1


def test_a_plan_that_does_not_fit_is_said(desk):
    desk.ready().panel.set_volume("chest")
    desk.worker.answer("plan", **{**PLANNED, "memory_gb": None, "problem": "Too big."})
    desk.panel.pump()
    assert desk.panel.expected.sentence() == "Too big."


def test_missing_packages_are_listed_with_their_size_and_installed_once_asked_for(desk):
    desk.panel.enter()
    desk.probe(packages={**GOOD["packages"], "torch": "", "rich": "1.0", "scipy": "broken"}, torch_works=False)
    view = desk.panel.install.view()
    assert (view.state, view.is_install_enabled) == (InstallState.INCOMPLETE, True)
    lines = {line.requirement.package: line.text for line in view.packages if not line.is_met}
    assert lines["torch"] == "torch: missing; about 800 MB, brought by the PyTorch extension"
    assert "1.0 is too old" in lines["rich"]
    assert "only half installed" in lines["scipy"]
    assert view.megabytes == 800 + 15 + 130
    assert "torch" in desk.panel.why_not()
    desk.panel.install.install()
    assert desk.installer.asked == ["torch", ("scipy>=1.11", "rich>=13.7")]
    assert desk.panel.install.state is InstallState.CHECKING  # success is claimed only after the test
    desk.probe()
    assert desk.panel.install.state is InstallState.READY
    assert "a 3D convolution on cpu" in desk.panel.install.message


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"torch_works": False, "torch_detail": "OSError: [WinError 206]"}, "PyTorch does not work: OSError: [WinE"),
        ({"core_works": False, "core_detail": "ImportError: x"}, "MedFM does not work: ImportError: x"),
        ({"protocol": 2}, "of different releases"),
    ],
)
def test_an_installation_that_is_there_and_does_not_work_is_no_success(desk, changes, words):
    desk.panel.enter()
    desk.probe(**changes)
    assert desk.panel.install.state is InstallState.FAILED
    assert words in desk.panel.why_not()


def test_what_can_go_wrong_while_installing_is_said(desk):
    desk.panel.enter()
    desk.probe(packages={**GOOD["packages"], "torch": ""})
    desk.installer.first = "Install the PyTorch extension first."
    desk.panel.install.install()
    assert desk.panel.install.message == "Not installed: Install the PyTorch extension first."
    desk.installer.first, desk.installer.refuse = "", True
    desk.panel.install.install()
    assert "the user refused" in desk.panel.install.message
    desk.installer.refuse = False
    desk.panel.install.install()
    desk.probe(packages={**GOOD["packages"], "torch": ""})
    assert desk.panel.install.state is InstallState.FAILED
    assert "Restart Slicer" in desk.panel.install.message


def test_a_probe_that_crashes_is_said_and_an_external_python_gets_a_command(desk):
    desk.panel.enter()
    desk.workers.now.code, desk.workers.now.errors = -11, ["Segmentation fault"]
    desk.panel.pump()
    assert "Segmentation fault" in desk.panel.install.message
    desk.external = True
    desk.panel.install.check()
    desk.probe(packages={**GOOD["packages"], "torch": ""})
    view = desk.panel.install.view()
    assert view.command == '"python" -m pip install "torch>=2.8"'
    assert not view.is_install_enabled
    desk.panel.install.install()
    assert desk.installer.asked == []


def test_the_real_probe_finds_this_python_good(monkeypatch):
    from MedFMLib.install import InstallModel
    from worker_pipe import LIMIT_S, wait_until

    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")]))
    model = InstallModel(
        lambda: Launch(sys.executable, dict(os.environ)), StandInInstaller(), open_transport=PipeTransport
    )
    model.check("cpu")
    assert wait_until(lambda: not model.pump()), LIMIT_S
    assert model.state is InstallState.READY, model.message


def test_the_requirements_are_those_of_the_project():
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    listed = re.search(r"^dependencies = \[(.*?)^\]", text, re.DOTALL | re.MULTILINE)[1]
    assert set(re.findall(r'"(.*?)"', listed)) == {need.line for need in REQUIREMENTS}
    assert [need.package for need in REQUIREMENTS if need.brought_by == TORCH] == ["torch"]


@pytest.mark.parametrize(
    ("version", "is_met"), [("2.13.0+cpu", True), ("2.8", True), ("2.7.1", False), ("", False), ("broken", False)]
)
def test_versions_are_compared_as_numbers(version, is_met):
    assert Requirement("torch", "2.8", 1).is_met_by(version) == is_met


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"modality": "MR"}, "says that it is MR"),
        ({"is_labels": True}, "label map"),
        ({"components": 3}, "3 values"),
        ({"shape": (512, 512, 1)}, "single slice"),
        ({"spacing_mm": (0.0, 1, 1)}, "not positive"),
        ({"shape": (2048, 2048, 2048)}, "Crop Volume"),
    ],
)
def test_inputs_that_cannot_be_used_are_refused(changes, words):
    check = check_input(replace(CT, **changes))
    assert not check.can_run
    assert words in check.problems[0]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"value_range": (0.0, 255.0)}, "Hounsfield"),
        ({"frames": 10}, "sequence of 10"),
        ({"spacing_mm": (0.7, 0.7, 7.0)}, "7 mm thick"),
        ({"shape": (512, 512, 12)}, "only 12 slices"),
        ({"has_result": True}, "will replace"),
    ],
)
def test_doubts_about_an_input_are_told_and_do_not_stop_it(changes, words):
    check = check_input(replace(CT, **changes))
    assert check.can_run
    assert any(words in warning for warning in check.warnings)


def test_a_good_input_and_none():
    assert check_input(CT).warnings == ()
    assert check_input(CT).headline == "Chest: 512 x 512 x 133 voxels of 0.7 x 0.7 x 2.5 mm"
    assert check_input(None).headline == "Choose an input volume."
    assert check_input(VolumeFacts("x", (9, 9, 9), (1, 1, 1), modality="MR"), ("MR",)).can_run


def test_a_click_centres_and_shows_and_another_hides(desk):
    panel = desk.done().panel
    assert panel.click("renal_cyst", "kidney_left")
    centre, show = desk.host.told[-2:]
    assert centre == ("centre", (-60.0, -40.0, -50.0))
    assert (show[0], show[1], show[3]) == ("show", "chest", "Renal cyst (left), 21 mm")
    assert panel.shown == ("renal_cyst", "kidney_left")
    assert panel.click("liver_mass", "liver")
    assert (desk.host.told[-1], panel.shown) == (("hide",), None)
    assert not panel.click("fracture", "sternum")
    desk.host.fail_at = "saliency"
    assert panel.click("renal_cyst", "kidney_left")
    assert (panel.problem, panel.shown) == ("The map is damaged.", None)
    assert panel.report().name == "report.html"
    desk.host.volumes.clear()
    assert not panel.click("renal_cyst", "kidney_left")


def test_what_belonged_to_a_volume_goes_with_it(desk):
    panel = desk.done().panel
    panel.click("renal_cyst", "kidney_left")
    del desk.host.volumes["chest"]
    panel.volume_removed("chest")
    assert desk.host.told[-1] == ("hide",)
    assert (panel.findings.groups(), panel.volume, panel.report(), panel.shown) == ((), None, None, None)
    assert not panel.study.ask("liver", "steatosis")


def test_a_closed_scene_leaves_the_worker_ready(desk):
    panel = desk.done().panel
    panel.scene_closed()
    assert (panel.run.state, panel.findings.groups(), panel.volume) == (RunState.IDLE, (), None)
    assert desk.worker.stopped == 0


def test_closing_the_panel_ends_the_worker_in_the_middle_of_a_run(desk):
    panel = desk.chosen().panel
    panel.press_run()
    folder = Path(desk.worker.last("analyze")["arguments"]["source"]).parent
    panel.close()
    assert desk.worker.stopped
    assert not folder.exists()
    assert not panel.pump()
    panel.close()


def test_other_settings_end_the_worker_and_look_anew(desk):
    panel = desk.chosen().panel
    panel.press_run()
    worker = desk.worker
    panel.settings_changed()
    assert worker.stopped
    assert (panel.run.state, panel.install.state) == (RunState.CANCELLED, InstallState.CHECKING)
    assert panel.run.view().message.startswith("The settings were changed")
    desk.probe()
    panel.pump()
    assert desk.worker is not worker
    assert desk.worker.names() == ["models", "plan"]


def test_the_button_cancels_what_runs(desk):
    panel = desk.chosen().panel
    panel.press_run()
    panel.press_run()
    assert panel.run.state is RunState.CANCELLING
    assert desk.worker.names()[-1] == "cancel"


def test_models_are_listed_with_what_matters(desk):
    weights = desk.ready().panel.weights
    assert [line.id for line in weights.models_for("organ_segmentation")] == ["organs.v1"]
    line = weights.model("organs.v1")
    assert line.line == "Organs (11.8 MB, Apache-2.0, CT, 2 structures, comes with MedFM)"
    assert weights.model("big.v1").must_accept
    assert weights.view().free == "5.0 GB free"


def test_weights_are_fetched_one_at_a_time_with_progress_and_listed_anew(desk):
    weights = desk.ready().panel.weights
    weights.pull("big.v1", accept_licence=True)
    assert desk.worker.last("pull")["arguments"] == {"model": "big.v1", "accept_licence": True}
    desk.worker.answer("pull", "stage", name="Fetch model.safetensors", state="running", depth=0)
    desk.worker.answer("pull", "progress", name="Fetch", fraction=0.5, remaining_seconds=9)
    desk.panel.pump()
    view = weights.view()
    assert (view.busy_with, view.stage, view.percent) == ("big.v1", "Fetch model.safetensors", 50)
    weights.remove("big.v1")
    assert "is being worked on" in weights.view().message
    asked = desk.worker.names().count("models")
    desk.worker.answer("pull", model="big.v1", folder="/x")
    desk.panel.pump()
    assert weights.view().message == "big.v1 was fetched and verified."
    assert desk.worker.names().count("models") == asked + 1
    weights.verify()
    desk.worker.answer("verify", models=[{"model": "a", "state": "damaged", "detail": "It is damaged."}])
    desk.panel.pump()
    assert weights.view().message == "It is damaged."
    weights.take_in("big.v1", "/folder")
    weights.cancel()
    desk.worker.answer("import", "cancelled")
    desk.panel.pump()
    assert (weights.view().message, weights.view().busy_with) == ("Cancelled.", "")


def test_questions_similar_studies_and_embeddings_of_a_result(desk):
    study = desk.done().panel.study
    assert study.organs == ("liver", "kidney_left")
    assert study.ask("liver", "steatosis")
    request = desk.worker.last("ask")["arguments"]
    assert (request["organ"], Path(request["result"]).name) == ("liver", "result")
    desk.worker.answer(
        "ask", organ="liver", phrase="steatosis", score=0.7, spread=[0.6, 0.8], cut=["liver"], positive=["y"],
        negative=["n"], catalogue=[{"label": "Hepatic steatosis", "organ": "liver", "state": "absent", "score": 0.1}],
    )  # fmt: skip
    desk.panel.pump()
    answer = study.question.answer
    assert (answer.score, answer.catalogue) == (0.7, ("Hepatic steatosis in liver: absent, 0.10.",))
    assert "not calibrated" in answer.notes[0]
    study.find_similar("/results", "liver", 3)
    assert desk.worker.last("similar")["arguments"]["top"] == 3
    desk.worker.answer("similar", neighbours=[{"study": "a", "similarity": 0.9, "state": "", "shared": 4}])
    study.export_embeddings("/tmp/e.csv")
    desk.worker.answer("embed", "error", sentence="The disk is full.")
    desk.panel.pump()
    assert study.similar.answer[0].study == "a"
    assert (study.export.answer, study.export.problem) == (None, "The disk is full.")
    study.ask("liver", "one")
    study.ask("liver", "two")
    desk.worker.say({"event": "result"}, desk.worker.asked[-3]["id"])
    desk.panel.pump()
    assert study.question.is_busy  # the answer to the first is not taken for that of the second


def test_the_diagnosis_names_versions_and_no_volume(desk):
    desk.worker_log = desk.chosen().worker.errors.append("a library said something")
    text = desk.panel.diagnosis()
    assert all(words in text for words in ("protocol 1", "torch 2.8", "cpu (4 cores)", "a library said something"))
    assert "Chest" not in text


def test_devices_that_cannot_be_used_are_said(desk):
    desk.workers.greet = True
    desk.panel.enter()
    desk.probe()
    desk.worker.say({**DEVICES, "devices": [], "problem": "PyTorch cannot be used (x)."})
    desk.panel.pump()
    assert desk.panel.client.problem == "PyTorch cannot be used (x)."
