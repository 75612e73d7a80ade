"""`python -m training.label_efficiency`: what pre-training is worth where few cases are labelled."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from medfm_core.errors import InputError
from medfm_core.progress import RichProgress
from training.command import GOES_ON, command, parser_of

EXAMPLES = """examples:
  organs of virtual patients with 1, 5, 20 and 100 labelled cases, by a pre-trained SPAD-ViT, the same from scratch,
  and a U-Net:
    python -m training.synthesize --out organs --count 150 --findings none
    python -m training.prepare --manifest organs/manifest.csv --store store --input training/inputs/spad-organs.yaml \\
        --preparation slices
    python -m training.label_efficiency --config training/recipes/spad/tiny-segmentation.yaml --out efficiency \\
        --data.manifest organs/manifest.csv --data.store store --objective.encoder runs/tiny-mim
  any value of the recipe may follow, e.g. --run.steps 500

--out holds a run per number of cases and start, label_efficiency.json with Dice per structure on the test volumes and
95 % intervals over their subjects, and label_efficiency.png. The same command goes on where it was stopped. The
cases of a smaller number are among those of a larger one."""


@command(GOES_ON)
def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command."""
    from training.evaluation.label_efficiency import STARTS, Sweep, draw_sweep, run_sweep, summary

    parser = parser_of("label_efficiency", __doc__, EXAMPLES)
    add = parser.add_argument
    add("--config", type=Path, action="append", required=True, help="recipe of the segmentation; later ones win")
    add("--out", type=Path, required=True, help="folder of all runs")
    add("--cases", type=int, nargs="+", default=[1, 5, 20, 100], help="labelled cases (default: 1 5 20 100)")
    add("--starts", nargs="+", choices=STARTS, default=list(STARTS), help="what is compared (default: all)")
    add("--seed", type=int, default=0, help="decides which cases (default: 0)")
    options, overrides = parser.parse_known_args(arguments)
    from training.engine.config import read_recipe

    recipe = read_recipe(options.config, overrides)
    if recipe.names["objective"] != "spad_segmentation" or recipe.names["data"] != "label_volumes":
        raise InputError("the recipe is no segmentation", "give training/recipes/spad/tiny-segmentation.yaml")
    if min(options.cases) < 1:
        raise InputError("nothing is learnt from no cases", "give numbers of at least 1")
    sweep = Sweep(recipe.plain, tuple(sorted(options.cases)), tuple(options.starts), options.seed, options.out)
    points, names = run_sweep(sweep, RichProgress())
    found = summary(points, names)
    _write(found, options.out, draw_sweep)
    for row in found["runs"]:
        print(f"{row['cases']:>5} cases  {row['start']:<14} {_told(row)}")
    return 0


def _told(row: dict[str, Any]) -> str:
    if row["dice"] is None:
        return "none of the structures is shown"
    told = f"Dice {_number(row, 'dice')}"
    return f"{told}; pre-trained is better by {_number(row, 'pretrained_lead')}" if "pretrained_lead" in row else told


def _number(row: dict[str, Any], name: str) -> str:
    ends = row[f"{name}_interval"]
    return f"{row[name]:.3f}" + (f" ({ends[0]:.3f} to {ends[1]:.3f})" if ends else "")


def _write(found: dict[str, Any], folder: Path, draw: Callable[[dict[str, Any], Path], None]) -> None:
    from medfm_core.io.atomic import atomic_text, atomic_write

    atomic_text(folder / "label_efficiency.json", json.dumps(found, indent=1) + "\n")
    with atomic_write(folder / "label_efficiency.png") as part:
        draw(found, part)


if __name__ == "__main__":
    sys.exit(main())
