"""Where in an image its vector comes from: integrated gradients through the tiles."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from medfm_core.image_embedding import EncodedImage, ImageEncoder, tile_slices
from medfm_core.models.spad_inputs import vit_input
from medfm_core.progress import SILENT, Progress
from medfm_core.saliency.integrated_gradients import blurred_by_patches, per_patch
from medfm_core.saliency.methods import on_voxels
from medfm_core.saliency.quiet import quiet
from medfm_core.volume import Kind, Volume, resample_to
from medfm_core.whitening import Whitening, whitened

if TYPE_CHECKING:
    from medfm_core.token_tiles import Box, TokenTiles

STEPS = 8
BLUR_TOKENS = 4.0
_TOP = 0.1
_DECIMALS = 3  # packs into a third


@dataclass(frozen=True, eq=False)
class ImageSaliency:
    """A map of what an image's vector depends on.

    Attributes:
        slices: what the encoder saw, array axes (D, H, W).
        heat: on the same voxels, from 0 to 1, the highest token 1; 0 where nothing brings the vector nearer.
        at_stake: what all tokens bring together: cosine that is gained from the vector of the blurred image to that of
            the image; where it is near 0, the map says nothing.
        top_tenth: share of the map's sum that lies in the tenth of the tokens with most; 0.1 if all have the same.
    """

    slices: Volume
    heat: Volume
    at_stake: float
    top_tenth: float


def explain_image(
    slices: Volume,
    encoder: ImageEncoder,
    encoded: EncodedImage,
    direction: Tensor | None = None,
    progress: Progress = SILENT,
) -> ImageSaliency:
    """Share out what brings an image's vector to where it is among the tokens.

    The score is the cosine of the vector, which is made of the mean of all tokens that show something, with a
    direction. What is shared out is its gain on the way to the image from the image blurred until nothing smaller than
    four tokens is left. Only gains are shown. The map between the centres of tokens is interpolated: nothing in it is
    finer than a token. Costs `STEPS` backward and twice as many forward passes per tile.

    Args:
        slices: from `to_slices`.
        encoder: which weights.
        encoded: what `encode_slices` made of the same two.
        direction: `(width,)`, of length 1; by default the image's own vector.
        progress: told of the tiles; may cancel between two of them.

    Source: arXiv:1703.01365. Rollout of attention, which explains vectors read out by attention, does not explain a
    mean of tokens: each token's own part hides what it took from others.
    """
    direction = encoded.vector if direction is None else direction
    tiles, image = tile_slices(slices, encoder, encoded.degree)
    nothing = blurred_by_patches(image, tiles.patch, BLUR_TOKENS)
    work = _Tiles(encoder, encoded, tiles)
    parts = torch.zeros(tiles.grid)
    with quiet(encoder.net), progress.stage("Follow the gradients", 2 * STEPS * len(work.boxes)) as stage:
        for step in range(STEPS):
            point = torch.lerp(nothing, image, (step + 0.5) / STEPS)
            pull = _pull(work.mean(point, stage.advance), direction.cpu(), encoder.whitening)
            for place, voxels in work.boxes:
                way = (image - nothing)[(..., *voxels)] * work.gradient(point, (place, voxels), pull)
                parts[place] += per_patch(way[0], tiles.patch) / STEPS
                stage.advance()
    relevance = parts.clamp(min=0)
    relevance = relevance / relevance.max().clamp(min=1e-30)
    at_stake = float(parts.double().sum()) * int(np.prod(tiles.patch))
    return ImageSaliency(slices, _on_slices(relevance, tiles, slices), at_stake, top_share(relevance))


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


class _Tiles:
    """An image's tiles with what is looked at in each; those that show nothing are left out.

    Args:
        encoder: which weights.
        encoded: what it made of the image: which tokens count.
        tiles: where they lie.
    """

    def __init__(self, encoder: ImageEncoder, encoded: EncodedImage, tiles: TokenTiles) -> None:
        self._encoder, self._encoded = encoder, encoded
        self._count = int(encoded.seen.sum())
        self.boxes = [(place, voxels) for place, voxels in tiles.boxes() if encoded.seen[place].any()]

    @torch.no_grad()
    def mean(self, image: Tensor, done: Callable[[], None]) -> Tensor:
        """The mean token of all tiles of an image in [0, 1], `(W,)`, on the CPU; `done` is called after each."""
        total = torch.zeros(self._encoder.net.config.width)
        for box in self.boxes:
            total += self._tokens(image, box)[0].sum(dim=0).cpu()
            done()
        return total / self._count

    def gradient(self, image: Tensor, box: tuple[Box, Box], pull: Tensor) -> Tensor:
        """Gradient of the mean token's product with `pull` `(W,)` by the voxels of a tile, `(1, C, D, H, W)`."""
        with torch.inference_mode(False), torch.enable_grad():
            tokens, start = self._tokens(image.clone(), box)
            (found,) = torch.autograd.grad((tokens @ pull.clone().to(tokens)).sum() / self._count, start)
        return found.cpu()

    def _tokens(self, image: Tensor, box: tuple[Box, Box]) -> tuple[Tensor, Tensor]:
        """The tokens of a tile that count, `(N, W)`, and the voxels that they come from."""
        place, voxels = box
        net = self._encoder.net
        start = image[(..., *voxels)].to(self._encoder.device).requires_grad_(torch.is_grad_enabled())
        tokens = net(vit_input(start, net.config.channels), self._encoded.degree)[0, 1:].float()
        # What was made in inference mode takes no part in gradients, a copy does.
        return tokens[self._encoded.seen[place].clone().flatten().to(tokens.device)], start


def _pull(mean: Tensor, direction: Tensor, whitening: Whitening | None) -> Tensor:
    """Gradient of the cosine of a vector with a direction by the mean token `(W,)` that it is made of."""
    with torch.inference_mode(False), torch.enable_grad():
        start = mean.clone().requires_grad_()
        (found,) = torch.autograd.grad(whitened(start, whitening) @ direction.clone(), start)
    return found


def _on_slices(relevance: Tensor, tiles: TokenTiles, slices: Volume) -> Volume:
    """Interpolate between the centres of tokens over all tiles, and take the image out."""
    whole = tuple(n * side for n, side in zip(tiles.grid, tiles.patch, strict=True))
    heat = tiles.inside(on_voxels(relevance, whole))
    return replace(slices, voxels=np.ascontiguousarray(heat.numpy()), kind=Kind.IMAGE, modality=None)
