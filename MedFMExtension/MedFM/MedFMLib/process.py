"""One analysis for scripts and other extensions: start a worker, wait, and take the result into the scene."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import replace

from .brain_case import MOST_SCANS, BrainCase, is_mr
from .brain_maps import brain_maps
from .client import WorkerClient
from .host import SceneHost, Volume
from .launch import Launch
from .results import Result, ResultError
from .run import RunModel
from .run_parts import RunOptions, RunView
from .run_states import RunState

_PAUSE_S = 0.05


def with_sequences(
    volumes: Sequence[Volume], host: SceneHost, options: RunOptions, sequences: Sequence[str] = ()
) -> RunOptions:
    """The options, with the sequence of each volume where these are brain MRI.

    They are where a volume says that it is MR, where there are several, or where an option of brain MRI is given.

    Args:
        volumes: those to analyse together.
        host: the scene.
        options: how.
        sequences: "T1w", "T2w" or "FLAIR" for each volume; without it their names decide.

    Raises:
        ResultError: they cannot be analysed together, or the sequence of one is not known.
    """
    asked = len(volumes) > 1 or sequences or options.strip or options.register
    if not asked and not is_mr(host.facts(volumes[0])):
        return options
    if len(volumes) > MOST_SCANS or len(sequences) not in (0, len(volumes)):
        raise ResultError(f"Give up to {MOST_SCANS} volumes of one study, and a sequence for each or for none.")
    case = BrainCase(host)
    for place, volume in enumerate(volumes):
        host.facts(volume)
        case.set_volume(place, volume)
    for place, sequence in enumerate(sequences):
        case.set_sequence(place, sequence)
    if case.problem():
        raise ResultError(case.problem())
    return replace(options, sequences=tuple(scan.sequence for scan in case.scans()))


def process(
    volume: Volume,
    host: SceneHost,
    launch: Callable[[], Launch],
    options: RunOptions,
    meanwhile: Callable[[RunView], None] = lambda view: None,
    others: Sequence[Volume] = (),
) -> Result:
    """Analyse a volume, or the scans of one study of brain MRI, and wait for it.

    Maps of brain MRI are taken into the scene, as there is nothing else of it; those of CT are left in the folder.

    Args:
        volume: of the host.
        host: the scene.
        launch: the Python that computes.
        options: `keep_in` names the folder that keeps the result; a temporary one is gone when this returns.
        meanwhile: called every 50 ms with what a panel would show; whatever it raises ends the analysis.
        others: further scans, of brain MRI; `options.sequences` has one for each, `volume` first.

    Returns:
        What was found, already in the scene.

    Raises:
        ResultError: it failed, or was cancelled; one sentence that says why.
    """
    client = WorkerClient(launch)
    run = RunModel(client, host)
    try:
        run.run(volume, options, others)
        while run.state.is_busy:
            client.pump()
            meanwhile(run.view())
            time.sleep(_PAUSE_S)
        if run.state is not RunState.DONE:
            raise ResultError(run.view().message or client.problem)
        for one in brain_maps(run.result):
            host.add_map(run.scans[one.scan], str(one.path), one.title, one.kind)
        return run.result
    finally:
        client.stop()
        run.close()
