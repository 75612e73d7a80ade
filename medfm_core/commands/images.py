"""What `embed` and `reconstruct` share: commands for images of any kind."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from medfm_core import RESEARCH_USE
from medfm_core.settings import read_settings

if TYPE_CHECKING:
    import torch

    from medfm_core.progress import Progress

TAKES = """Inputs are NIfTI, NRRD and MHA files, DICOM folders and files, and pictures (PNG, JPEG, BMP): CT, MR, X-ray,
ultrasound or anything else that is grey; volumes of any slice thickness, and single images."""
_ENDINGS = (".nii.gz", ".seg.nrrd")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what both commands ask."""
    how = parser.add_argument_group("how")
    how.add_argument("--model", metavar="ID", help="id or path of a model card (default: the installed one)")
    how.add_argument("--modality", metavar="NAME", type=_modality,
                     help="what the input is, where its file does not say it: CT, MR, PT, CR, DX, US, or OT for "
                     "anything else")  # fmt: skip
    how.add_argument("--series", metavar="N", help="which series of a DICOM folder: number, hash or description")
    how.add_argument("--device", metavar="NAME", help="auto, cpu, cuda, cuda:1 or mps (default: auto)")
    parser.add_argument("--json", action="store_true", help="one JSON object per line on standard output, for programs")
    parser.add_argument("--quiet", action="store_true", help="no progress, no closing line")


def begin(args: argparse.Namespace) -> Progress:
    """Say what this is for, and choose where progress goes."""
    from medfm_core import progress

    print(RESEARCH_USE, file=sys.stderr)
    if args.json:
        return progress.JsonLines()
    return progress.Silent() if args.quiet else progress.RichProgress()


def device_of(args: argparse.Namespace) -> torch.device:
    """The device that is asked for.

    Raises:
        ResourceError: it is not there.
    """
    from medfm_core.inference.devices import choose_device

    return choose_device(args.device or read_settings().device)


def made(folder: Path) -> Path:
    """A folder, made if it is missing.

    Raises:
        InputError: it cannot be made.
    """
    from medfm_core.io.atomic import write_error

    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise write_error(error, folder) from error
    return folder


def places(sources: list[str], out: Path) -> list[Path]:
    """Where the results of each input go: the folder itself for one, else a folder in it named after the input."""
    if len(sources) == 1:
        return [out]
    found: list[Path] = []
    for source in sources:
        name = Path(source).absolute().name
        stem = next((name.removesuffix(end) for end in _ENDINGS if name.lower().endswith(end)), Path(name).stem)
        place, number = out / (stem or "image"), 2
        while place in found:
            place, number = out / f"{stem}_{number}", number + 1
        found.append(place)
    return found


def _modality(text: str) -> str:
    from medfm_core.card_inputs import MODALITIES

    if text.upper() not in MODALITIES:
        raise argparse.ArgumentTypeError(f"{text!r} is no modality; choose one of {', '.join(MODALITIES)}")
    return text.upper()
