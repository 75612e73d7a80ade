"""Where in an image its vector comes from: attention that raised it, followed back through the tiles."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from medfm_core.image_embedding import EncodedImage, ImageEncoder, tile_slices
from medfm_core.models.spad_inputs import vit_input
from medfm_core.progress import SILENT, Progress
from medfm_core.saliency.methods import on_voxels
from medfm_core.saliency.token_order import TokenOrder
from medfm_core.saliency.token_rollout import Readout, token_rollout
from medfm_core.volume import Kind, Volume, resample_to

if TYPE_CHECKING:
    from medfm_core.token_tiles import TokenTiles

_TOP = 0.1
_DECIMALS = 3  # packs into a third


@dataclass(frozen=True, eq=False)
class ImageSaliency:
    """A map of what an image's vector depends on.

    Attributes:
        slices: what the encoder saw, array axes (D, H, W).
        heat: on the same voxels, from 0 to 1, the highest token 1; 0 everywhere where no token points the vector's way.
        top_tenth: share of all relevance that lies in the tenth of the tokens that has most; 0.1 if all have the same.
    """

    slices: Volume
    heat: Volume
    top_tenth: float


def explain_image(
    slices: Volume,
    encoder: ImageEncoder,
    encoded: EncodedImage,
    direction: Tensor | None = None,
    progress: Progress = SILENT,
) -> ImageSaliency:
    """Follow an image's vector, the mean of the tokens that show something, back to the voxels.

    What is explained is how far that mean reaches along a direction. Tiles do not see each other, so each is followed
    back by itself; all share the one score, so that they can be compared. The map between the centres of tokens is
    interpolated: nothing in it is finer than a token. Costs a forward and a backward pass per tile.

    Args:
        slices: from `to_slices`.
        encoder: which weights.
        encoded: what `encode_slices` made of the same two.
        direction: `(width,)`, of length 1; by default the image's own vector.
        progress: told of the tiles; may cancel between two of them.

    Raises:
        InputError: the encoder's tokens do not follow the image.

    Source: rule for self-attention of arXiv:2103.15679, read out by the mean instead of a class token.
    """
    direction = (encoded.vector if direction is None else direction).to(encoder.device)
    tiles, image = tile_slices(slices, encoder, encoded.degree)
    relevance, boxes = torch.zeros(tiles.grid), list(tiles.boxes())
    count = int(encoded.seen.sum())
    with progress.stage("Follow the attention", len(boxes)) as stage:
        for place, voxels in boxes:
            seen = encoded.seen[place].flatten().to(encoder.device)
            if seen.any():
                part = vit_input(image[(..., *voxels)].to(encoder.device), encoder.net.config.channels)
                readout = Readout(TokenOrder(tiles.tile, leading=1), _Along(direction, seen, count), (encoded.degree,))
                relevance[place] = token_rollout(encoder.net, part, readout)
            stage.advance()
    relevance /= relevance.max().clamp(min=1e-30)
    return ImageSaliency(slices, _on_slices(relevance, tiles, slices), top_share(relevance))


def saliency_on_image(found: ImageSaliency, image: Volume) -> Volume:
    """Bring a map onto the image's own grid.

    Args:
        found: of the image.
        image: as it was read; the result lies on its grid exactly and carries what places it in its file.

    Returns:
        float32, 0 outside what was encoded; with three decimals.
    """
    placed = resample_to(found.heat, image.grid, fill=0.0, antialias=False)
    values = np.asfortranarray(placed.voxels.round(_DECIMALS).clip(0, 1))
    return replace(image, voxels=values, kind=Kind.IMAGE, modality=None)


def top_share(relevance: Tensor, share: float = _TOP) -> float:
    """How much of a map's sum lies in the given share of its places that has most; 0 for a map of zeros."""
    values = relevance.flatten().double().sort(descending=True).values
    total = float(values.sum())
    return float(values[: max(round(share * len(values)), 1)].sum()) / total if total else 0.0


@dataclass(frozen=True, eq=False)
class _Along:
    """A tile's part in how far the image's mean token reaches along a direction; tokens `(1, 1 + N, W)` to one number.

    Attributes:
        direction: `(W,)`.
        seen: which tokens of the tile count, `(N,)`.
        count: tokens of the whole image that count.
    """

    direction: Tensor
    seen: Tensor
    count: int

    def __call__(self, tokens: Tensor) -> Tensor:
        return (tokens[0, 1:].float() @ self.direction)[self.seen].sum() / self.count


def _on_slices(relevance: Tensor, tiles: TokenTiles, slices: Volume) -> Volume:
    """Interpolate between the centres of tokens, tile by tile being one grid, and take the image out."""
    whole = tuple(n * side for n, side in zip(tiles.grid, tiles.patch, strict=True))
    heat = tiles.inside(on_voxels(relevance, whole))
    return replace(slices, voxels=np.ascontiguousarray(heat.numpy()), kind=Kind.IMAGE, modality=None)
