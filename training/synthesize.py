"""`python -m training.synthesize`: make a cohort of virtual patients with exact ground truth."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from medfm_core.errors import InputError
from medfm_core.progress import RichProgress
from training.command import GOES_ON, command
from training.synthetic.anatomy import REGIONS
from training.synthetic.cohort import CohortPlan, make_cohort
from training.synthetic.contrast import PHASES
from training.synthetic.lesions import KINDS

EPILOG = """what a patient's folder holds:
  image.nii.gz    the CT, int16 HU, with the scanner's noise, table and field of view
  organs.nii.gz   organ labels (ids and names of the vocabulary; 5 is always liver)
  lesions.nii.gz  which lesion each voxel belongs to (0 none; truth.json says which finding has which number)
  report.txt      a radiology report on it, in our own words
  truth.json      organ volumes, findings (kind, organ, side, size, lesion numbers), every report sentence with what it
                  says (present, absent, uncertain, normal, background), and all that was drawn
cohort.csv lists the patients: subject, study, path, modality, labels, lesions, split, region, phase, organs,
findings, text. manifest.csv is the same for `python -m training.prepare`, with a target column per kind of finding
(1, 0, or empty where the scan cannot show it) and healthy, lesions (their number), sex and phase. statements.jsonl
holds every finding with its place and every sentence of the reports with what it says, for training with text.

examples:
  twenty torsos with random findings, and a picture of them:
    python -m training.synthesize --out cohort --count 20 --preview
  a hundred chests and abdomens at 2 mm on four cores:
    python -m training.synthesize --out cohort --count 100 --spacing 2 --region chest abdomen --workers 4
  five livers with metastases in the portal venous phase, 5 mm slices:
    python -m training.synthesize --out mets --count 5 --region abdomen --findings liver_metastases \\
        --phase portal_venous --thickness 5
  patients with twice as many findings as usual, to learn from:
    python -m training.synthesize --out rich --count 500 --prevalence 2
  healthy patients:
    python -m training.synthesize --out healthy --count 10 --findings none
The same command makes the same files; patients that are there already are kept, so a stopped run goes on.

findings: {kinds}
"""  # fmt: skip


@command(GOES_ON)
def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command."""
    options = _parser().parse_args(arguments)
    plan = CohortPlan(
        options.count, options.seed, options.spacing, tuple(options.region), _findings(options.findings),
        options.phase, options.thickness, options.prevalence,
    )  # fmt: skip
    if options.workers < 1:
        raise InputError(f"{options.workers} workers cannot work", "give at least 1")
    rows = make_cohort(plan, options.out, workers=options.workers, previews=options.preview, progress=RichProgress())
    print(f"{len(rows)} virtual patients in {options.out}; the list for training is {options.out / 'manifest.csv'}")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m training.synthesize",
        description="Make virtual patients: CT bodies whose organs, lesions and report sentences are exactly known.",
        epilog=EPILOG.replace("{kinds}", ", ".join(sorted(KINDS))),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("--out", type=Path, required=True, help="folder of the cohort; made if missing")
    add("--count", type=int, default=20, help="how many patients (default: 20)")
    add("--seed", type=int, default=0, help="seed of the first patient, the others follow it (default: 0)")
    add("--spacing", type=float, default=3.0, metavar="MM", help="voxel size (default: 3)")
    add("--region", nargs="+", default=["torso"], choices=REGIONS, metavar="NAME",
        help=f"scanned range, of several each patient gets one: {', '.join(REGIONS)} (default: torso)")  # fmt: skip
    add("--findings", nargs="+", default=["random"], metavar="NAME",
        help="random, none, or the kinds that every patient shall have (listed below)")  # fmt: skip
    add("--prevalence", type=float, default=1.0, metavar="FACTOR",
        help="how much more often than usual a random patient has each finding (default: 1)")  # fmt: skip
    add("--phase", choices=PHASES, help="contrast phase (default: drawn per patient)")
    add("--thickness", type=float, metavar="MM", help="slice thickness (default: the voxel size)")
    add("--preview", action="store_true", help="draw preview.png of every patient and of the cohort")
    add("--workers", type=int, default=1, help="processes (default: 1)")
    return parser


def _findings(words: list[str]) -> str | tuple[str, ...]:
    if words == ["random"]:
        return "random"
    return () if words == ["none"] else tuple(words)


if __name__ == "__main__":
    sys.exit(main())
