"""The part of `medfm analyze` that takes brain MRI: its options, when it is meant, and how it is told."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from medfm_core.commands import common
from medfm_core.errors import InputError
from medfm_core.settings import read_settings

if TYPE_CHECKING:
    from medfm_core.brain_study import BrainOptions
    from medfm_core.progress import Progress

STRIPPERS = ("auto", "synthstrip", "hd-bet")
_FOR_CT = (
    ("organs", "--organs"), ("hu_offset", "--hu-offset"), ("findings", "--findings"),
    ("findings_model", "--findings-model"), ("sample", "--sample"), ("force", "--force"),
    ("deterministic", "--deterministic"), ("body_model", "--body-model"),
)  # fmt: skip
_FOR_BRAINS = (("sequence", "--sequence"), ("register", "--register"), ("template", "--template"), ("strip", "--strip"))


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of brain MRI."""
    brain = add_study_arguments(parser)
    brain.add_argument("--sequence", metavar="LIST", type=_names, default=(),
                       help="T1w, T2w or FLAIR, one for each SOURCE (default: by their names)")  # fmt: skip


def add_study_arguments(parser: argparse.ArgumentParser) -> argparse._ArgumentGroup:
    """Declare those that do not depend on how many scans there are; the group."""
    brain = parser.add_argument_group("brain MRI")
    brain.add_argument("--modality", choices=("CT", "MR"), type=str.upper,
                       help="what the input is, where its file does not say it")  # fmt: skip
    brain.add_argument("--register", action="store_true", help="register each scan to an MNI template")
    brain.add_argument("--template", metavar="FILE", help="that template, stripped (default: that of FSL or nilearn)")
    brain.add_argument("--strip", nargs="?", const="auto", choices=STRIPPERS, metavar="TOOL",
                       help="take the skull away by hd-bet or synthstrip, if one is installed")  # fmt: skip
    return brain


def is_meant(args: argparse.Namespace) -> bool:
    """Whether the inputs are brain MRI rather than a CT.

    Raises:
        InputError: the options contradict each other, or the input cannot be read.
    """
    from medfm_core.brain_meant import Meant, is_brain

    asked = tuple(option for name, option in _FOR_BRAINS if getattr(args, name))
    sources = () if args.sample else tuple(args.source)
    return is_brain(Meant(sources, args.modality, args.model, asked, args.series, args.nifti_form))


def is_asked(args: argparse.Namespace) -> bool:
    """Whether the options alone say that the inputs are brain MRI.

    Raises:
        InputError: the options contradict each other.
    """
    from medfm_core.brain_meant import Meant, is_brain

    asked = tuple(option for name, option in _FOR_BRAINS if getattr(args, name))
    return is_brain(Meant((), args.modality, args.model, asked))


def options_of(args: argparse.Namespace) -> BrainOptions:
    """What the arguments ask for.

    Raises:
        InputError: an option is for CT, or is of no use without another.
    """
    for name, option in _FOR_CT:
        if getattr(args, name):
            raise InputError(f"{option} is for CT, not for brain MRI", "leave it out")
    if not set(args.saliency) <= {"present", "none"}:
        raise InputError(f"{args.saliency[0]!r} is no saliency of brain MRI", "give none, or leave it out")
    if args.template and not args.register:
        raise InputError("--template names a template that nothing is registered to", "add --register")
    from medfm_core.brain_study import BrainOptions

    return BrainOptions(
        card_id=args.model, device=args.device or read_settings().device, sequences=args.sequence, series=args.series,
        nifti_form=args.nifti_form, strip=args.strip, register=args.register, template=args.template,
        saliency="none" not in args.saliency, threads=args.threads, overwrite=args.overwrite,
    )  # fmt: skip


def run(args: argparse.Namespace, progress: Progress) -> int:
    """Analyse and say where the results are.

    Raises:
        MedFMError: an option is for CT, or the analysis failed.
    """
    options = options_of(args)
    from medfm_core.brain_pipeline import analyze_brain
    from medfm_core.brain_results import REPORT, files_of

    study = analyze_brain(args.source, args.out, options, progress=progress)
    seconds = sum(study.seconds.values())
    names = [scan.name for scan in study.scans]
    if args.json:
        warnings = [{"code": c.code, "sentence": c.sentence} for c in study.cautions]
        files = {name: str(Path(args.out) / name) for name in files_of(study)}
        progress.event(
            "result", out=str(args.out), files=files, scans=names, model=study.card.id, warnings=warnings,
            seconds=round(seconds, 2),
        )  # fmt: skip
    common.tell_cautions(args, study.cautions)
    if not args.json and not args.quiet:
        print(f"{', '.join(names)} encoded by {study.card.id} in {seconds:.0f} s: {args.out / REPORT}")
    return 0


def _names(text: str) -> tuple[str, ...]:
    return tuple(name.strip() for name in text.split(",") if name.strip())
