"""`medfm reconstruct`: what the tokenizer keeps of an image."""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from medfm_core.commands import images

if TYPE_CHECKING:
    from medfm_core.reconstruction import ImageTokenizer, Reconstruction
    from medfm_core.volume import Volume

NAME = "reconstruct"
HELP = "an image as its tokens, and drawn again from them"
ABOUT = f"""Show what a tokenizer keeps of an image: the image is named by soft tokens and drawn again from them alone.
{images.TAKES}
The folder gets
  reconstruction.nii.gz  the image drawn again, on the input's own grid, in its units
  tokens.nii.gz          the number of the likeliest token at each voxel, from 1; 0 where the tokenizer saw nothing
  reconstruction.png     input, reconstruction, difference and tokens side by side
  reconstruct.json       the figures (PSNR, tokens in use), and what was run
Research use only."""
EPILOG = """examples:
  medfm reconstruct ct.nii.gz --out drawn
  medfm reconstruct chest.png --out drawn
  medfm reconstruct brain.nii.gz --modality MR --model my-tokenizer.v1.json --out drawn"""
SCHEMA = "medfm.reconstruct.v1"
DRAWN, TOKENS, PICTURE, MANIFEST = "reconstruction.nii.gz", "tokens.nii.gz", "reconstruction.png", "reconstruct.json"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("source", metavar="IN", help="image file, or DICOM folder")
    parser.add_argument("--out", metavar="DIR", type=Path, required=True, help="folder for the results")
    images.add_arguments(parser)
    parser.set_defaults(check=lambda args: args)


def run(args: argparse.Namespace) -> int:
    """Reconstruct, write the folder, and say how near it came."""
    progress = images.begin(args)
    from medfm_core.image_source import open_image
    from medfm_core.reconstruction import load_image_tokenizer, reconstruct_image

    begun = time.perf_counter()
    tokenizer = load_image_tokenizer(args.model, images.device_of(args))
    image = open_image(args.source, args.modality, args.series)
    found = reconstruct_image(image, tokenizer, progress)
    facts = _figures(found)
    _write(image, found, images.made(args.out))
    facts["seconds"] = round(time.perf_counter() - begun, 2)
    _write_manifest(tokenizer, image, facts, args.out)
    if args.json:
        progress.event("result", out=str(args.out), **facts)
    elif not args.quiet:
        print(
            f"PSNR {found.psnr_db:.1f} dB (an image of one value: {found.flat_psnr_db:.1f} dB), "
            f"{found.distinct_tokens} tokens in use, degree of anisotropy {found.degree}: {args.out / PICTURE}"
        )
    return 0


def _write(image: Volume, found: Reconstruction, folder: Path) -> None:
    """Bring both maps onto the input's grid and write them with the picture; each appears whole or not at all."""
    import numpy as np

    from medfm_core.io import atomic_write, write_labels, write_scalar
    from medfm_core.reconstruction_picture import draw_reconstruction
    from medfm_core.volume import Kind, resample_to

    drawn = resample_to(found.drawn, image.grid, fill=float(found.image.voxels.min()), antialias=False)
    write_scalar(image.with_voxels(drawn.voxels), folder / DRAWN)
    tokens = resample_to(found.tokens, image.grid)
    names = {int(number): f"token {number}" for number in np.unique(tokens.voxels) if number}
    write_labels(image.with_voxels(tokens.voxels, Kind.LABEL), folder / TOKENS, names)
    with atomic_write(folder / PICTURE) as part:
        draw_reconstruction(found, part)


def _figures(found: Reconstruction) -> dict[str, Any]:
    return {
        "psnr_db": round(found.psnr_db, 3),
        "flat_psnr_db": round(found.flat_psnr_db, 3),
        "effective_tokens": round(found.effective_tokens, 4),
        "distinct_tokens": found.distinct_tokens,
        "degree": found.degree,
        "grid": list(found.image.shape),
        "spacing_mm": [round(step, 4) for step in found.image.spacing],
    }


def _write_manifest(tokenizer: ImageTokenizer, image: Volume, facts: dict[str, Any], folder: Path) -> None:
    from medfm_core import RESEARCH_USE, __version__
    from medfm_core.io.atomic import atomic_text

    card = tokenizer.card
    data = {
        "schema": SCHEMA,
        "notice": RESEARCH_USE,
        "software": {"medfm": __version__},
        "model": {"card": card.id, "card_sha256": card.digest, "weights_sha256": card.sha256_of("weights")},
        "input": {"format": image.meta.get("format"), "modality": image.modality, "shape": list(image.shape)},
        "files": [DRAWN, TOKENS, PICTURE],
        **facts,
    }
    atomic_text(folder / MANIFEST, json.dumps(data, indent=1) + "\n")
