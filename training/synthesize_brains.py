"""`python -m training.synthesize_brains`: make a cohort of virtual heads, T1w, T2w and FLAIR, with exact truth."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from medfm_core.errors import InputError
from medfm_core.progress import RichProgress
from training.command import GOES_ON, command, parser_of
from training.synthetic.brain.cohort import BrainCohort, make_brains
from training.synthetic.brain.contrast import SEQUENCES
from training.synthetic.brain.labelled import find_label_maps
from training.synthetic.brain.lesion_plan import KINDS
from training.synthetic.brain.subject import BrainPlan

EXAMPLES = """what a head's folder holds:
  T1w.nii.gz, T2w.nii.gz, FLAIR.nii.gz   the scans, on one grid, in MNI's directions but not registered
  labels.nii.gz    structures by FreeSurfer's numbers
  lesions.nii.gz   white matter hyperintensities, plaques, infarcts, tumours, necrosis, oedema
  truth.json       the person, kind and side of the disease, volumes, timing of each scan, and all that was asked for
manifest.csv lists the scans, one row each, for `python -m training.prepare`; its targets are lesion, kind, side,
lesion_ml, ms, stroke, tumour, white_matter_ml, atrophy, ventricles_ml, brain_ml, hippocampi_ml, age, sex, sequence.

examples:
  forty heads at 2 mm without skull, and a picture of them:
    python -m training.synthesize_brains --out brains --count 40 --preview
  half of the anatomies from label maps with FreeSurfer's numbers (such as SynthSeg's):
    python -m training.synthesize_brains --out brains --count 400 --label-maps labelmaps/ --workers 2
  healthy people and strokes, FLAIR alone, with skull and face, 1.5 mm:
    python -m training.synthesize_brains --out strokes --count 20 --kinds healthy stroke_acute stroke_chronic \\
        --sequences FLAIR --whole-head --spacing 1.5
The same command makes the same files; heads that are there already are kept, so a stopped run goes on.
"""


@command(GOES_ON)
def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command."""
    options = _parser().parse_args(arguments)
    if options.workers < 1:
        raise InputError(f"{options.workers} workers cannot work", "give at least 1")
    maps = tuple(str(path) for path in find_label_maps(options.label_maps)) if options.label_maps else ()
    plan = BrainPlan(
        spacing_mm=options.spacing,
        sequences=tuple(options.sequences),
        kinds=tuple(options.kinds),
        stripped=not options.whole_head,
        mass_effect=not options.no_mass_effect,
        quality=options.artefacts,
        label_maps=maps,
        label_map_share=options.label_map_share,
    )
    cohort = BrainCohort(options.count, options.seed, plan)
    rows = make_brains(cohort, options.out, workers=options.workers, previews=options.preview, progress=RichProgress())
    print(
        f"{options.count} virtual heads with {len(rows)} scans in {options.out}; "
        f"the list for training is {options.out / 'manifest.csv'}"
    )
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = parser_of(
        "synthesize_brains", "Make virtual heads: T1w, T2w and FLAIR of anatomies whose truth is known.", EXAMPLES
    )
    add = parser.add_argument
    add("--out", type=Path, required=True, help="folder of the cohort; made if missing")
    add("--count", type=int, default=20, help="how many heads (default: 20)")
    add("--seed", type=int, default=0, help="seed of the first head, the others follow it (default: 0)")
    add("--spacing", type=float, default=2.0, metavar="MM", help="voxel size (default: 2)")
    add("--kinds", nargs="+", default=list(KINDS), metavar="NAME",
        help=f"each head is one of these: {', '.join(KINDS)} (default: all, healthy most often)")  # fmt: skip
    add("--sequences", nargs="+", default=list(SEQUENCES), metavar="NAME",
        help=f"scans of each head (default: {' '.join(SEQUENCES)})")  # fmt: skip
    add("--whole-head", action="store_true", help="keep skull, scalp and face (default: the brain alone)")
    add("--no-mass-effect", action="store_true", help="tumours displace nothing")
    add("--artefacts", type=float, default=1.0, metavar="FACTOR",
        help="noise, uneven coil and motion: 1 as usual, 0 none (default: 1)")  # fmt: skip
    add("--label-maps", type=Path, metavar="DIR", help="folder of label maps with FreeSurfer's numbers (.nii.gz)")
    add("--label-map-share", type=float, default=0.5, metavar="SHARE",
        help="share of the heads whose anatomy comes from them (default: 0.5)")  # fmt: skip
    add("--preview", action="store_true", help="draw preview.png of every head and of the cohort")
    add("--workers", type=int, default=1, help="processes (default: 1)")
    return parser


if __name__ == "__main__":
    sys.exit(main())
