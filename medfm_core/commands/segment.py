"""`medfm segment`: the organs of one CT as a label map, and nothing else."""

from __future__ import annotations

import argparse

from medfm_core.commands import common

NAME = "segment"
HELP = "the organs of one CT as a label map"
ABOUT = """Outline the organs of a CT and write the label map on the CT's own grid, with the names of the labels inside.
The ending of --out chooses the format: .nii.gz, .nii, .nrrd, or .seg.nrrd (opens in 3D Slicer as a segmentation).
Numbers are the same for every model (5 is always the liver). Research use only."""
EPILOG = """examples:
  medfm segment ct.nii.gz --out organs.nii.gz
  medfm segment dicom_folder --out organs.seg.nrrd
  medfm segment ct.nii.gz --out liver.nii.gz --organs liver"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("--out", metavar="FILE", help="label map to write")
    common.add_run(parser)
    common.add_output(parser)
    parser.set_defaults(check=lambda args: common.check_source(args, "medfm-sample.nii.gz"))


def run(args: argparse.Namespace) -> int:
    """Segment and say where the label map is."""
    progress = common.begin(args)
    from medfm_core.pipeline import segment_file

    analysis = segment_file(common.source_of(args), args.out, common.options_of(args), progress=progress)
    seconds = sum(analysis.seconds.values())
    if args.json:
        warnings = [{"code": c.code, "sentence": c.sentence} for c in analysis.cautions]
        progress.event("result", out=str(args.out), warnings=warnings, seconds=round(seconds, 2))
    common.tell_cautions(args, analysis.cautions)
    if not args.json and not args.quiet:
        print(f"{len(analysis.segmentation.covered)} kinds of structure looked for in {seconds:.0f} s: {args.out}")
    return 0
