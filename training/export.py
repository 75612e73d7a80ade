"""`python -m training.export`: turn a run's weights into safetensors and a model card, never pickle."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from medfm_core.card_library import load_card
from medfm_core.cards import ModelCard
from medfm_core.io.atomic import atomic_text
from medfm_core.settings import read_settings
from medfm_core.strict import from_dict
from training.card_figures import findings_entry, read_json, segmenter_entries
from training.command import command, parser_of

EXAMPLES = """examples:
  an encoder, to be used by `training.probe --card` or to be shared:
    python -m training.export --run runs/videomae --id my-encoder.v1 --about about.json --resources my-resources
  the shipped organ segmenter, with the figures of its folds:
    python -m training.export --run runs/fine --id organ-segmenter-tiny.v2 --resources Resources \\
        --about training/recipes/segmenter/about.json --folds fold-a.json fold-b.json --baselines baselines.json
  the shipped findings model, with its figures and thresholds:
    python -m training.export --run runs/tiny-contrast-again --id totalfm-tiny.v2 --resources Resources \\
        --about training/recipes/totalfm/about.json --figures figures.json --calibration calibration.json
  a whole-body model, for `medfm analyze` beside the encoder that made its vectors:
    python -m training.export --run runs/pan-fm-ct --id pan-fm-ct.v1 --resources Resources \
        --about training/recipes/pan_fm/about.json

about.json holds the card's words: licence, trained_on (data with their licences), intended_use, limits, and whatever
else a card may say; without it, the card says that nothing is stated. Weights are the running average where the run
kept one. Commands take the card by its path, e.g. `training.probe --card my-resources/cards/my-encoder.v1.json`."""
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
    from training.body_entries import body_network
    from training.card_entries import card_entries
    from training.engine.runs import load_run
    from training.export_parts import Naming, write_parts, write_prompts

    objective, recipe, step = load_run(run, which)
    entries = card_entries(objective, recipe)
    naming = Naming(resources / "weights", card_id, f"{recipe.digest} step {step}")
    weights = write_parts(body_network(objective.exported(), recipe), naming)
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


def _about(options: argparse.Namespace) -> dict[str, Any]:
    """The card's words, figures and thresholds, from the files that the command names."""
    about = read_json(options.about) if options.about else {}
    measured = segmenter_entries(options.folds, options.baselines)
    measured += [findings_entry(path) for path in options.figures]
    if measured:
        about["measured"] = [*about.get("measured", ()), *measured]
    if options.calibration:
        about["findings"] = read_json(options.calibration)
    return about


@command()
def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command."""
    parser = parser_of("export", __doc__, EXAMPLES)
    add = parser.add_argument
    add("--run", type=Path, required=True, help="folder of a run of training.pretrain, or one of its checkpoints")
    add("--which", choices=("last", "best"), default="last", help="checkpoint of the run (default: last)")
    add("--id", required=True, help="name of the card, e.g. my-encoder.v1")
    add("--resources", type=Path, required=True, help="folder that receives weights/ and cards/")
    add("--about", type=Path, help="JSON with the words of the card")
    add("--folds", type=Path, nargs="*", default=[], help="figures of evaluate_segmenter on left-out cases")
    add("--baselines", type=Path, help="figures of segmenter_baselines")
    add("--push", metavar="OWNER/NAME", help="also publish it on this repository of the Hugging Face Hub, yours")
    add("--public", action="store_true", help="a repository that --push makes is for everybody (default: private)")
    add(
        "--figures",
        type=Path,
        nargs="*",
        default=[],
        help="figures of evaluate_findings",
    )
    add("--calibration", type=Path, help="thresholds that evaluate_findings chose")
    options = parser.parse_args(arguments)
    path = export(options.run, options.id, options.resources, _about(options), options.which)
    print(f"wrote {path}")
    card = load_card(path)
    if card.task == "whole_body_embedding" and not card.input.body:
        print("it does not say what makes its organs' values: no organs.json lies beside the run's manifest, and "
              "`medfm analyze` cannot use it", file=sys.stderr)  # fmt: skip
    if options.push:
        from training.publish import publish, tell

        tell(publish(card, options.push, options.public))
    return 0


if __name__ == "__main__":
    sys.exit(main())
