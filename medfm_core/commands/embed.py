"""`medfm embed`: one vector for an image of any kind."""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from medfm_core.commands import images

if TYPE_CHECKING:
    from medfm_core.brain_encoding import BrainEncoder
    from medfm_core.embedding import StudyEmbedding
    from medfm_core.image_embedding import EncodedImage, ImageEncoder
    from medfm_core.image_saliency import ImageSaliency
    from medfm_core.progress import Progress
    from medfm_core.volume import Volume

NAME = "embed"
HELP = "one vector for any image, to compare it with others"
ABOUT = f"""Turn images into vectors that can be compared: what MedFM has for images that no specific model covers.
{images.TAKES}
Each result is a folder with
  embeddings.safetensors  the vector of the study, of length 1
  embeddings.json         which model made it; `medfm similar` reads the two
  embed.json              what was run on what: model, hashes, spacing, degree of anisotropy, seconds
and with --saliency
  saliency.nii.gz         what the vector depends on, from 0 to 1, on the input's own grid; 0 where nothing was encoded
  saliency.png            the same as a picture: three planes through the highest place, or the one image
The map shares out among the tokens (16 pixels wide) what brings the vector to where it is from that of the image
blurred away (integrated gradients of the cosine). It says which parts made the vector, not what is abnormal; `at_stake`
in embed.json is the cosine that is shared out: where it is near 0, the map says nothing. Takes about thirty times as
long.
With several inputs, --out holds one such folder for each, named after the input. A model for brain MRI takes scans that
are stripped of the skull and in MNI space (`medfm analyze --strip --register` prepares them). Research use only."""
EPILOG = """examples:
  medfm embed ct.nii.gz --out vectors/case1
  medfm embed *.nii.gz chest.png --out vectors
  medfm embed knee.nii.gz --modality MR --out vectors/knee
  medfm embed chest.png --saliency --out vectors/chest     where does its vector come from?
  medfm embed brains/*.nii.gz --model neuro-jepa.v1 --out vectors      or brainiac.v1
  medfm similar vectors/case1 --in vectors                 which images are most like case1?"""
SCHEMA = "medfm.embed.v1"
MANIFEST, SALIENCY, PICTURE = "embed.json", "saliency.nii.gz", "saliency.png"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("source", nargs="+", metavar="IN", help="image file, or DICOM folder")
    parser.add_argument("--out", metavar="DIR", type=Path, required=True, help="folder for the results")
    parser.add_argument("--saliency", action="store_true", help="also write which parts of the image made the vector")
    images.add_arguments(parser)
    parser.set_defaults(check=lambda args: args)


def run(args: argparse.Namespace) -> int:
    """Embed each input; one that fails does not stop the others."""
    progress = images.begin(args)
    from medfm_core.errors import MedFMError

    encoder = _encoder(args)
    code = 0
    for source, place in zip(args.source, images.places(args.source, args.out), strict=True):
        try:
            facts = _embed(source, place, encoder, args, progress)
        except MedFMError as error:
            if len(args.source) == 1:
                raise
            print(f"medfm: {error}", file=sys.stderr)
            code = code or error.exit_code
            continue
        if args.json:
            progress.event("result", out=str(place), **facts)
        elif not args.quiet:
            degree = f", degree of anisotropy {facts['degree']}" if "degree" in facts else ""
            print(f"{place}: {facts['input']['modality'] or 'modality unknown'}{degree}, "
                  f"{facts['tokens_seen']} tokens, {facts['seconds']:.1f} s")  # fmt: skip
            for sentence in facts.get("doubts", ()):
                print(f"warning: {sentence}", file=sys.stderr)
    return code


def _encoder(args: argparse.Namespace) -> ImageEncoder | BrainEncoder:
    """The model that is asked for, loaded: that for brains where the card says so, else that for any image."""
    from medfm_core.brain_encoding import TASK, load_brain
    from medfm_core.card_library import load_card
    from medfm_core.errors import InputError
    from medfm_core.image_embedding import load_image_encoder

    device = images.device_of(args)
    if args.model is not None and load_card(args.model).task == TASK:
        if args.saliency:
            raise InputError("embed explains no vectors of brain models", "leave --saliency out; `medfm analyze` does")
        return load_brain(load_card(args.model), str(device))
    return load_image_encoder(args.model, device)


