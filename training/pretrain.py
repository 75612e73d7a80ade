"""`python -m training.pretrain`: train any recipe of the project; a run that was stopped goes on where it was."""

from __future__ import annotations

import argparse
import logging
import sys
from pathlib import Path
from typing import Any

import yaml

from medfm_core.allocator import keep_freed_blocks
from medfm_core.errors import MedFMError

RECIPES = Path(__file__).parent / "recipes"
EXAMPLES = """examples:
  a recipe of training/recipes, with one value changed:
    python -m training.pretrain --config training/recipes/totalfm/tiny-videomae.yaml --out runs/videomae --optim.lr 3e-4
  see every value that a recipe decides, defaults filled in:
    python -m training.pretrain --config RECIPE.yaml --print_config
  see every key of a recipe, with its meaning:
    python -m training.pretrain --config RECIPE.yaml --help
  several processes on one machine (the batches stay the same):
    torchrun --nproc-per-node 4 -m training.pretrain --config RECIPE.yaml --out runs/one

The same command again goes on from the newest checkpoint (--resume auto). Ctrl-C and SIGTERM write a checkpoint first.
`python -m training.plot RUN` draws the course of a run."""


def build_parser() -> argparse.ArgumentParser:
    """Make the parser of what is not a recipe's key."""
    parser = argparse.ArgumentParser(
        prog="python -m training.pretrain",
        description=__doc__,
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        add_help=False,
    )
    parser.add_argument("--help", "-h", action="store_true", help="show this, and all keys of the recipe given")
    parser.add_argument("--config", type=Path, action="append", default=[], help="recipe (YAML); later ones win")
    parser.add_argument("--out", type=Path, help="folder of the run (default: runs/NAME of the last recipe)")
    parser.add_argument("--resume", choices=("auto", "never"), default="auto", help="go on from the newest checkpoint")
    parser.add_argument("--print_config", action="store_true", help="print the resolved recipe and stop")
    parser.add_argument("--section.key VALUE", dest="_", help="any key of the recipe, e.g. --run.steps 100")
    return parser


def main(arguments: list[str] | None = None) -> int:
    """Run the command."""
    parser = build_parser()
    options, overrides = parser.parse_known_args(arguments)
    keep_freed_blocks()
    try:
        return _run(parser, options, overrides)
    except MedFMError as problem:
        print(problem, file=sys.stderr)
        return problem.exit_code


def _run(parser: argparse.ArgumentParser, options: argparse.Namespace, overrides: list[str]) -> int:
    from training.engine.config import read_recipe

    if options.help:
        parser.print_help()
        if options.config:
            _print_keys(read_recipe(options.config, overrides))
        else:
            print(f"\nrecipes: {', '.join(sorted(str(p.relative_to(RECIPES)) for p in RECIPES.rglob('*.yaml')))}")
        return 0
    recipe = read_recipe(options.config, overrides)
    if options.print_config:
        print(yaml.safe_dump(recipe.plain, sort_keys=False), end="")
        return 0
    from training.engine.loop import train
    from training.engine.processes import leave

    logging.basicConfig(format="%(message)s", level=logging.WARNING)
    folder = options.out or Path("runs") / (options.config[-1].stem if options.config else recipe.names["objective"])
    outcome = train(recipe, folder, options.resume)
    leave()
    if outcome.stopped_by is not None:
        print(f"stopped at step {outcome.step} of {recipe.run.steps}; the same command goes on from here")
        return 128 + outcome.stopped_by
    print(f"{outcome.step} steps done; the run is in {folder}")
    return 0


def _print_keys(recipe: Any) -> None:
    """Show a table of the recipe's keys."""
    from rich.console import Console
    from rich.table import Table

    from training.engine.config import describe_keys

    table = Table("key", "value", "meaning", box=None, pad_edge=False)
    for row in describe_keys(recipe):
        table.add_row(row[0], row[1] if len(row[1]) <= 40 else row[1][:37] + "...", row[2])
    Console(markup=False).print("\nkeys of this recipe:\n", table, sep="")


if __name__ == "__main__":
    sys.exit(main())
