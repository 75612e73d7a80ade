"""`python -m training.export`: turn a run's weights into safetensors and a model card, never pickle."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from medfm_core.cards import ModelCard
from medfm_core.errors import InputError, MedFMError
from medfm_core.io.atomic import atomic_text
from medfm_core.settings import read_settings
from medfm_core.strict import from_dict

EXAMPLES = """examples:
  an encoder, to be used by `training.probe --card` or to be shared:
    python -m training.export --run runs/videomae --id my-encoder.v1 --about about.json --resources my-resources
  the shipped organ segmenter, with the figures of its folds:
    python -m training.export --run runs/fine --id organ-segmenter-tiny.v2 --resources Resources \\
        --about training/recipes/segmenter/about.json --folds fold-a.json fold-b.json --baselines baselines.json

about.json holds the card's words: licence, trained_on (data with their licences), intended_use, limits, and whatever
else a card may say; without it, the card says that nothing is stated. Weights are the running average where the run
kept one. Commands take the card by its path, e.g. `training.probe --card my-resources/cards/my-encoder.v1.json`."""
_NOTE = (
    "Dice against a network's labels at the scan's own resolution; the shipped weights have seen both patients. Organs "
    "that the other scan does not show were learnt from virtual patients alone."
)
_UNKNOWN = {
    "licence": "LicenseRef-not-stated",
    "trained_on": ["not stated"],
    "intended_use": "Research only; not a medical device. No licence is stated: for use by those who trained it.",
}


def export(run: Path, card_id: str, resources: Path, about: dict[str, Any], which: str = "last") -> Path:
    """Write `weights/<id>*.safetensors` (fp16) and `cards/<id>.json` under a Resources folder; return the card's path.

    Args:
        run: folder of a run, or of one checkpoint.
        card_id: name of the card.
        resources: folder to write to.
        about: the card's words and figures, by field.
        which: `last` or `best` checkpoint.

    Raises:
        InputError: the run is not there, or its objective has no card.
        WeightsError: a checkpoint is damaged.
    """
    from training.card_entries import card_entries
    from training.engine.runs import load_run
    from training.export_parts import Naming, write_parts, write_prompts

    objective, recipe, step = load_run(run, which)
    entries = card_entries(objective, recipe)
    naming = Naming(resources / "weights", card_id, f"{recipe.digest} step {step}")
    weights = write_parts(objective.exported(), naming)
    if "text_tower" in entries["architecture"]:
        width = entries["architecture"]["embedding_width"]
        weights.append(write_prompts(entries["architecture"]["text_tower"], weights, naming, width))
    card = {
        "id": card_id,
        **entries,
        "weights": weights,
        "source": _source(resources),
        **_UNKNOWN,
        **about,
    }
    from_dict(ModelCard, card, f"the card {card_id}")
    path = resources / "cards" / f"{card_id}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    atomic_text(path, json.dumps(card, indent=1, ensure_ascii=False) + "\n")
    return path


def _source(resources: Path) -> dict[str, str]:
    """The project's own weights are found wherever it is installed; others beside their card."""
    own = resources.resolve() == read_settings().resources.resolve()
    return {"kind": "shipped"} if own else {"kind": "file", "path": "../weights"}


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


def _about(options: argparse.Namespace) -> dict[str, Any]:
    about: dict[str, Any] = {}
    if options.about:
        try:
            about = json.loads(options.about.read_text(encoding="utf-8"))
        except (OSError, ValueError) as problem:
            raise InputError(f"{options.about} cannot be read", "check its name and that it is JSON") from problem
    measured = measured_entries(options.folds, options.baselines)
    return about | ({"measured": measured} if measured else {})


def main(arguments: list[str] | None = None) -> int:
    """Run the command."""
    parser = argparse.ArgumentParser(
        prog="python -m training.export",
        description=__doc__,
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("--run", type=Path, required=True, help="folder of a run of training.pretrain, or one of its checkpoints")
    add("--which", choices=("last", "best"), default="last", help="checkpoint of the run (default: last)")
    add("--id", required=True, help="name of the card, e.g. my-encoder.v1")
    add("--resources", type=Path, required=True, help="folder that receives weights/ and cards/")
    add("--about", type=Path, help="JSON with the words of the card")
    add("--folds", type=Path, nargs="*", default=[], help="figures of evaluate_segmenter on left-out cases")
    add("--baselines", type=Path, help="figures of segmenter_baselines")
    options = parser.parse_args(arguments)
    try:
        path = export(options.run, options.id, options.resources, _about(options), options.which)
    except MedFMError as problem:
        print(problem, file=sys.stderr)
        return problem.exit_code
    print(f"wrote {path}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
