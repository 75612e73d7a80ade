"""`python -m training.export_segmenter`: turn a run's averaged net into fp16 safetensors and a model card."""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
from dataclasses import replace
from pathlib import Path

import torch
from safetensors.torch import save_file

from medfm_core.cards import ModelCard
from medfm_core.errors import MedFMError
from medfm_core.io.atomic import atomic_text, atomic_write
from medfm_core.models.segmenter import ARCHITECTURE, OrganSegmenter
from medfm_core.strict import from_dict, to_dict
from training.segmenter_checkpoint import load_state
from training.segmenter_recipe import read_recipe

_NOTE = (
    "Dice against a network's labels at the scan's own resolution; the shipped weights have seen both patients. Organs "
    "that the other scan does not show were learnt from virtual patients alone."
)


def export(state: Path, recipe_path: Path, about: Path, resources: Path, card_id: str, measured: list[dict]) -> Path:
    """Write `weights/<id>.safetensors` and `cards/<id>.json` under a Resources folder; return the card's path.

    Args:
        state: `state.safetensors` of a run.
        recipe_path: its recipe.
        about: JSON with the card's words: title, licence, trained_on, limits, inference settings, needs.
        resources: folder to write to.
        card_id: name of the card.
        measured: entries of the card's `measured`.
    """
    recipe = read_recipe(recipe_path)
    net = OrganSegmenter(recipe.model)
    load_state(state, OrganSegmenter(recipe.model), net)
    weights = resources / "weights" / f"{card_id}.safetensors"
    weights.parent.mkdir(parents=True, exist_ok=True)
    tensors = {name: value.to(torch.float16).contiguous() for name, value in net.state_dict().items()}
    with atomic_write(weights) as part:
        save_file(tensors, part, metadata={"recipe": recipe.digest})  # one entry: several come in random order
    data = weights.read_bytes()
    card = {
        "id": card_id,
        "task": "organ_segmentation",
        "architecture": {"name": ARCHITECTURE, **to_dict(recipe.model), "out_channels": recipe.model.out_channels},
        "weights": [{"file": weights.name, "sha256": hashlib.sha256(data).hexdigest(), "bytes": len(data)}],
        "source": {"kind": "shipped"},
        "input": to_dict(replace(recipe.input, spacing_mm=(recipe.phases[-1].spacing_mm,) * 3)),
        "labels": {str(channel): name for channel, name in enumerate(recipe.classes, start=1)},
        **json.loads(about.read_text(encoding="utf-8")),
        "measured": measured,
    }
    from_dict(ModelCard, card, f"the card {card_id}")
    path = resources / "cards" / f"{card_id}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    atomic_text(path, json.dumps(card, indent=1, ensure_ascii=False) + "\n")
    return path


def measured_entries(folds: list[Path], baselines: Path | None) -> list[dict]:
    """Turn the figures of `evaluate_segmenter` on left-out patients into the card's `measured` entries.

    Args:
        folds: JSON files of figures per case, each made with weights that had not seen the case.
        baselines: JSON file of `segmenter_baselines`.
    """
    others = json.loads(baselines.read_text(encoding="utf-8")) if baselines else {}
    entries = []
    for path in folds:
        for case, values in json.loads(path.read_text(encoding="utf-8")).items():
            beside = {
                name: {organ: round(value, 3) for organ, value in figures.items() if organ in values}
                for name, figures in others.get(case, {}).items()
            }
            entry = {
                "on": f"leave-one-patient-out: {case}, by weights trained without it",
                "metric": "dice",
                "values": {organ: round(value, 3) for organ, value in values.items()},
                "baselines": beside,
                "n": 1,
                "note": _NOTE,
            }
            entries.append(entry)
    return entries


def main(arguments: list[str] | None = None) -> int:
    """Run the command."""
    here = Path(__file__).parent / "recipes" / "segmenter"
    parser = argparse.ArgumentParser(prog="python -m training.export_segmenter", description=__doc__)
    parser.add_argument("--state", type=Path, required=True, help="state.safetensors of the run")
    parser.add_argument("--config", type=Path, required=True, help="recipe of the run")
    parser.add_argument("--about", type=Path, default=here / "about.json", help="JSON with the words of the card")
    parser.add_argument("--resources", type=Path, required=True, help="folder that receives weights/ and cards/")
    parser.add_argument("--id", required=True, help="name of the card")
    parser.add_argument(
        "--folds", type=Path, nargs="*", default=[], help="figures of evaluate_segmenter on left-out cases"
    )
    parser.add_argument("--baselines", type=Path, help="figures of segmenter_baselines")
    options = parser.parse_args(arguments)
    try:
        measured = measured_entries(options.folds, options.baselines)
        path = export(options.state, options.config, options.about, options.resources, options.id, measured)
    except MedFMError as problem:
        print(problem, file=sys.stderr)
        return problem.exit_code
    print(f"wrote {path}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
