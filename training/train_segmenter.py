"""`python -m training.train_segmenter`: train the organ segmenter by a recipe."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from medfm_core.errors import InputError, MedFMError
from medfm_core.progress import SILENT, Progress, RichProgress
from training.data.labelled_case import LabelledCase, load_case
from training.data.segmenter_cases import read_case_list, real_case, virtual_cases
from training.segmenter_recipe import SegmenterRecipe, read_recipe
from training.segmenter_training import SegmenterTraining

RECIPES = Path(__file__).parent / "recipes" / "segmenter"
EXAMPLES = """examples:
  the shipped weights (start on virtual patients, then both labelled scans):
    python -m training.train_segmenter --config training/recipes/segmenter/virtual.yaml --out runs/virtual
    python -m training.train_segmenter --config training/recipes/segmenter/real.yaml --data DATA \\
        --virtual runs/virtual/patients --start-from runs/virtual/state.safetensors --out runs/all
  a fold that never sees one patient:
    ... --leave-out abdopelvis_TSexample --out runs/without-abdopelvis
A run that was stopped goes on where its last checkpoint is when the same command is given again."""


def gather_cases(
    options: argparse.Namespace, recipe: SegmenterRecipe, progress: Progress = SILENT
) -> dict[str, list[LabelledCase]]:
    """Read or make the cases of all groups that the options name.

    Raises:
        InputError: nothing to train on, or a case named to be left out is not in the list.
    """
    cases: dict[str, list[LabelledCase]] = {"real": [], "pseudo": [], "virtual": []}
    if options.data:
        listed = read_case_list(options.cases, options.data)
        if options.leave_out and options.leave_out not in {case.name for case in listed}:
            raise InputError(f"no case is called {options.leave_out!r}", f"name one of {options.cases}")
        kept = [case for case in listed if case.name != options.leave_out]
        cases["real"] = [real_case(case, recipe.classes, recipe.input) for case in kept if case.role == "real"]
    if options.pseudo:
        cases["pseudo"] = [load_case(path) for path in sorted(options.pseudo.glob("*.npz"))]
    count = options.virtual_count if options.virtual_count is not None else recipe.virtual_patients
    if count:
        folder = options.virtual or options.out / "patients"
        cases["virtual"] = virtual_cases(count, recipe.classes, recipe.input, folder, options.workers, progress)
    if not any(cases.values()):
        raise InputError("there is nothing to train on", "give --data, or a recipe with virtual_patients")
    return cases


def main(arguments: list[str] | None = None) -> int:
    """Run the command."""
    parser = argparse.ArgumentParser(
        prog="python -m training.train_segmenter",
        description=__doc__,
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--config", type=Path, required=True, help="recipe (YAML)")
    parser.add_argument("--out", type=Path, required=True, help="folder of the run: state, log, virtual patients")
    parser.add_argument("--data", type=Path, help="folder that the case list's paths start from")
    parser.add_argument("--cases", type=Path, default=RECIPES / "cases.csv", help="case list (CSV)")
    parser.add_argument("--leave-out", help="name of a case that this run must not see")
    parser.add_argument("--pseudo", type=Path, help="folder of cases labelled by training.pseudo_label")
    parser.add_argument("--virtual", type=Path, help="folder of virtual patients made before (default: OUT/patients)")
    parser.add_argument("--virtual-count", type=int, help="how many virtual patients (default: the recipe's)")
    parser.add_argument("--start-from", type=Path, help="state.safetensors whose averaged net to start from")
    parser.add_argument("--workers", type=int, default=2, help="processes that make virtual patients")
    options = parser.parse_args(arguments)
    progress = RichProgress()
    try:
        recipe = read_recipe(options.config)
        training = SegmenterTraining(recipe, options.out, options.start_from)
        training.run(gather_cases(options, recipe, progress), progress)
    except MedFMError as problem:
        print(problem, file=sys.stderr)
        return problem.exit_code
    print(f"{training.step} steps done; weights and optimiser are in {options.out / 'state.safetensors'}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
