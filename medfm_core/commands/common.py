"""What the commands share: arguments, the choice of progress, and how results are told."""

from __future__ import annotations

import argparse
import math
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from medfm_core import RESEARCH_USE
from medfm_core.errors import InputError
from medfm_core.settings import read_settings

if TYPE_CHECKING:
    from collections.abc import Iterable

    from medfm_core.analysis import Options
    from medfm_core.plausibility import Caution
    from medfm_core.progress import Progress

SAMPLE = ("sample", "chest_ct_3mm.nii.gz")
SAMPLE_NOTE = (
    "The sample is a scan that the shipped model was trained on: it shows how results look, not how good they are."
)


def add_output(parser: argparse.ArgumentParser) -> None:
    """--json and --quiet."""
    parser.add_argument("--json", action="store_true", help="one JSON object per line on standard output, for programs")
    parser.add_argument("--quiet", action="store_true", help="no progress, no warnings, no closing line")


def add_run(parser: argparse.ArgumentParser) -> None:
    """What `analyze` and `segment` ask alike."""
    parser.add_argument("source", nargs="*", metavar="SOURCE", help="NIfTI, NRRD or MHA file, DICOM folder or files")
    parser.add_argument("--sample", action="store_true", help="use the chest CT that comes with MedFM as SOURCE")
    add_how(parser)


def add_how(parser: argparse.ArgumentParser) -> None:
    """How a scan is read and computed."""
    how = parser.add_argument_group("how")
    how.add_argument("--model", metavar="ID", help="organ segmenter (default: the shipped one; `medfm models list`)")
    how.add_argument("--organs", metavar="LIST", type=_names, default=(), help="keep only these: liver,kidney,spine")
    how.add_argument("--series", metavar="N", help="which series of a DICOM folder: number, hash or description")
    how.add_argument(
        "--nifti-form",
        choices=("auto", "sform", "qform"),
        default="auto",
        help="which position of a NIfTI file counts (default: auto, the sform if it is usable)",
    )
    how.add_argument("--device", metavar="NAME", help="auto, cpu, cuda, cuda:1 or mps (default: auto)")
    how.add_argument("--threads", metavar="N", type=_count, help="CPU threads (default: all that may be used)")
    how.add_argument("--deterministic", action="store_true", help="the same bits on every run (fp32, slower)")
    trust = parser.add_argument_group("when MedFM doubts the input")
    trust.add_argument("--hu-offset", metavar="HU", type=_finite, default=0.0, help="add this to every voxel")
    trust.add_argument("--force", action="store_true", help="go on although it does not look like a CT in HU")
    trust.add_argument("--overwrite", action="store_true", help="allow --out to hold other files already")


def add_findings(parser: argparse.ArgumentParser) -> None:
    """What is asked of the findings model."""
    parser.add_argument(
        "--findings",
        action=argparse.BooleanOptionalAction,
        default=None,
        help="assess findings and embed the organs (default: where a findings model is there)",
    )
    parser.add_argument("--findings-model", metavar="ID", help="findings model (default: the shipped one)")
    parser.add_argument(
        "--body-model",
        metavar="ID",
        help="whole-body model, or none (default: one that takes the findings model's vectors, if it is there)",
    )
    parser.add_argument(
        "--saliency",
        nargs="+",
        default=("present",),
        metavar="NAME",
        help="findings to explain by maps on the CT's grid: present, none, or names of findings (default: present)",
    )


def check_source(args: argparse.Namespace, default_out: str) -> argparse.Namespace:
    """Complete the arguments that depend on each other.

    Raises:
        ArgumentTypeError: no input, two inputs, or no place for the results.
    """
    if args.sample and args.source:
        raise argparse.ArgumentTypeError("give a SOURCE or --sample, not both")
    if not args.sample and not args.source:
        raise argparse.ArgumentTypeError("SOURCE is missing (or give --sample)")
    if args.out is None and not args.sample:
        raise argparse.ArgumentTypeError("--out is missing")
    args.out = Path(args.out or default_out)
    return args


def source_of(args: argparse.Namespace) -> str | Path | list[str]:
    """The input: the sample, one path, or several files.

    Raises:
        InputError: the sample is not installed.
    """
    if args.sample:
        path = read_settings().resources.joinpath(*SAMPLE)
        if not path.is_file():
            raise InputError(f"the sample CT {path} is not there", "install MedFM anew, or give a CT of your own")
        return path
    return args.source[0] if len(args.source) == 1 else list(args.source)


def options_of(args: argparse.Namespace) -> Options:
    """What the arguments ask for."""
    from medfm_core.analysis import Options

    return Options(
        card_id=args.model,
        device=args.device or read_settings().device,
        series=args.series,
        nifti_form=args.nifti_form,
        force=args.force,
        hu_offset=args.hu_offset,
        deterministic=args.deterministic,
        threads=args.threads,
        organs=args.organs,
        overwrite=args.overwrite,
    )


def begin(args: argparse.Namespace) -> Progress:
    """Say what this is for, and choose where progress goes."""
    from medfm_core import progress

    print(RESEARCH_USE, file=sys.stderr)
    if args.sample and not (args.json or args.quiet):
        print(SAMPLE_NOTE, file=sys.stderr)
    if args.json:
        return progress.JsonLines()
    return progress.Silent() if args.quiet else progress.RichProgress()


def tell_cautions(args: argparse.Namespace, cautions: Iterable[Caution]) -> None:
    """Warnings on stderr, one line each; programs find them in the result line."""
    if args.json or args.quiet:
        return
    for caution in cautions:
        print(f"warning: {caution.sentence.rstrip('.')}.", file=sys.stderr)


def print_facts(facts: Iterable[tuple[str, str | Iterable[str]]]) -> None:
    """Print facts under their labels, one line each or several."""
    for label, value in facts:
        for index, line in enumerate([value] if isinstance(value, str) else value):
            print(f"{label if index == 0 else '':<14}{line}")


def _names(text: str) -> tuple[str, ...]:
    names = tuple(name.strip() for name in text.split(",") if name.strip())
    if not names:
        raise argparse.ArgumentTypeError("give at least one name")
    return names


def _count(text: str) -> int:
    try:
        value = int(text)
    except ValueError:
        value = 0
    if value < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of at least 1")
    return value


def _finite(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value) or abs(value) > 1e5:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of HU")
    return value