def _embed(
    source: str, place: Path, encoder: ImageEncoder | BrainEncoder, args: argparse.Namespace, progress: Progress
) -> dict[str, Any]:
    """Embed one input, write its folder, and return what was done."""
    from medfm_core.brain_encoding import BrainEncoder
    from medfm_core.embedding_files import write_embeddings
    from medfm_core.image_source import open_image
    from medfm_core.io.atomic import atomic_text

    begun = time.perf_counter()
    image = open_image(source, args.modality, args.series)
    if isinstance(encoder, BrainEncoder):
        embedding, facts = _embedded_brain(image, encoder)
        found = None
    else:
        embedding, facts, found = _embedded_image(image, encoder, args.saliency, progress)
    folder = images.made(place)
    write_embeddings(embedding, folder)
    if found is not None:
        facts["saliency"] = _write_saliency(found, image, folder)
    facts |= {"seconds": round(time.perf_counter() - begun, 2)}
    atomic_text(folder / MANIFEST, json.dumps(_manifest(encoder) | facts, indent=1) + "\n")
    return facts


def _embedded_image(
    image: Volume, encoder: ImageEncoder, saliency: bool, progress: Progress
) -> tuple[StudyEmbedding, dict[str, Any], ImageSaliency | None]:
    from medfm_core.image_embedding import embed_image
    from medfm_core.image_saliency import explain_image
    from medfm_core.slices import to_slices

    embedding, encoded = embed_image(image, encoder, progress)
    found = None
    if saliency:
        found = explain_image(to_slices(image, encoder.card.input), encoder, encoded, progress=progress)
    return embedding, _facts(image, encoded), found


def _embedded_brain(image: Volume, encoder: BrainEncoder) -> tuple[StudyEmbedding, dict[str, Any]]:
    from medfm_core.brain_doubts import brain_doubts
    from medfm_core.brain_encoding import embed_brain
    from medfm_core.brain_inputs import check_is_mr
    from medfm_core.brain_maps import tissue_patches

    check_is_mr(image, encoder.card.input.modality, encoder.card.id)
    embedding, encoded = embed_brain(image, encoder)
    seen = tissue_patches(encoded)
    facts = {"tokens": len(seen), "tokens_seen": int(seen.sum()), "doubts": list(brain_doubts(image))}
    return embedding, _about(image) | facts


def _write_saliency(found: ImageSaliency, image: Volume, folder: Path) -> dict[str, Any]:
    """Write the map and its picture, each whole or not at all; returns what embed.json says of them."""
    from medfm_core.image_saliency import saliency_on_image
    from medfm_core.image_saliency_picture import draw_image_saliency
    from medfm_core.io import atomic_write, write_scalar

    write_scalar(saliency_on_image(found, image), folder / SALIENCY)
    with atomic_write(folder / PICTURE) as part:
        draw_image_saliency(found, part)
    return {"files": [SALIENCY, PICTURE], "at_stake": round(found.at_stake, 4), "top_tenth": round(found.top_tenth, 4)}


def _about(image: Volume) -> dict[str, Any]:
    return {
        "input": {
            "format": image.meta.get("format"),
            "modality": image.modality,
            "shape": list(image.shape),
            "spacing_mm": [round(step, 4) for step in image.spacing],
            "warnings": list(image.meta.get("warnings", ())),
        }
    }


def _facts(image: Volume, encoded: EncodedImage) -> dict[str, Any]:
    return _about(image) | {
        "encoded_spacing_mm": [round(step, 4) for step in encoded.spacing_mm],
        "degree": encoded.degree,
        "tokens": encoded.seen.numel(),
        "tokens_seen": int(encoded.seen.sum()),
    }


def _manifest(encoder: ImageEncoder | BrainEncoder) -> dict[str, Any]:
    from medfm_core import RESEARCH_USE, __version__

    model = {"card": encoder.card.id, "card_sha256": encoder.card.digest,
             "weights_sha256": encoder.identity.weights_sha256, "device": str(encoder.device)}  # fmt: skip
    return {"schema": SCHEMA, "notice": RESEARCH_USE, "software": {"medfm": __version__}, "model": model}
