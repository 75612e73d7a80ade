"""The client: events reach their request, and a worker that dies takes nothing with it."""

from __future__ import annotations

import os
import sys
import time

import pytest
from MedFMLib import client as client_module
from MedFMLib.client import WorkerClient, WorkerState
from MedFMLib.launch import HubChoices, Launch, core_folder, plan_launch
from MedFMLib.transport import KILLED_WITHIN_S, PipeTransport
from panel_stand_ins import HELLO, Workers

from medfm_core.worker.lane import CLOSING
from medfm_core.worker.protocol import PROTOCOL


@pytest.fixture
def workers():
    return Workers()


@pytest.fixture
def client(workers):
    return WorkerClient(lambda: Launch("python"), workers)


def test_both_sides_speak_the_same_protocol():
    assert (client_module.PROTOCOL, client_module.CLOSING) == (PROTOCOL, CLOSING)
    assert client_module.PipeTransport is PipeTransport
    assert KILLED_WITHIN_S + 0.5 < 2


def test_the_first_request_starts_the_worker_and_gets_its_events(client, workers):
    assert (client.state, workers.opened) == (WorkerState.OFF, [])
    events = []
    request = client.request("models", {}, events.append)
    assert client.state is WorkerState.STARTING
    assert client.pump()
    assert (client.state, [d.name for d in client.devices]) == (WorkerState.READY, ["cpu"])
    workers.now.say({"event": "stage", "name": "x"}, request)
    workers.now.say({"event": "stage", "name": "not ours"}, "99")
    workers.now.say({"event": "result", "models": []}, request)
    workers.now.say({"event": "result", "models": ["twice"]}, request)
    assert not client.pump()
    assert [event["event"] for event in events] == ["stage", "result"]


@pytest.mark.parametrize("noise", [b"hello", b"\xff", b"[]", b"5", b'{"event": 7}', b"{}"])
def test_noise_between_the_lines_is_passed_over(client, workers, noise):
    events = []
    request = client.request("models", {}, events.append)
    workers.now.say(noise)
    workers.now.say({"event": "result"}, request)
    client.pump()
    assert [event["event"] for event in events] == ["result"]


def test_a_worker_of_another_release_is_refused(client, workers):
    workers.greet, events = False, []
    client.request("models", {}, events.append)
    workers.now.say({**HELLO, "protocol": 2})
    client.pump()
    assert client.state is WorkerState.BROKEN
    assert "one release" in client.problem
    assert events[-1]["sentence"] == client.problem
    assert workers.now.stopped


def test_a_dead_worker_closes_what_was_asked_and_the_next_request_starts_another(client, workers):
    events = []
    client.request("analyze", {}, events.append)
    client.request("models", {}, events.append)
    client.pump()
    workers.now.code = -9
    client.pump()
    assert [(event["event"], event["kind"]) for event in events] == [("error", "WorkerDied")] * 2
    assert "signal 9" in events[0]["sentence"]
    assert client.state is WorkerState.OFF
    client.request("models", {}, events.append)
    client.pump()
    assert (client.state, len(workers.opened)) == (WorkerState.READY, 2)


def test_a_worker_that_never_says_hello_is_not_started_for_ever(client, workers):
    workers.greet, events = False, []
    for _ in range(4):
        client.request("models", {}, events.append)
        if len(workers.opened) > len(events):
            workers.now.code, workers.now.errors = 1, ["Traceback", "ModuleNotFoundError: no medfm_core", ""]
        client.pump()
    assert len(events) == 4
    assert all("no medfm_core" in event["sentence"] for event in events)
    assert (client.state, len(workers.opened)) == (WorkerState.BROKEN, 2)
    workers.greet = True
    client.restart()
    client.pump()
    assert client.state is WorkerState.READY


def test_a_python_that_is_not_there_is_a_sentence(client, workers):
    workers.fail, events = True, []
    client.request("models", {}, events.append)
    client.pump()
    assert client.state is WorkerState.BROKEN
    assert "Choose another one under Advanced" in events[0]["sentence"]


def test_stopping_closes_what_is_awaited(client, workers):
    events = []
    client.request("analyze", {}, events.append)
    client.pump()
    client.stop()
    assert [event["event"] for event in events] == ["cancelled"]
    assert workers.now.names() == ["analyze", "shutdown"]
    assert (client.state, workers.now.stopped) == (WorkerState.OFF, 1)
    client.stop()


def test_cancelling_asks_the_worker_and_only_while_there_is_something(client, workers):
    events = []
    request = client.request("analyze", {}, events.append)
    client.cancel(request)
    assert workers.now.last("cancel")["arguments"] == {"id": request}
    workers.now.say({"event": "cancelled"}, request)
    client.pump()
    client.cancel(request)
    assert workers.now.names().count("cancel") == 1


@pytest.mark.skipif(os.name == "nt", reason="POSIX process groups")
def test_a_process_that_does_not_listen_is_killed():
    script = "import time; print('here', flush=True); time.sleep(60)"
    transport = PipeTransport(Launch(sys.executable, dict(os.environ)), ("-c", script))
    last = time.monotonic() + 60
    while not transport.receive() and time.monotonic() < last:
        time.sleep(0.01)
    assert transport.exit_code() is None
    transport.stop(0.05)
    while transport.exit_code() is None and time.monotonic() < last:
        time.sleep(0.01)
    assert transport.exit_code() == -9
    assert not transport.send(b"too late\n")


def test_the_environment_of_an_external_python_holds_nothing_of_slicers():
    given = {"PYTHONHOME": "s", "PYTHONPATH": "s", "LD_LIBRARY_PATH": "s", "HOME": "h"}
    hub = HubChoices("/weights", "https://mirror", "/ca.pem", "http://proxy", offline=True)
    launch = plan_launch("/usr/bin/python3", hub, given)
    assert (launch.is_external, launch.python) == (True, "/usr/bin/python3")
    assert launch.environment["PYTHONPATH"] == core_folder()
    assert {name: launch.environment.get(name) for name in ("PYTHONHOME", "LD_LIBRARY_PATH", "HOME")} == {
        "PYTHONHOME": None,
        "LD_LIBRARY_PATH": None,
        "HOME": "h",
    }
    assert launch.environment["MEDFM_CACHE"] == "/weights"
    assert launch.environment["MEDFM_OFFLINE"] == "1"
    assert plan_launch("", None, given).environment["PYTHONPATH"].split(os.pathsep)[-1] == "s"
    assert "MEDFM_CACHE" not in plan_launch("", None, given).environment
