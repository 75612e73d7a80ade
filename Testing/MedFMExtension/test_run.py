"""A run in every state: what it does there, and what happens when worker, volume, scene or panel go away."""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest
from MedFMLib.client import WorkerClient
from MedFMLib.launch import Launch
from MedFMLib.run import SCENE_CLOSED, VOLUME_GONE, RunModel
from MedFMLib.run_parts import RunOptions
from MedFMLib.run_states import TRANSITIONS, RunEvent, RunState, follow
from panel_stand_ins import StandInHost, Workers, write_result

S, E = RunState, RunEvent


class Panel:
    """A run model over stand-ins, and what it showed."""

    def __init__(self):
        self.workers, self.host = Workers(), StandInHost()
        self.client = WorkerClient(lambda: Launch("python"), self.workers)
        self.run = RunModel(self.client, self.host)
        self.states = [self.run.state]
        self.run.changed.connect(lambda: self.states.append(self.run.state))

    @property
    def worker(self):
        return self.workers.now

    def start(self, **options):
        assert self.run.run("chest", RunOptions(**options))
        self.client.pump()

    def say(self, event, /, **fields):
        self.worker.answer("analyze", event, **fields)
        self.client.pump()

    def out(self):
        return Path(self.worker.last("analyze")["arguments"]["out"])

    def folder(self):
        return Path(self.worker.last("analyze")["arguments"]["source"]).parent

    def finish(self):
        write_result(self.out())
        self.say("result", seconds=12.0)

    def bring_to(self, state):
        """Lead a new run into a state that lasts."""
        if state is S.IDLE:
            return
        self.start()
        if state is S.CANCELLING:
            self.run.cancel()
        elif state is S.DONE:
            self.finish()
        elif state is S.FAILED:
            self.say("error", sentence="It failed.")
        elif state is S.CANCELLED:
            self.run.cancel()
            self.say("cancelled")
        assert self.run.state is state


@pytest.fixture
def panel():
    made = Panel()
    yield made
    made.run.close()


LASTING = (S.IDLE, S.RUNNING, S.CANCELLING, S.DONE, S.FAILED, S.CANCELLED)


def test_every_pair_of_state_and_event_is_decided():
    decided = {(state, event): follow(state, event) for state, event in itertools.product(S, E)}
    told = {(state, event) for state, events in TRANSITIONS.items() for event in events}
    assert {pair for pair, target in decided.items() if target is not None} == told
    assert set(TRANSITIONS) == set(S)
    reached = {S.IDLE} | {target for events in TRANSITIONS.values() for target in events.values()}
    assert reached == set(S)
    for state in S:  # whatever happens, a busy run can end, and only a run at rest can begin
        assert state.is_busy == (follow(state, E.START) is None)
        assert not state.is_busy or follow(state, E.FAIL) is not None


def test_a_run_goes_through_its_states_and_ends_in_the_scene(panel):
    panel.start(device="cpu", model="m.v1", organs=("liver",))
    arguments = panel.worker.last("analyze")["arguments"]
    assert (arguments["device"], arguments["model"], arguments["organs"]) == ("cpu", "m.v1", ["liver"])
    assert Path(arguments["source"]).read_bytes() == b"voxels"
    panel.say("stage", name="Read the image", state="done", depth=0, seconds=1.0)
    panel.say("progress", name="Outline the organs", fraction=0.25, remaining_seconds=120.4)
    view = panel.run.view()
    assert (view.button, view.percent, view.stage) == ("Cancel", 25, "Outline the organs")
    assert view.time_left == "about 2 min left"
    assert not view.are_inputs_enabled
    panel.finish()
    assert panel.states == [S.IDLE, S.EXPORTING, S.RUNNING, S.RUNNING, S.IMPORTING, S.DONE]
    kind, volume, result, provenance = panel.host.told[0]
    assert (kind, volume, result.label_map.name) == ("import", "chest", "segmentation.nii.gz")
    assert provenance["Model"] == "segmenter.v1"
    view = panel.run.view()
    assert (view.button, view.percent, view.warnings) == ("Run", 100, ("The body is cut.",))
    assert view.message == "Done in 12 s. Research use only, not a diagnosis."
    assert view.log == ("Read the image: 1.0 s",)
    assert not Path(arguments["source"]).exists()
    assert panel.run.result.report.is_file()


@pytest.mark.parametrize("state", LASTING)
def test_the_button_is_what_can_be_done(panel, state):
    panel.bring_to(state)
    view = panel.run.view()
    expected = {S.RUNNING: ("Cancel", True), S.CANCELLING: ("Cancelling\u2026", False)}.get(state, ("Run", True))
    assert (view.button, view.is_button_enabled) == expected
    assert panel.run.run("chest") == (not state.is_busy)


@pytest.mark.parametrize("state", LASTING)
def test_a_worker_may_die_in_every_state(panel, state):
    panel.bring_to(state)
    if panel.workers.opened:
        panel.worker.code = -11
        panel.client.pump()
    expected = {S.RUNNING: S.FAILED, S.CANCELLING: S.CANCELLED}.get(state, state)
    assert panel.run.state is expected
    if state is S.RUNNING:
        assert "signal 11" in panel.run.view().message
        assert not panel.folder().exists()
    panel.start()
    panel.finish()
    assert panel.run.state is S.DONE


