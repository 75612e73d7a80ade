"""Checkpoints: the state of a run on disk, whole or not there, and the same for any number of processes.

A checkpoint is a folder `step_00000500` with the tensors of the modules and of the optimisers (safetensors), all else
as JSON, and a manifest of hashes; `checkpoint_files` says how it comes to be there, `retention` which ones stay.
"""

from __future__ import annotations

import json
import math
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from medfm_core.errors import InputError, WeightsError
from medfm_core.strict import from_dict, to_dict
from medfm_core.weights import TensorInfo, check_safetensors
from training.engine.checkpoint_files import (
    MODEL,
    OPTIMISER,
    STATE,
    Manifest,
    check_content,
    new_folder,
    read_manifest,
    seal,
    step_name,
)
from training.engine.checkpoint_names import Modules, live_tensors, names_by_id
from training.engine.checkpoint_optimisers import (
    OptimiserFit,
    OptimiserRecord,
    Optimisers,
    gather_optimiser,
    spread_optimiser,
)
from training.engine.checkpoint_ranks import gather, on_writer, spread
from training.engine.checkpoint_tensors import check_fit, tensor_reader, write_tensors


@dataclass(frozen=True)
class RunState:
    """What a run remembers beside its tensors; all of it JSON.

    Attributes:
        step: optimiser steps done.
        recipe_hash: hash of the recipe, which a resumed run must share.
        recipe: the resolved recipe.
        metric: what decides which checkpoint is best; what is not finite counts as None, not measured.
        extra: anything else that the loop wants back.
    """

    step: int
    recipe_hash: str
    recipe: Mapping[str, Any] = field(default_factory=dict)
    metric: float | None = None
    extra: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class _StateFile:
    """Content of state.json."""

    run: RunState
    optimisers: Mapping[str, OptimiserRecord]


@dataclass(frozen=True)
class _Checked:
    """A checkpoint that fits: its state, and the headers of its two files of tensors."""

    state: _StateFile
    model: Mapping[str, TensorInfo]
    optimiser: Mapping[str, TensorInfo]


def save_checkpoint(folder: str | Path, modules: Modules, optimisers: Optimisers, state: RunState) -> Path:
    """Write a checkpoint; all ranks must call, and rank 0 writes.

    Modules may be plain, compiled, in DistributedDataParallel or split by `fully_shard`: the files are the same.
    Buffers that differ between ranks are those of rank 0. A checkpoint of the same step is replaced.

    Args:
        folder: the run's folder of checkpoints; made if need be.
        modules: by name, without dots. Every parameter of the optimisers must be in one of them.
        optimisers: by name; their state must be numbers and tensors.
        state: the rest.

    Returns:
        The new folder.

    Raises:
        ResourceError: the disk is full; the earlier checkpoints are as they were.
        InputError: the folder cannot be written, or something cannot be stored.
    """
    path = Path(folder) / step_name(state.step)
    metric = None if state.metric is None or not math.isfinite(state.metric) else float(state.metric)
    live = live_tensors(modules)
    tensors = {name: gather(value) for name, value in live.items()}
    moments: dict[str, Tensor | None] = {}
    names = names_by_id(live)
    records = {key: gather_optimiser(key, value, names, moments) for key, value in optimisers.items()}

    def write() -> None:
        text = _json(_StateFile(replace(state, metric=metric), records))
        with new_folder(path) as part:
            (part / STATE).write_text(text, encoding="utf-8")
            for name, content in ((MODEL, tensors), (OPTIMISER, moments)):
                write_tensors(part / name, content)
                shutil.copymode(part / STATE, part / name)
            seal(part, state.step, metric, state.recipe_hash)

    on_writer(write)
    return path


def load_checkpoint(
    path: str | Path, modules: Modules, optimisers: Optimisers, recipe_hash: str | None = None
) -> RunState:
    """Check a checkpoint and put it into modules and optimisers; all ranks must call, and rank 0 reads.

    Nothing is changed unless all of it fits. Modules and optimisers that are not passed stay in the file; how an
    optimiser computes (fused, foreach, capturable) stays as it is.

    Args:
        path: the checkpoint's folder, as `last` and `best` give it; only that of rank 0 counts.
        modules: by name, with the names, shapes and types of the tensors that were saved.
        optimisers: by name, over the same parameter groups; empty to take the weights alone.
        recipe_hash: hash that the checkpoint must carry; None for any.

    Raises:
        WeightsError: the checkpoint is incomplete, damaged, or of another recipe, network or optimiser.
    """
    path = Path(path)
    live = live_tensors(modules)
    names = names_by_id(live)

    def check() -> _Checked:
        state = _read_whole(path, recipe_hash)
        headers = [dict(check_safetensors(path / name).tensors) for name in (MODEL, OPTIMISER)]
        wanted = {name: info for name, info in headers[0].items() if name.split(".")[0] in modules}
        check_fit(path, wanted, live)
        fit = OptimiserFit(path, names, headers[1])
        for key, optimiser in optimisers.items():
            fit.check(key, optimiser, state.optimisers.get(key))
        return _Checked(state, wanted, headers[1])

    checked = on_writer(check)
    with tensor_reader(path / MODEL, checked.model) as read:
        for name, value in live.items():
            spread(read(name)[0], value)
    with tensor_reader(path / OPTIMISER, checked.optimiser) as read:
        for key, optimiser in optimisers.items():
            spread_optimiser(key, optimiser, checked.state.optimisers[key], names, read)
    return checked.state.run


def load_module(path: str | Path, name: str, module: nn.Module) -> RunState:
    """Put the weights of one module of a checkpoint into a module; all ranks must call. See `load_checkpoint`."""
    return load_checkpoint(path, {name: module}, {})


def read_state(path: str | Path) -> RunState:
    """Read what a checkpoint remembers beside its tensors; no network and no other rank is needed.

    Raises:
        WeightsError: it is incomplete, or its state is damaged; the tensors' hashes are checked when they are loaded.
    """
    manifest = read_manifest(Path(path))
    return _read_state_file(Path(path), manifest).run


def _read_whole(path: Path, recipe_hash: str | None) -> _StateFile:
    """Check all files of a checkpoint and read its state."""
    manifest = read_manifest(path)
    if recipe_hash is not None and manifest.recipe_hash != recipe_hash:
        raise WeightsError(
            f"the checkpoint {path} was made by another recipe ({manifest.recipe_hash} instead of {recipe_hash})",
            "resume with its own recipe, or train in another folder",
        )
    for name in (MODEL, OPTIMISER):
        check_content(path, name, manifest)
    return _read_state_file(path, manifest)


def _read_state_file(path: Path, manifest: Manifest) -> _StateFile:
    check_content(path, STATE, manifest)
    where = f"the state of the checkpoint {path}"
    try:
        data = json.loads((path / STATE).read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise WeightsError(f"{where} cannot be read", "use another checkpoint") from error
    state = from_dict(_StateFile, data, where, WeightsError)
    run = state.run
    if (run.step, run.metric, run.recipe_hash) != (manifest.step, manifest.metric, manifest.recipe_hash):
        raise WeightsError(f"{where} and its manifest belong to different runs", "use another checkpoint")
    return state


def _json(state: _StateFile) -> str:
    try:
        return json.dumps(to_dict(state), indent=1) + "\n"
    except (TypeError, ValueError, RecursionError) as error:
        raise InputError(f"the state of the run cannot be written as JSON ({error})", "keep plain values") from error
