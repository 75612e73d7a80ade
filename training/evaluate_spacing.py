"""`python -m training.evaluate_spacing`: does a SPAD network see the same anatomy in slices of any thickness?"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from medfm_core.errors import InputError
from medfm_core.progress import RichProgress
from training.command import command, parser_of

if TYPE_CHECKING:
    from medfm_core.volume import Volume
    from training.evaluation.spacing_study import Curves

EXAMPLES = """examples:
  cosines of embeddings, and the reconstruction at every degree of anisotropy:
    python -m training.evaluate_spacing --encoder my-vit.v1 --tokenizer my-tokenizer.v1 \\
        --manifest cohort/manifest.csv --split test --out spacing
  the same beside a plain transformer of its own, on some images:
    python -m training.evaluate_spacing --encoder my-vit.v1 --baseline plain-vit.v1 --images a.nii.gz b.nii.gz \\
        --out spacing

Each image is one subject. Its slices are averaged to be 1, 2, ... 8 times as thick. `within` is the cosine of what
becomes of a subject with what its thinnest slices gave, `between` that with other subjects' thinnest slices. The
baseline resamples the same thick slices to cubic voxels that make as many tokens.
What --out gets: spacing.json (all figures), cosines.png, and psnr.csv where there is a tokenizer."""


@command()
def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command."""
    options = _parser().parse_args(arguments)
    images = _images(options)
    from medfm_core.image_embedding import load_image_encoder
    from medfm_core.reconstruction import load_image_tokenizer
    from training.evaluation.spacing_study import cosine_curves, psnr_by_degree

    if options.encoder is None and options.tokenizer is None:
        raise InputError("there is nothing to evaluate", "give --encoder, --tokenizer, or both")
    encoder = load_image_encoder(options.encoder) if options.encoder else None
    baseline = load_image_encoder(options.baseline) if options.baseline else None
    tokenizer = load_image_tokenizer(options.tokenizer) if options.tokenizer else None
    progress, found = RichProgress(), {"images": len(images)}
    if encoder is not None:
        if len(images) < 2:
            raise InputError("one image has nobody to be compared with", "give at least two")
        curves = cosine_curves(images, encoder, baseline, tuple(options.factors), progress)
        found |= {"encoder": encoder.card.id, "baseline": (baseline or encoder).card.id,
                  "curves": [asdict(one) for one in curves]}  # fmt: skip
        _print_curves(curves)
    if tokenizer is not None:
        rows = psnr_by_degree(images, tokenizer, progress)
        found |= {"tokenizer": tokenizer.card.id, "reconstruction": rows}
        _print_rows(rows)
    _write(options.out, found)
    print(f"the figures are in {options.out}")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = parser_of("evaluate_spacing", __doc__, EXAMPLES)
    add = parser.add_argument
    add("--encoder", metavar="ID", help="card of a SPAD transformer (id or path)")
    add("--baseline", metavar="ID", help="card of the transformer that sees cubes (default: that of --encoder)")
    add("--tokenizer", metavar="ID", help="card of a SPAD tokenizer (id or path)")
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--manifest", type=Path, help="table of images; the first of each subject is taken")
    what.add_argument("--images", nargs="+", metavar="FILE", help="images, one per subject")
    add("--split", default="test", choices=("train", "val", "test", "all"), help="of the manifest (default: test)")
    add("--most", type=int, default=40, metavar="N", help="images to take at the most (default: 40)")
    add("--factors", type=float, nargs="+", default=[1, 2, 3, 4, 6, 8], help="thicknesses (default: 1 2 3 4 6 8)")
    add("--out", type=Path, required=True, help="folder of the results")
    return parser


def _images(options: argparse.Namespace) -> list[Volume]:
    """The images, read.

    Raises:
        InputError: there are none, or a thickness is impossible.
    """
    from medfm_core.image_source import open_image

    if min(options.factors) < 1 or options.most < 1:
        raise InputError("factors and --most must be at least 1", "give numbers of 1 or more")
    if options.images:
        return [open_image(path) for path in options.images[: options.most]]
    from training.data.manifest import read_manifest
    from training.data.splits import Fractions, ensure_splits

    rows = ensure_splits(read_manifest(options.manifest), 0, Fractions()).rows
    first = {row.subject: row for row in rows if options.split in ("all", row.split)}
    if not first:
        raise InputError(f"no image of the manifest is in the split {options.split!r}", "choose another --split")
    chosen = list(first.values())[: options.most]
    return [open_image(row.path, row.modality, row.series or None) for row in chosen]


def _print_curves(curves: Sequence[Curves]) -> None:
    from rich.console import Console
    from rich.table import Table

    for one in curves:
        table = Table(title=one.name, box=None, padding=(0, 2, 0, 0), title_justify="left")
        for name in ("thickness", "within", "lowest", "between", "highest", "found", "tokens"):
            table.add_column(name, justify="right")
        for row in zip(one.factors, one.within, one.lowest_within, one.between, one.highest_between, one.found,
                       one.tokens, strict=True):  # fmt: skip
            table.add_row(f"{row[0]:g}", *(f"{value:.3f}" for value in row[1:6]), f"{row[6]:.0f}")
        Console(highlight=False).print(table)


def _print_rows(rows: Sequence[dict[str, float]]) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table(title="reconstruction", box=None, padding=(0, 2, 0, 0), title_justify="left")
    for name in rows[0]:
        table.add_column(name, justify="right")
    for row in rows:
        table.add_row(*(f"{value:d}" if isinstance(value, int) else f"{value:.2f}" for value in row.values()))
    Console(highlight=False).print(table)


def _write(folder: Path, found: dict[str, Any]) -> None:
    from medfm_core.io.atomic import atomic_text, atomic_write, write_error

    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise write_error(error, folder) from error
    atomic_text(folder / "spacing.json", json.dumps(found, indent=1) + "\n")
    if "reconstruction" in found:
        rows = found["reconstruction"]
        lines = [",".join(rows[0]), *(",".join(f"{value:.6g}" for value in row.values()) for row in rows)]
        atomic_text(folder / "psnr.csv", "\n".join(lines) + "\n")
    if "curves" in found:
        with atomic_write(folder / "cosines.png") as part:
            _draw(found["curves"], part)


def _draw(curves: Sequence[dict[str, Any]], path: Path) -> None:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 3.6), layout="constrained", facecolor="white")
    for axes, one in zip(figure.subplots(1, len(curves), sharey=True), curves, strict=True):
        for low, high, mean, colour, name in (
            (one["lowest_within"], one["within"], one["within"], "tab:blue", "the same subject (lowest shaded)"),
            (one["between"], one["highest_between"], one["between"], "tab:red", "other subjects (highest shaded)"),
        ):
            axes.plot(one["factors"], mean, color=colour, marker="o", label=name)
            axes.fill_between(one["factors"], low, high, color=colour, alpha=0.15, linewidth=0)
        axes.set_title(one["name"], fontsize=10)
        axes.set_xlabel("slice thickness, times the original")
        axes.grid(alpha=0.3)
    figure.axes[0].set_ylabel("cosine with thinnest slices")
    figure.legend(*figure.axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=2, fontsize=8)
    figure.savefig(path, dpi=120, format="png")


if __name__ == "__main__":
    sys.exit(main())