@pytest.mark.parametrize("state", LASTING)
def test_the_volume_may_be_deleted_in_every_state(panel, state):
    panel.bring_to(state)
    del panel.host.volumes["chest"]
    panel.run.volume_removed("chest")
    if state is S.RUNNING:
        assert panel.worker.names()[-1] == "cancel"
        panel.say("cancelled")
        assert panel.run.view().message == VOLUME_GONE
        assert not panel.folder().exists()
    elif state is S.CANCELLING:
        panel.say("cancelled")
    assert not panel.run.state.is_busy
    assert "import" not in panel.host.names() or state is S.DONE
    assert panel.run.result is None


def test_a_result_that_comes_after_the_volume_went_is_not_imported(panel):
    panel.start()
    del panel.host.volumes["chest"]
    panel.finish()
    assert (panel.run.state, panel.run.view().message) == (S.FAILED, VOLUME_GONE)
    assert panel.host.told == []


@pytest.mark.parametrize("state", LASTING)
def test_the_scene_may_be_closed_in_every_state(panel, state):
    panel.bring_to(state)
    panel.run.scene_closed()
    if state in (S.RUNNING, S.CANCELLING):
        panel.say("cancelled")
        assert panel.run.state is S.CANCELLED
    else:
        assert panel.run.state is S.IDLE
    if state is S.RUNNING:
        assert panel.run.view().message == SCENE_CLOSED
    assert panel.run.result is None
    if panel.workers.opened:
        assert not panel.folder().exists()


@pytest.mark.parametrize("state", LASTING)
def test_the_module_may_be_reloaded_in_every_state(panel, state):
    panel.bring_to(state)
    seen = len(panel.states)
    panel.run.close()
    panel.client.stop()
    assert len(panel.states) == seen
    assert panel.run.state is S.IDLE
    if panel.workers.opened:
        assert panel.worker.stopped
        assert not panel.folder().exists()


def test_other_volumes_may_go_while_one_is_analyzed(panel):
    panel.start()
    panel.run.volume_removed("another")
    assert panel.run.state is S.RUNNING


def test_a_full_disk_at_the_export_fails_and_leaves_nothing(panel, monkeypatch, tmp_path):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    panel.host.fail_at = "export"
    assert panel.run.run("chest")
    assert panel.run.state is S.FAILED
    assert "No space left" in panel.run.view().message
    assert list(tmp_path.iterdir()) == []
    assert panel.workers.opened == []


def test_a_volume_that_goes_while_it_is_written_stops_the_run(panel, monkeypatch, tmp_path):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    panel.host.before_export = lambda: panel.run.volume_removed("chest")
    for fail in ("", "export"):
        panel.host.fail_at = fail
        assert panel.run.run("chest")
        assert (panel.run.state, panel.run.view().message) == (S.CANCELLED, VOLUME_GONE)
        assert list(tmp_path.iterdir()) == []
    assert panel.workers.opened == []


def test_a_result_that_the_scene_refuses_is_said_and_kept(panel):
    panel.start()
    panel.host.fail_at = "import"
    panel.finish()
    assert (panel.run.state, panel.run.view().message) == (S.FAILED, "The result is another scan's.")
    assert panel.out().is_dir()
    assert panel.run.result is None


def test_a_damaged_result_is_said(panel):
    panel.start()
    write_result(panel.out())
    (panel.out() / "segmentation.json").write_text("{")
    panel.say("result", seconds=1.0)
    assert panel.run.state is S.FAILED
    assert "is damaged" in panel.run.view().message


def test_a_cancelled_run_imports_nothing_even_if_the_result_came_first(panel):
    panel.start()
    panel.run.cancel()
    panel.finish()
    assert panel.run.state is S.CANCELLED
    assert panel.host.told == []
    assert not panel.folder().exists()


def test_events_of_a_run_that_is_over_change_nothing(panel):
    panel.start()
    old = panel.worker.last("analyze")["id"]
    panel.run.cancel()
    panel.say("cancelled")
    panel.start()
    panel.worker.say({"event": "progress", "name": "x", "fraction": 0.9, "remaining_seconds": 1}, old)
    panel.client.pump()
    assert (panel.run.state, panel.run.view().percent) == (S.RUNNING, 0)


def test_results_may_be_kept_in_a_folder_of_the_users(panel, tmp_path):
    panel.start(keep_in=str(tmp_path))
    assert panel.out() == tmp_path / "Chest"
    panel.finish()
    panel.run.close()
    assert (tmp_path / "Chest" / "report.html").is_file()


@pytest.mark.parametrize(("seconds", "words"), [(0.4, "1 s"), (89, "89 s"), (91, "2 min"), (7200, "2.0 h")])
def test_durations_are_no_more_exact_than_they_can_be(seconds, words):
    from MedFMLib.run_progress import duration

    assert duration(seconds) == words
