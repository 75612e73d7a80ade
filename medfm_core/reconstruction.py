"""What a tokenizer keeps of an image: the image drawn again from its soft tokens, and where which token stands."""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import log10

import numpy as np
import torch
from torch import Tensor

from medfm_core.card_inputs import Intensity
from medfm_core.cards import ModelCard
from medfm_core.errors import WeightsError
from medfm_core.layers.anisotropy import adaptive_patch, degree_of_anisotropy
from medfm_core.models.spad_cards import TOKENIZER, choose_card, load_tokenizer, tile_tokens
from medfm_core.models.spad_inputs import tokenizer_input
from medfm_core.models.spad_tokenizer import SpadTokenizer
from medfm_core.preprocessing import to_channels
from medfm_core.progress import SILENT, Progress
from medfm_core.slices import slice_spacing, to_slices, value_rule
from medfm_core.token_tiles import TokenTiles, cover
from medfm_core.volume import Kind, Volume

_HIGHEST_DB = 100.0
_MARGIN = 1  # tokens that a tile sees beyond its own: convolutions darken what lies at their border


@dataclass(frozen=True, eq=False)
class ImageTokenizer:
    """A loaded tokenizer: its card, and the network on its device in evaluation mode."""

    card: ModelCard
    net: SpadTokenizer

    @property
    def device(self) -> torch.device:
        """Where it runs."""
        return self.net.quantiser.codebook.device


@dataclass(frozen=True, eq=False)
class Reconstruction:
    """An image and what came back of it, all on the grid that the tokenizer sees, `(D, H, W)`.

    Attributes:
        image: what went in, within the range of values that the tokenizer sees.
        drawn: what came back, in the same units.
        tokens: label map: number of the likeliest token, from 1.
        degree: degree of anisotropy.
        psnr_db: peak signal-to-noise ratio of values scaled to [0, 1].
        flat_psnr_db: the same for an image that is its mean everywhere: what must be surpassed.
        effective_tokens: share of the codebook in use, by the entropy of the mean soft token.
        distinct_tokens: how many tokens are the likeliest somewhere.
    """

    image: Volume
    drawn: Volume
    tokens: Volume
    degree: int
    psnr_db: float
    flat_psnr_db: float
    effective_tokens: float
    distinct_tokens: int


def load_image_tokenizer(name: str | None = None, device: torch.device | str = "cpu") -> ImageTokenizer:
    """Load the tokenizer of a card, by default the one that is installed.

    Raises:
        InputError: there is no such card, or it is of another network.
        WeightsError: the weights are missing or damaged, or nothing is installed.
    """
    card = choose_card(TOKENIZER, name)
    return ImageTokenizer(card, load_tokenizer(card, device))


def reconstruct_image(volume: Volume, tokenizer: ImageTokenizer, progress: Progress = SILENT) -> Reconstruction:
    """Tokenise an image as it was read, and draw it again; see `reconstruct_slices`."""
    return reconstruct_slices(to_slices(volume, tokenizer.card.input), tokenizer, progress=progress)


@torch.inference_mode()
def reconstruct_slices(
    slices: Volume, tokenizer: ImageTokenizer, degree: int | None = None, progress: Progress = SILENT
) -> Reconstruction:
    """Tokenise an image and draw it again, tile by tile.

    Args:
        slices: from `to_slices`.
        tokenizer: which weights.
        degree: degree of anisotropy; by default that of the voxels.
        progress: told of the tiles; may cancel between two of them.

    Raises:
        WeightsError: the tokenizer gives values that are no numbers.
    """
    net, card = tokenizer.net, tokenizer.card
    if degree is None:
        degree = degree_of_anisotropy(slice_spacing(slices.shape, slices.spacing))
    rule = value_rule(slices, card.input)
    values = to_channels(torch.from_numpy(np.array(slices.voxels, dtype=np.float32, order="C")), rule)
    patch = adaptive_patch(net.config.stride, degree)
    tiles = cover(slices.shape, patch, [max(1, n - 2 * _MARGIN) for n in tile_tokens(card, net.config.stride, degree)])
    drawn, chosen, mean = _draw(tiles.padded(values), tiles, (tokenizer, degree), progress)
    if not torch.isfinite(drawn).all():
        raise WeightsError(f"the tokenizer {card.id} gives values that are no numbers", "look for NaN in the image")
    grey, back = values.mean(dim=0), tiles.inside(drawn).clamp(*rule.to)
    labels = _spread(chosen, tiles).to(torch.int32).numpy()
    return Reconstruction(
        image=_in_units(slices, grey, rule),
        drawn=_in_units(slices, back, rule),
        tokens=replace(slices, voxels=labels.astype(np.uint16), kind=Kind.LABEL),
        degree=degree,
        psnr_db=_psnr(back, grey),
        flat_psnr_db=_psnr(grey.mean(), grey),
        effective_tokens=float(torch.special.entr(mean).sum().exp() / len(mean)),
        distinct_tokens=int(chosen.unique().numel()),
    )


def _draw(
    image: Tensor, tiles: TokenTiles, how: tuple[ImageTokenizer, int], progress: Progress
) -> tuple[Tensor, Tensor, Tensor]:
    """Grey voxels in [0, 1] of the padded image, the likeliest token of each place, and the mean soft token."""
    (tokenizer, degree), net = how, how[0].net
    drawn, chosen = torch.empty(image.shape[1:]), torch.empty(tiles.grid, dtype=torch.int64)
    total, boxes = torch.zeros(net.config.tokens, dtype=torch.float64), list(tiles.boxes())
    with progress.stage("Draw the image again", len(boxes)) as stage:
        for place, voxels in boxes:
            wide, own, inner = tiles.with_margin(place, _MARGIN)
            part = image[(slice(None), *wide)][None].to(tokenizer.device)
            found = net(tokenizer_input(part, net.config.channels), degree)
            drawn[voxels] = (found.volume[0].float().mean(dim=0).cpu()[inner] + 1) / 2
            chosen[place] = found.tokens.logits[0].argmax(dim=-1).cpu()[own]
            total += found.tokens.probabilities[0][own].flatten(0, 2).double().sum(dim=0).cpu()
            stage.advance()
    return drawn, chosen, total / total.sum()


def _spread(chosen: Tensor, tiles: TokenTiles) -> Tensor:
    """The number of each token, from 1, at all voxels that it stands for, within the image."""
    for axis, side in enumerate(tiles.patch):
        chosen = chosen.repeat_interleave(side, dim=axis)
    return tiles.inside(chosen) + 1


def _in_units(slices: Volume, values: Tensor, rule: Intensity) -> Volume:
    """Channel values back in the image's units; windows, which overlap, stay as they are."""
    if rule.hu is not None:
        (low, high), (bottom, top) = rule.hu, rule.to
        values = (values - bottom) * ((high - low) / (top - bottom)) + low
    return replace(slices, voxels=values.numpy().astype(np.float32))


def _psnr(one: Tensor, other: Tensor) -> float:
    """Peak signal-to-noise ratio in dB of values with a range of 1; at most 100."""
    error = float(((one - other).double() ** 2).mean())
    return min(-10 * log10(error), _HIGHEST_DB) if error > 0 else _HIGHEST_DB
