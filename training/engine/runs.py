"""Runs as others see them: what was trained, and its weights."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from torch import nn

from medfm_core.errors import InputError, WeightsError
from training.engine.build import build_objective
from training.engine.checkpoint import load_module, read_state
from training.engine.config import Recipe, recipe_from_data
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


def load_encoder(folder: Path, which: str = "last") -> tuple[Objective, dict[str, Any]]:
    """Load a run for its representation: a module with `encode(batch) -> (B, F)`, and what it is, as plain data."""
    objective, recipe, step = load_run(folder, which)
    return objective, {"run": str(folder), "step": step, "recipe": recipe.plain, "digest": recipe.digest}


def load_start(objective: Objective, start: Path) -> None:
    """Copy weights of an earlier run into an objective before training.

    Where the earlier run had the same objective, everything is taken; otherwise its exported part goes into this
    objective's exported part, and heads keep their fresh weights.

    Raises:
        InputError: there is no such run.
        WeightsError: the architectures differ.
    """
    other, _, _ = load_run(start)
    try:
        if type(other) is type(objective):
            objective.load_state_dict(other.state_dict(), strict=True)
        else:
            objective.exported().load_state_dict(other.exported().state_dict(), strict=True)
    except RuntimeError as problem:
        raise WeightsError(
            f"the weights of {start} do not fit this recipe", "give both recipes the same model"
        ) from problem
    _refresh_teacher(objective)


def _refresh_teacher(objective: nn.Module) -> None:
    """Let an objective with a teacher start it from the new weights."""
    if hasattr(objective, "reset_teacher"):
        objective.reset_teacher()


def _checkpoint(folder: Path, which: str) -> Path:
    if (folder / "manifest.json").exists():
        return folder
    root = folder / "checkpoints" if (folder / "checkpoints").is_dir() else folder
    info = best(root) if which == "best" else last(root)
    if info is None:
        raise InputError(f"{folder} holds no whole checkpoint", "give the folder of a run of training.pretrain")
    return info.path
