"""`python -m training.synthesize_cohort`: make a cohort of virtual whole bodies, organs measured and diseases known."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from medfm_core.progress import RichProgress
from training.command import command, parser_of
from training.synthetic.health import DISEASES
from training.synthetic.missing_organs import MECHANISMS
from training.synthetic.whole_body_cohort import WholeBodyPlan, make_whole_bodies, organ_specs

EXAMPLES = """Eight latent health factors drive seven organs and 13 disease categories ({diseases}).
Brain and adipose tissue come as vectors, as encoders would give them; the other organs as tables of phenotypes.
Adipose tissue is planted as the dominant organ: most tokens, by far the most variance, little to say of any disease.

manifest.csv has a row per subject: organs (those that were imaged), feature.ORGAN.FIELD, feature.age, feature.sex,
info.site, target.DISEASE, time.DISEASE and event.DISEASE (years to a later diagnosis, or to the end of follow-up), and
split; organs/SUBJECT.safetensors holds the vectors. The data source organ_sets reads it.

examples:
  three thousand subjects whose organs are missing the more often the more ill they are:
    python -m training.synthesize_cohort --out bodies --count 3000
  the same with images of three organs, and a whole-body model that reads them instead of their tables:
    python -m training.synthesize_cohort --out bodies --count 3000 --images
    python -m training.pretrain --config training/recipes/pan_fm/tiny-telling.yaml --out runs/images \
        --data.manifest bodies/manifest.csv --data.architecture images --model.size images
  organs missing by chance alone, in four of ten subjects each:
    python -m training.synthesize_cohort --out bodies --count 3000 --missing mcar --rate 0.4
The same command makes the same files.
"""


@command()
def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command."""
    options = _parser().parse_args(arguments)
    plan = WholeBodyPlan(
        options.count, options.seed, options.missing, options.rate, not options.test_as_found, options.images
    )
    manifest = make_whole_bodies(plan, options.out, RichProgress())
    print(f"{plan.count} virtual bodies in {options.out}; the list for training is {manifest}")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = parser_of(
        "synthesize_cohort",
        "Make virtual whole bodies: organs measured, diseases known, organs missing for a reason or for none.",
        EXAMPLES.replace("{diseases}", ", ".join(DISEASES)),
    )
    add = parser.add_argument
    add("--out", type=Path, required=True, help="folder of the cohort; made if missing")
    add("--count", type=int, default=3000, help="how many subjects (default: 3000)")
    add("--seed", type=int, default=0, help="decides everything (default: 0)")
    add("--missing", choices=MECHANISMS, default="mnar",
        help="none; mcar, by chance; mnar, the more often the more ill (default: mnar)")  # fmt: skip
    add("--rate", type=float, default=0.25, metavar="SHARE",
        help=f"share of the subjects that lack each of the {len(organ_specs())} organs (default: 0.25)")  # fmt: skip
    add("--images", action="store_true",
        help="also draw heart, liver, kidneys as volumes, from what was measured, for the size `images`")  # fmt: skip
    add("--test-as-found", action="store_true",
        help="let subjects of the test split lack organs too (default: they are complete)")  # fmt: skip
    return parser


if __name__ == "__main__":
    sys.exit(main())
