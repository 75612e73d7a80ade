"""`python -m training.whiten_vectors`: take out of a card's vectors what those of all images share."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from medfm_core.errors import InputError
from medfm_core.progress import SILENT, Progress, RichProgress
from training.command import command, parser_of

if TYPE_CHECKING:
    import torch

    from medfm_core.image_embedding import ImageEncoder
    from medfm_core.volume import Volume
    from medfm_core.whitening import Whitening

THICKNESSES = (1.0, 2.0, 4.0, 8.0)

EXAMPLES = """examples:
  of a card that training.export made, by sixty images that its training saw:
    python -m training.whiten_vectors --card my-resources/cards/my-vit.v1.json --manifest cohort/manifest.csv
  several cohorts, evenly:
    python -m training.whiten_vectors --card CARD --manifest cohort/manifest.csv brains/manifest.csv --most 40

Mean tokens of any two images point nearly the same way, and what differs lies nearly all in a few directions, so their
cosine says little. The images' mean is taken out of every vector and the spread is made equal in all directions. This
becomes a file of the card (role "whitening"), which medfm embed heeds from then on. Vectors made before cannot be
compared with those made after; medfm similar passes them over. Take images that the training saw, so that those held
out stay held out, and more of them, times thicknesses, than a vector has numbers.
"""


@command()
def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command."""
    options = _parser().parse_args(arguments)
    if options.most < 2 or min(options.thicknesses) < 1:
        raise InputError("--most must be at least 2 and thicknesses 1", "one image has no spread")
    from medfm_core.image_embedding import load_image_encoder
    from medfm_core.whitening import fit_whitening

    path = options.card
    if not path.is_file():
        raise InputError(f"there is no card {path}", "give the .json file that training.export wrote")
    encoder = load_image_encoder(str(path))
    images = [image for manifest in options.manifest for image in _images(manifest, options.split, options.most)]
    units = directions(images, encoder, options.thicknesses, RichProgress())
    if len(units) < units.shape[1]:
        print(f"{len(units)} vectors of {units.shape[1]} numbers are few; give more images", file=sys.stderr)
    entry = add_whitening(path, fit_whitening(units))
    print(f"the whitening by {len(images)} images is in {entry['file']}, and {path.name} names it")
    return 0


def directions(
    images: Sequence[Volume],
    encoder: ImageEncoder,
    thicknesses: Sequence[float] = THICKNESSES,
    progress: Progress = SILENT,
) -> torch.Tensor:
    """The directions of images in slices of several thicknesses, `(N, width)` float64, before any whitening.

    Args:
        images: as read.
        encoder: which weights.
        thicknesses: slices of an image that become one; those that it has not enough slices for are left out.
        progress: told of the images; may cancel.
    """
    import torch

    from medfm_core.image_embedding import encode_slices
    from medfm_core.slices import to_slices
    from medfm_core.whitening import whitened
    from training.evaluation.spacing_study import in_thicker_slices

    found = []
    with progress.stage("Embed", len(images)) as stage:
        for image in images:
            slices = to_slices(image, encoder.card.input)
            for factor in thicknesses:
                if factor <= slices.shape[0]:
                    seen = encode_slices(in_thicker_slices(slices, factor), encoder)
                    found.append(whitened(seen.tokens[seen.seen].double().mean(dim=0), None))
            stage.advance()
    return torch.stack(found)


def add_whitening(path: Path, whitening: Whitening) -> dict[str, object]:
    """Write a whitening beside a card's weights and name it in the card; one that was there is replaced.

    Args:
        path: of the card, which is read from its file.
        whitening: of its encoder.

    Returns:
        The entry of the card's `weights`.
    """
    from safetensors.torch import save_file

    from medfm_core.card_library import load_card
    from medfm_core.hashing import file_sha256
    from medfm_core.io.atomic import atomic_text, atomic_write

    own = load_card(str(path)).weights_path
    target = own.with_name(f"{own.stem}.whitening.safetensors")
    with atomic_write(target) as part:
        save_file({"centre": whitening.centre.contiguous(), "matrix": whitening.matrix.contiguous()}, part)
    target.chmod(0o644)
    entry = {"file": target.name, "sha256": file_sha256(target), "bytes": target.stat().st_size, "role": "whitening"}
    card = json.loads(path.read_text())
    card["weights"] = [*(file for file in card["weights"] if file.get("role") != "whitening"), entry]
    atomic_text(path, json.dumps(card, indent=1, ensure_ascii=False) + "\n")
    return entry


def _images(manifest: Path, split: str, most: int) -> list[Volume]:
    """The first image of each subject, read; of heads with several sequences one after the other."""
    from medfm_core.image_source import open_image
    from training.data.manifest import read_manifest
    from training.data.splits import Fractions, ensure_splits

    rows = [row for row in ensure_splits(read_manifest(manifest), 0, Fractions()).rows if split in ("all", row.split)]
    subjects: dict[str, list] = {}
    for row in rows:
        subjects.setdefault(row.subject, []).append(row)
    if not subjects:
        raise InputError(f"no image of {manifest} is in the split {split!r}", "choose another --split")
    chosen = [found[number % len(found)] for number, found in enumerate(subjects.values())][:most]
    return [open_image(row.path, row.modality, row.series or None) for row in chosen]


def _parser() -> argparse.ArgumentParser:
    parser = parser_of("whiten_vectors", __doc__, EXAMPLES)
    add = parser.add_argument
    add("--card", type=Path, required=True, metavar="FILE", help="card of a SPAD transformer (.json), which is changed")
    add("--manifest", type=Path, nargs="+", required=True, help="tables of images")
    add("--split", default="train", choices=("train", "val", "test", "all"), help="of the manifests (default: train)")
    add("--most", type=int, default=60, metavar="N", help="images to take from each manifest (default: 60)")
    add("--thicknesses", type=float, nargs="+", default=list(THICKNESSES), metavar="FACTOR",
        help="slices that become one; 1 for a network of cubic voxels alone (default: 1 2 4 8)")  # fmt: skip
    return parser


if __name__ == "__main__":
    sys.exit(main())
