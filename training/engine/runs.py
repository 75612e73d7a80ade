"""Runs as others see them: what was trained, and its weights."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from torch import nn

from medfm_core.errors import InputError, WeightsError
from training.engine.build import build_objective
from training.engine.checkpoint import RunState, load_module, read_state
from training.engine.config import Recipe, differences, recipe_from_data
from training.engine.objective import Objective
from training.engine.retention import best, last


def load_run(folder: Path, which: str = "last") -> tuple[Objective, Recipe, int]:
    """Load the objective of a run with its averaged weights, or its own where no average was kept.

    Args:
        folder: the run's folder, or one checkpoint of it.
        which: `last` or `best`.

    Returns:
        The objective in evaluation mode, the run's recipe, and the step of the weights.

    Raises:
        InputError: the folder holds no whole checkpoint.
        WeightsError: a file is damaged.
    """
    path = _checkpoint(folder, which)
    state = read_state(path)
    recipe = recipe_from_data(state.recipe, f"the recipe in {path}")
    objective = build_objective(recipe)
    load_module(path, "average" if recipe.run.ema else "model", objective)
    return objective.eval().requires_grad_(False), recipe, state.step


def newest_state(folder: Path, recipe: Recipe, resume: str) -> tuple[Path | None, RunState | None]:
    """Path and state of the checkpoint that a run in a folder goes on from; None for a new run.

    Args:
        folder: of the run.
        recipe: what is to be trained.
        resume: `auto`, or `never` to refuse a folder that has a checkpoint.

    Raises:
        InputError: the folder holds a run that is not to be resumed, or one of another recipe.
    """
    info = last(folder / "checkpoints")
    if info is None:
        return None, None
    if resume == "never":
        raise InputError(f"{folder} holds a run already", "choose another --out, or --resume auto to go on")
    state = read_state(info.path)
    if state.recipe_hash != recipe.digest:
        changed = ", ".join(differences(state.recipe, recipe.plain)[:6])
        raise InputError(
            f"{folder} holds a run of another recipe (it differs in {changed})",
            "choose another --out, or give the recipe that the run began with",
        )
    return info.path, state


def load_encoder(folder: Path, which: str = "last") -> tuple[Objective, dict[str, Any]]:
    """Load a run for its representation: a module with `encode(batch) -> (B, F)`, and what it is, as plain data."""
    objective, recipe, step = load_run(folder, which)
    return objective, {"run": str(folder), "step": step, "recipe": recipe.plain, "digest": recipe.digest}


def load_start(objective: Objective, start: Path) -> None:
    """Copy weights of an earlier run into an objective before training.

    Where the earlier run had the same objective with the same heads, everything is taken. Otherwise its exported part
    goes into this objective's exported part, or into the first part of that which is of the same class; what is left
    keeps its fresh weights.

    Raises:
        InputError: there is no such run.
        WeightsError: the architectures differ.
    """
    other, _, _ = load_run(start)
    try:
        if _alike(other, objective):
            objective.load_state_dict(other.state_dict(), strict=True)
        else:
            part = other.exported()
            _counterpart(objective.exported(), part).load_state_dict(part.state_dict(), strict=True)
    except RuntimeError as problem:
        raise WeightsError(
            f"the weights of {start} do not fit this recipe", "give both recipes the same model"
        ) from problem
    _refresh_teacher(objective)


def _refresh_teacher(objective: nn.Module) -> None:
    """Let an objective with a teacher start it from the new weights."""
    if hasattr(objective, "reset_teacher"):
        objective.reset_teacher()


def _alike(one: Objective, other: Objective) -> bool:
    """Whether two objectives are of one class and have the same parameters."""
    return type(one) is type(other) and one.state_dict().keys() == other.state_dict().keys()


def _counterpart(whole: nn.Module, part: nn.Module) -> nn.Module:
    """The part of a module into which another fits: the first of the same class, the module itself if there is none."""
    return next((module for module in whole.modules() if type(module) is type(part)), whole)


def _checkpoint(folder: Path, which: str) -> Path:
    if (folder / "manifest.json").exists():
        return folder
    root = folder / "checkpoints" if (folder / "checkpoints").is_dir() else folder
    info = last(root)
    if info is not None and which == "best":
        mode = read_state(info.path).recipe.get("run", {}).get("best_is", "min")
        info = best(root, mode)
        if info is None:
            raise InputError(f"no checkpoint of {folder} has a metric yet", "take the last one, or train on")
    if info is None:
        raise InputError(f"{folder} holds no whole checkpoint", "give the folder of a run of training.pretrain")
    return info.path
