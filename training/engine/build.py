"""From a recipe to its parts: objective, data source, and whether bf16 may be used."""

from __future__ import annotations

from pathlib import Path

import torch
from torch.utils.data import default_collate

from medfm_core.errors import InputError
from medfm_core.inference.devices import cpu_has_bf16
from training.engine.config import Recipe
from training.engine.objective import Objective
from training.engine.order import Place, SamplesByPosition, Source
from training.engine.precision import can_trust_bf16
from training.engine.registry import find_part


def build_objective(recipe: Recipe) -> Objective:
    """Build the objective with weights drawn from the run's seed.

    Raises:
        InputError: activation checkpointing is asked for, and the parts cannot do it.
    """
    torch.manual_seed(recipe.run.seed)
    objective = find_part("objective", recipe.names["objective"]).make(recipe.model, recipe.objective)
    if recipe.run.activation_checkpointing:
        try:
            objective.set_activation_checkpointing(True)
        except (NotImplementedError, AttributeError) as problem:
            who = f"{recipe.names['objective']} with the model {recipe.names['model']}"
            raise InputError(
                f"run.activation_checkpointing is set, but {who} cannot compute activations twice",
                "leave it off, and raise run.accumulate to save memory",
            ) from problem
    return objective


def build_source(recipe: Recipe) -> Source:
    """Build the data source; missing files are found here, before anything is trained."""
    source = find_part("data", recipe.names["data"]).make(recipe.data)
    if hasattr(source, "set_batch_size"):  # whose samples must know what they are batched with
        source.set_batch_size(recipe.run.batch_size)
    if not len(source):
        raise InputError("the data source holds nothing to train on", "check the recipe's data section")
    return source


def check_batch(objective: Objective, samples: SamplesByPosition) -> dict[str, torch.Tensor]:
    """Draw the run's first sample and check that it has what the objective needs; return it as a batch of one.

    Raises:
        InputError: a key is missing.
    """
    sample = samples[0]
    for key in objective.needs:
        if key not in sample:
            raise InputError(
                f"the data source gives {', '.join(sorted(sample))}, and the objective needs {key!r} too",
                "choose another data source or objective",
            )
    return default_collate([sample])


def choose_bf16(objective: Objective, samples: SamplesByPosition, recipe: Recipe, device: str) -> bool:
    """Decide the precision: as the recipe says, or by comparing gradients on a first batch of usual size."""
    if recipe.run.precision != "auto":
        return recipe.run.precision == "bf16"
    if device == "cuda":
        return torch.cuda.is_bf16_supported()
    if not cpu_has_bf16():  # emulated, it would be slower than fp32
        return False
    part = Place(recipe.run.batch_size, accumulate=recipe.run.accumulate).positions(0)[0]
    batch = default_collate([samples[position] for position in part])
    objective.before_step(0, recipe.run.steps)
    return all(
        can_trust_bf16(objective, lambda turn=turn: objective(batch, turn)["loss"], device) for turn in objective.turns
    )


def run_files(folder: Path) -> Path:
    """Make a run's folder, or say why it cannot be made."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as problem:
        raise InputError(f"the run's folder {folder} cannot be made", "choose another --out") from problem
    return folder
