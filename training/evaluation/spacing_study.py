"""How steady embeddings and reconstructions are when the same anatomy is seen in thicker and thicker slices."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from math import prod

import numpy as np

from medfm_core.image_embedding import ImageEncoder, encode_slices
from medfm_core.layers.anisotropy import SINGLE_SLICE_DEGREE, degree_of_anisotropy
from medfm_core.progress import SILENT, Progress
from medfm_core.reconstruction import ImageTokenizer, reconstruct_slices
from medfm_core.slices import slice_spacing, to_slices
from medfm_core.volume import Volume, resample
from training.data.slice_thickness import thicken

ADAPTIVE, ISOTROPIC = "adapted to the spacing", "resampled to cubes"
FACTORS = (1.0, 2.0, 3.0, 4.0, 6.0, 8.0)


@dataclass(frozen=True)
class Curves:
    """Cosines of one way to embed.

    Attributes:
        name: of the way.
        factors: slices of the original that one slice is thick.
        within: mean cosine of a subject's embedding with that of its thinnest slices, per factor.
        between: mean cosine of a subject's embedding with those of other subjects in their thinnest slices.
        lowest_within: of the subjects.
        highest_between: of the pairs of subjects.
        found: share of the subjects whose nearest one in thinnest slices is the subject itself.
        tokens: mean number of tokens.
        degrees: degrees of anisotropy that occurred, per factor.
    """

    name: str
    factors: tuple[float, ...]
    within: tuple[float, ...]
    between: tuple[float, ...]
    lowest_within: tuple[float, ...]
    highest_between: tuple[float, ...]
    found: tuple[float, ...]
    tokens: tuple[float, ...]
    degrees: tuple[tuple[int, ...], ...]


def in_thicker_slices(slices: Volume, factor: float) -> Volume:
    """The same anatomy in slices as many times as thick, averaged; what fills no whole slice at the end is left out.

    Args:
        slices: from `to_slices`.
        factor: 1 or more.
    """
    count = max(int(slices.shape[0] / factor + 1e-6), 1)
    voxels = thicken(np.asarray(slices.voxels, dtype=np.float32), count, min(factor, slices.shape[0]))
    step = np.diag([factor, 1.0, 1.0, 1.0])
    step[0, 3] = (factor - 1) / 2
    return replace(slices, voxels=voxels, affine=slices.affine @ step)


def in_cubes(slices: Volume, tokens: int, patch: int) -> Volume:
    """The same anatomy in cubic voxels, so large that cubic patches make about as many tokens.

    Args:
        slices: with slices of any thickness.
        tokens: how many there are to be.
        patch: voxels of a token along each axis.
    """
    extent = [n * step for n, step in zip(slices.shape, slices.spacing, strict=True)]
    side = (prod(extent) / max(tokens, 1)) ** (1 / 3) / patch
    return resample(slices, max(side, min(slices.spacing) / 2))


def cosine_curves(
    images: Sequence[Volume],
    encoder: ImageEncoder,
    baseline: ImageEncoder | None = None,
    factors: Sequence[float] = FACTORS,
    progress: Progress = SILENT,
) -> tuple[Curves, Curves]:
    """Embed every image in slices of every thickness, adapted and resampled to cubes.

    Args:
        images: one per subject, two at least, as read.
        encoder: which weights.
        baseline: which weights see the cubes; by default the same ones, which are a plain transformer there.
        factors: thicknesses; the first is what the others are compared with.
        progress: told of the images; may cancel.

    Returns:
        The curves of the two ways.
    """
    plain = baseline or encoder
    vectors: dict[str, list[np.ndarray]] = {ADAPTIVE: [], ISOTROPIC: []}
    tokens = {ADAPTIVE: np.zeros((len(images), len(factors))), ISOTROPIC: np.zeros((len(images), len(factors)))}
    degrees: list[set[int]] = [set() for _ in factors]
    with progress.stage("Embed in thicker slices", len(images)) as stage:
        for row, image in enumerate(images):
            slices = to_slices(image, encoder.card.input)
            rows: dict[str, list[np.ndarray]] = {ADAPTIVE: [], ISOTROPIC: []}
            for column, factor in enumerate(factors):
                thick = in_thicker_slices(slices, factor)
                seen = encode_slices(thick, encoder)
                degrees[column].add(seen.degree)
                cubes = in_cubes(thick, seen.seen.numel(), plain.net.config.patch)
                other = encode_slices(cubes, plain, degree=0)
                for name, found in ((ADAPTIVE, seen), (ISOTROPIC, other)):
                    rows[name].append(found.vector.numpy())
                    tokens[name][row, column] = found.seen.numel()
            for name, found in rows.items():
                vectors[name].append(np.stack(found))
            stage.advance()
    told = tuple(tuple(sorted(found)) for found in degrees)
    return tuple(
        _curves(
            name, np.stack(vectors[name]), factors, (tokens[name], told if name == ADAPTIVE else ((0,),) * len(told))
        )
        for name in (ADAPTIVE, ISOTROPIC)
    )


def psnr_by_degree(
    images: Sequence[Volume], tokenizer: ImageTokenizer, progress: Progress = SILENT
) -> list[dict[str, float]]:
    """Reconstruct every image at every degree of anisotropy that its slices can be thickened to, and as one slice.

    Args:
        images: as read.
        tokenizer: which weights.
        progress: told of the images; may cancel.

    Returns:
        One row per degree that occurs: `degree`, `images`, mean `psnr_db`, `lowest_db`, `flat_db` (an image that is its
        mean everywhere), `gain_db` (over that), and mean `effective_tokens`.
    """
    found: dict[int, list[tuple[float, float, float]]] = {}
    with progress.stage("Reconstruct at every degree", len(images)) as stage:
        for image in images:
            slices = to_slices(image, tokenizer.card.input)
            for degree, seen in _at_degrees(slices).items():
                back = reconstruct_slices(seen, tokenizer, degree)
                found.setdefault(degree, []).append((back.psnr_db, back.flat_psnr_db, back.effective_tokens))
            stage.advance()
    rows = []
    for degree, values in sorted(found.items()):
        psnr, flat, used = (np.array(column) for column in zip(*values, strict=True))
        rows.append({"degree": degree, "images": len(values), "psnr_db": float(psnr.mean()),
                     "lowest_db": float(psnr.min()), "flat_db": float(flat.mean()),
                     "gain_db": float((psnr - flat).mean()), "effective_tokens": float(used.mean())})  # fmt: skip
    return rows


def _at_degrees(slices: Volume) -> dict[int, Volume]:
    """The image as it is, in slices twice, four times, ... as thick while some are left, and its middle slice."""
    middle = slices.shape[0] // 2
    step = np.eye(4)
    step[0, 3] = middle
    single = replace(slices, voxels=np.asarray(slices.voxels)[middle : middle + 1], affine=slices.affine @ step)
    found = {SINGLE_SLICE_DEGREE: single}
    factor = 1.0
    while slices.shape[0] / factor >= 2:
        thick = in_thicker_slices(slices, factor)
        degree = degree_of_anisotropy(slice_spacing(thick.shape, thick.spacing))
        if degree < SINGLE_SLICE_DEGREE:
            found.setdefault(degree, thick)
        factor *= 2
    return found


def _curves(
    name: str,
    vectors: np.ndarray,
    factors: Sequence[float],
    facts: tuple[np.ndarray, tuple[tuple[int, ...], ...]],
) -> Curves:
    """The curves of vectors `(subjects, factors, E)` of length 1."""
    tokens, degrees = facts
    columns: Mapping[str, list[float]] = {key: [] for key in ("within", "between", "low", "high", "found")}
    for column in range(len(factors)):
        cosines = vectors[:, column] @ vectors[:, 0].T
        own, others = np.diag(cosines), cosines[~np.eye(len(cosines), dtype=bool)]
        columns["within"].append(float(own.mean()))
        columns["between"].append(float(others.mean()))
        columns["low"].append(float(own.min()))
        columns["high"].append(float(others.max()))
        columns["found"].append(float((cosines.argmax(axis=1) == np.arange(len(cosines))).mean()))
    return Curves(name, tuple(factors), *(tuple(values) for values in columns.values()),
                  tuple(tokens.mean(axis=0).tolist()), degrees)  # fmt: skip
