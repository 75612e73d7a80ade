"""One analysis for scripts and other extensions: start a worker, wait, and take the result into the scene."""

from __future__ import annotations

import time
from collections.abc import Callable

from .client import WorkerClient
from .host import SceneHost, Volume
from .launch import Launch
from .results import Result, ResultError
from .run import RunModel
from .run_parts import RunOptions, RunView
from .run_states import RunState

_PAUSE_S = 0.05


def process(
    volume: Volume,
    host: SceneHost,
    launch: Callable[[], Launch],
    options: RunOptions,
    meanwhile: Callable[[RunView], None] = lambda view: None,
) -> Result:
    """Analyse a volume and wait for it.

    Args:
        volume: of the host.
        host: the scene.
        launch: the Python that computes.
        options: `keep_in` names the folder that keeps the result; a temporary one is gone when this returns.
        meanwhile: called every 50 ms with what a panel would show; whatever it raises ends the analysis.

    Returns:
        What was found, already in the scene.

    Raises:
        ResultError: it failed, or was cancelled; one sentence that says why.
    """
    client = WorkerClient(launch)
    run = RunModel(client, host)
    try:
        run.run(volume, options)
        while run.state.is_busy:
            client.pump()
            meanwhile(run.view())
            time.sleep(_PAUSE_S)
        if run.state is not RunState.DONE:
            raise ResultError(run.view().message or client.problem)
        return run.result
    finally:
        client.stop()
        run.close()
