"""`python -m training.centre_vectors`: find what the vectors of all images have in common, and take it out of them."""

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

THICKNESSES = (1.0, 2.0, 4.0, 8.0)

EXAMPLES = """examples:
  of a card that training.export made, by forty images that its training saw:
    python -m training.centre_vectors --card my-resources/cards/my-vit.v1.json --manifest cohort/manifest.csv
  several cohorts, evenly:
    python -m training.centre_vectors --card CARD --manifest cohort/manifest.csv brains/manifest.csv --most 30

The mean tokens of any two images point nearly the same way, so their cosine says little. The centre is the mean of such
directions over the images, each in slices of several thicknesses. It becomes a file of the card (role
"centre"); from then on medfm embed takes it out of every vector. Vectors made before cannot be compared with those made
after; medfm similar refuses to. Take images that the training saw, so that those held out stay held out.
"""


@command()
def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command."""
    options = _parser().parse_args(arguments)
    if options.most < 2 or min(options.thicknesses) < 1:
        raise InputError("--most must be at least 2 and thicknesses 1", "a centre is a mean over images")
    from medfm_core.image_embedding import load_image_encoder

    path = options.card
    if not path.is_file():
        raise InputError(f"there is no card {path}", "give the .json file that training.export wrote")
    encoder = load_image_encoder(str(path))
    images = [image for manifest in options.manifest for image in _images(manifest, options.split, options.most)]
    centre = centre_of(images, encoder, options.thicknesses, RichProgress())
    entry = add_centre(path, centre)
    print(f"the centre of {len(images)} images is in {entry['file']}, and {path.name} names it")
    return 0


def centre_of(
    images: Sequence[Volume],
    encoder: ImageEncoder,
    thicknesses: Sequence[float] = THICKNESSES,
    progress: Progress = SILENT,
) -> torch.Tensor:
    """The mean direction of images in slices of several thicknesses, `(width,)` float32.

    Args:
        images: as read; each counts the same.
        encoder: which weights; a centre that it has is not used.
        thicknesses: slices of an image that become one; those that it has not enough slices for are left out.
        progress: told of the images; may cancel.
    """
    import torch

    from medfm_core.image_embedding import centred, encode_slices
    from medfm_core.slices import to_slices
    from training.evaluation.spacing_study import in_thicker_slices

    found = []
    with progress.stage("Embed", len(images)) as stage:
        for image in images:
            slices = to_slices(image, encoder.card.input)
            fitting = [factor for factor in thicknesses if factor <= slices.shape[0]]
            seen = [encode_slices(in_thicker_slices(slices, factor), encoder) for factor in fitting]
            units = [centred(one.tokens[one.seen].double().mean(dim=0), None) for one in seen]
            found.append(torch.stack(units).mean(dim=0))
            stage.advance()
    return torch.stack(found).mean(dim=0).float()


def add_centre(path: Path, centre: torch.Tensor) -> dict[str, object]:
    """Write a centre beside a card's weights and name it in the card; one that was there is replaced.

    Args:
        path: of the card, which is read from its file.
        centre: `(width,)`.

    Returns:
        The entry of the card's `weights`.
    """
    from safetensors.torch import save_file

    from medfm_core.card_library import load_card
    from medfm_core.hashing import file_sha256
    from medfm_core.io.atomic import atomic_text, atomic_write

    own = load_card(str(path)).weights_path
    target = own.with_name(f"{own.stem}.centre.safetensors")
    with atomic_write(target) as part:
        save_file({"centre": centre.contiguous()}, part)
    target.chmod(0o644)
    entry = {"file": target.name, "sha256": file_sha256(target), "bytes": target.stat().st_size, "role": "centre"}
    card = json.loads(path.read_text())
    card["weights"] = [*(file for file in card["weights"] if file.get("role") != "centre"), entry]
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
    parser = parser_of("centre_vectors", __doc__, EXAMPLES)
    add = parser.add_argument
    add("--card", type=Path, required=True, metavar="FILE", help="card of a SPAD transformer (.json), which is changed")
    add("--manifest", type=Path, nargs="+", required=True, help="tables of images")
    add("--split", default="train", choices=("train", "val", "test", "all"), help="of the manifests (default: train)")
    add("--most", type=int, default=40, metavar="N", help="images to take from each manifest (default: 40)")
    add("--thicknesses", type=float, nargs="+", default=list(THICKNESSES), metavar="FACTOR",
        help="slices that become one; 1 for a network of cubic voxels alone (default: 1 2 4 8)")  # fmt: skip
    return parser


if __name__ == "__main__":
    sys.exit(main())
