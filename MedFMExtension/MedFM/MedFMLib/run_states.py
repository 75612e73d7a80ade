"""The states of a run and the only ways from one to another."""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum


class RunState(Enum):
    """Where a run is."""

    IDLE = "idle"
    EXPORTING = "exporting"
    RUNNING = "running"
    CANCELLING = "cancelling"
    IMPORTING = "importing"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"

    @property
    def is_busy(self) -> bool:
        """Whether a run is under way."""
        return self in (RunState.EXPORTING, RunState.RUNNING, RunState.CANCELLING, RunState.IMPORTING)


class RunEvent(Enum):
    """What can happen to a run."""

    START = "start"  # the user, or a script
    EXPORTED = "exported"  # the volume is written
    RESULT = "result"  # the worker is done
    IMPORTED = "imported"  # the result is in the scene
    STOP = "stop"  # the user, or the volume or the scene is gone
    STOPPED = "stopped"  # nothing of the job is left
    FAIL = "fail"  # an error of the worker, its death, or one while writing or reading
    RESET = "reset"  # the scene was closed: nothing to show any more


_REST: Mapping[RunEvent, RunState] = {RunEvent.START: RunState.EXPORTING, RunEvent.RESET: RunState.IDLE}

TRANSITIONS: Mapping[RunState, Mapping[RunEvent, RunState]] = {
    RunState.IDLE: _REST,
    RunState.EXPORTING: {
        RunEvent.EXPORTED: RunState.RUNNING,
        RunEvent.FAIL: RunState.FAILED,
        RunEvent.STOP: RunState.CANCELLED,
    },
    RunState.RUNNING: {
        RunEvent.RESULT: RunState.IMPORTING,
        RunEvent.FAIL: RunState.FAILED,
        RunEvent.STOP: RunState.CANCELLING,
        RunEvent.STOPPED: RunState.CANCELLED,
    },
    RunState.CANCELLING: {
        RunEvent.STOPPED: RunState.CANCELLED,
        RunEvent.RESULT: RunState.CANCELLED,  # it came too late, and is not taken into the scene
        RunEvent.FAIL: RunState.CANCELLED,
    },
    RunState.IMPORTING: {RunEvent.IMPORTED: RunState.DONE, RunEvent.FAIL: RunState.FAILED},
    RunState.DONE: _REST,
    RunState.FAILED: _REST,
    RunState.CANCELLED: _REST,
}


def follow(state: RunState, event: RunEvent) -> RunState | None:
    """The state after an event; None where the event has no meaning in this state and is passed over."""
    return TRANSITIONS[state].get(event)
