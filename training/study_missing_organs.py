"""`python -m training.study_missing_organs`: train the arms of a whole-body recipe and compare them, one table."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from medfm_core.errors import InputError
from medfm_core.progress import RichProgress
from training.command import GOES_ON, command, parser_of

ARMS = ("none", "random", "organ_drop", "attmask", "saliency")
EXAMPLES = """arms, which differ in what training hides from the student:
  none        nothing: views differ in noise alone
  random      random tokens
  organ_drop  whole organs, all alike
  attmask     the tokens that the teacher looks at most
  saliency    organs, the more probably the larger their share of the teacher's attention (a reconstruction)
Any arm can be given more keys of the recipe: sharp=saliency,objective.mask.temperature=0.03

Each arm is trained once per seed (OUT/ARM-SEED; what is trained already is kept), then diseases are read from its
frozen vectors, with every organ there, with the natural pattern of missing ones, and with 1, 2, ... organs missing.
Beside it stand covariates, imputation, complete cases, single organs, late fusion and random weights.
With --incident proportional hazards are read from the same vectors, too, and scored by their concordance.
With --recognise each study with organs missing is looked up among the whole ones.
OUT/study.md holds the tables, OUT/study.json all figures.

examples:
  a cohort, and the whole comparison over three seeds:
    python -m training.synthesize_cohort --out bodies --count 3000
    python -m training.study_missing_organs --config training/recipes/pan_fm/tiny-pretrain.yaml --out study \\
        --data.manifest bodies/manifest.csv
  two arms, one seed, fewer figures:
    python -m training.study_missing_organs --config training/recipes/pan_fm/tiny-pretrain.yaml --out quick \\
        --arms random saliency --seeds 1 --scenarios all missing --data.manifest bodies/manifest.csv --run.steps 100
The same command goes on where it was.
"""


@command(GOES_ON)
def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command."""
    from training.evaluation.missing_organs.networks import FineTuning
    from training.evaluation.missing_organs.parts import read_parts
    from training.evaluation.missing_organs.study import BASELINES, StudyConfig, run_study
    from training.evaluation.missing_organs.table import write_study

    options, overrides = _parser().parse_known_args(arguments)
    config = StudyConfig(
        tuple(options.scenarios), tuple(options.baselines or BASELINES), tuple(options.fine_tune),
        FineTuning(steps=options.fine_tune_steps), not options.no_covariates, options.reference,
        incident=options.incident,
        recognise=options.recognise,
    )  # fmt: skip
    arms, recipe = _train(options, overrides)
    progress = RichProgress()
    parts = read_parts(recipe.data, recipe.data.targets)
    result = run_study(parts, arms, config, progress)
    about = {"recipe": recipe.plain, "arms": list(options.arms), "seeds": list(options.seeds), "study": asdict(config)}
    path = write_study(result, options.out, about)
    print(f"{len(result.rows)} figures; the tables are in {path}")
    return 0


def _train(options: argparse.Namespace, overrides: list[str]) -> tuple[dict[str, list[Any]], Any]:
    """Train every arm with every seed; returns their networks by arm, and the last recipe."""
    from training.engine.config import read_recipe
    from training.engine.loop import train
    from training.engine.runs import load_run

    if not options.arms or not options.seeds:
        raise InputError("nothing is to be trained", "name at least one arm and one seed")
    arms: dict[str, list[Any]] = {}
    recipe = None
    for text in options.arms:
        name, keys = _arm(text)
        for seed in options.seeds:
            own = [*overrides, *keys, "--run.seed", str(seed)]
            recipe = read_recipe([options.config], own)
            if recipe.names["objective"] != "pan_fm":
                raise InputError(f"the recipe trains {recipe.names['objective']}", "give a recipe of pan_fm")
            outcome = train(recipe, options.out / f"{name}-{seed}")
            if outcome.stopped_by is not None:
                raise KeyboardInterrupt
            arms.setdefault(name, []).append(load_run(options.out / f"{name}-{seed}")[0].exported())
    return arms, recipe


def _arm(text: str) -> tuple[str, list[str]]:
    """Name of an arm and the recipe's keys that make it: `random`, or `sharp=saliency,objective.mask.ratio=0.3`."""
    name, _, rest = text.partition("=")
    kind, *keys = rest.split(",") if rest else [name]
    if kind not in ARMS:
        raise InputError(f"no mask is called {kind!r}", f"choose from {', '.join(ARMS)}")
    if any("=" not in key for key in keys):
        raise InputError(f"the arm {text!r} cannot be read", "write NAME=KIND,key=value")
    pairs = [part for key in keys for part in (f"--{key.split('=', 1)[0]}", key.split("=", 1)[1])]
    return name, ["--objective.mask.kind", kind, *pairs]


def _parser() -> argparse.ArgumentParser:
    from training.evaluation.missing_organs.scenarios import KINDS

    parser = parser_of(
        "study_missing_organs", "Compare ways of masking organs by what can be read from the organs that are left.",
        EXAMPLES,
    )  # fmt: skip
    add = parser.add_argument
    add("--config", type=Path, required=True, help="recipe of pan_fm (YAML); further --section.key VALUE change it")
    add("--out", type=Path, required=True, help="folder of runs and tables; made if missing")
    add("--arms", nargs="+", default=list(ARMS), metavar="ARM", help=f"masks to compare (default: {' '.join(ARMS)})")
    add("--seeds", nargs="+", type=int, default=[1, 2, 3], metavar="N", help="one training each (default: 1 2 3)")
    add("--reference", default="random", help="arm that the others are compared with (default: random)")
    add("--scenarios", nargs="+", default=list(KINDS), choices=KINDS, metavar="KIND",
        help=f"of {', '.join(KINDS)} (default: all of them)")  # fmt: skip
    add("--baselines", nargs="+", metavar="NAME", help="baselines in quotes (default: all)")
    add("--fine-tune", nargs="*", default=[], metavar="ARM",
        help="arms that are fine-tuned too; 'random weights' for training from nothing")  # fmt: skip
    add("--fine-tune-steps", type=int, default=150, help="steps of each (default: 150)")
    add("--incident", action="store_true",
        help="also say when diseases will come, from columns time.NAME and event.NAME (concordance)")  # fmt: skip
    add("--recognise", action="store_true", help="also ask whether bodies are known again when organs are missing")
    add("--no-covariates", action="store_true", help="leave out the rows with covariates beside the vectors")
    return parser


if __name__ == "__main__":
    sys.exit(main())
