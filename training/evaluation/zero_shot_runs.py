"""Runs of the objective `contrastive`, and the cohorts on which their zero-shot findings are measured."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import torch

from medfm_core.errors import InputError
from medfm_core.models.organ_text import OrganTextModel
from medfm_core.models.text import load_text_tower
from medfm_core.progress import SILENT, Progress
from training.data.organ_pairs import OrganPairs
from training.data.organ_pairs_config import OrganPairsConfig
from training.engine.build import build_objective
from training.engine.runs import load_run
from training.evaluation.zero_shot import ZeroShot, embed_organs, wordings, zero_shot
from training.objectives.contrastive import Contrastive


@dataclass(frozen=True, eq=False)
class ContrastiveRun:
    """A trained model and how it was fed.

    Attributes:
        model: in evaluation mode.
        data: configuration of its data.
        text_tower: what made its sentence vectors.
    """

    model: OrganTextModel
    data: OrganPairsConfig
    text_tower: str


def read_run(folder: Path, which: str = "last") -> ContrastiveRun:
    """Load a run.

    Raises:
        InputError: the folder holds no run, or one of another objective.
        WeightsError: a checkpoint is damaged.
    """
    objective, recipe, _ = load_run(folder, which)
    if not isinstance(objective, Contrastive):
        raise InputError(f"{folder} is no run of the objective contrastive", "give one")
    return ContrastiveRun(objective.exported(), recipe.data, recipe.objective.text_tower)


def random_run(folder: Path, seed: int = 0) -> ContrastiveRun:
    """A run's image encoder with random weights, beside its own text side, which knows the sentences.

    Args:
        folder: of the run.
        seed: of the weights.
    """
    objective, recipe, _ = load_run(folder, "last")
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        fresh = build_objective(recipe)
    model = objective.exported()
    model.image.load_state_dict(fresh.exported().image.state_dict())
    return ContrastiveRun(model.eval(), recipe.data, recipe.objective.text_tower)


def cohort_for(run: ContrastiveRun, manifest: Path, statements: Path, store: str) -> OrganPairs:
    """A cohort as a run sees its data, without changes and sentences."""
    config = replace(
        run.data, manifests=(str(manifest),), statements=(str(statements),), store=store, sentences="", split="all",
        augment=None,
    )  # fmt: skip
    return OrganPairs(config)


def score(source: OrganPairs, run: ContrastiveRun, text: str | None = None, progress: Progress = SILENT) -> ZeroShot:
    """Score the findings of a cohort by the catalogue's wordings.

    Args:
        source: the cohort.
        run: the model.
        text: another name for the text tower.
        progress: told of the organs that are done.
    """
    tower = load_text_tower(text or run.text_tower)
    prompts = {}
    for name, kind in wordings(source.findings).items():
        with torch.inference_mode():
            prompts[name] = tuple(run.model.text(tower.encode(list(lines))) for lines in (kind.positive, kind.negative))
    embeddings = embed_organs(source, run.model, progress)
    return zero_shot(source, embeddings, prompts, float(run.model.logits.scale.exp()))
