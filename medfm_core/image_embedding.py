"""One vector for any image, 2D or 3D, of any modality and slice thickness: what is there where no specific model is."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from medfm_core.card_inputs import WHOLE_SCAN
from medfm_core.cards import ModelCard
from medfm_core.embedding import Encoder, OrganEmbedding, StudyEmbedding
from medfm_core.errors import WeightsError
from medfm_core.layers.anisotropy import adaptive_patch, degree_of_anisotropy
from medfm_core.models.spad_cards import ENCODER, choose_card, load_encoder, load_whitening, tile_tokens
from medfm_core.models.spad_inputs import vit_input
from medfm_core.models.spad_vit import SpadVit
from medfm_core.progress import SILENT, Progress
from medfm_core.slices import scaled, slice_spacing, to_slices
from medfm_core.token_tiles import TokenTiles, cover
from medfm_core.volume import Volume
from medfm_core.whitening import Whitening, whitened

_LEAST_CONTRAST = 0.02


@dataclass(frozen=True, eq=False)
class ImageEncoder:
    """A loaded encoder.

    Attributes:
        card: what it is.
        net: on its device, in evaluation mode.
        whitening: what is taken from its vectors, on the CPU; None for a card without.
    """

    card: ModelCard
    net: SpadVit
    whitening: Whitening | None = None

    @property
    def device(self) -> torch.device:
        """Where it runs."""
        return self.net.class_token.device

    @property
    def identity(self) -> Encoder:
        """Which weights make its embeddings; vectors that were whitened otherwise cannot be compared."""
        digest = self.card.sha256_of("weights")
        if self.whitening is not None:
            digest = hashlib.sha256(f"{digest} {self.card.sha256_of('whitening')}".encode()).hexdigest()
        return Encoder(self.card.id, digest, self.net.config.width)


@dataclass(frozen=True, eq=False)
class EncodedImage:
    """What the encoder makes of an image.

    Attributes:
        tokens: `(d, h, w, width)` float32, on the CPU.
        seen: which of them show something, `(d, h, w)` bool.
        degree: degree of anisotropy.
        spacing_mm: along D, H, W, as encoded.
        whitening: of the encoder.
    """

    tokens: Tensor
    seen: Tensor
    degree: int
    spacing_mm: tuple[float, float, float]
    whitening: Whitening | None = None

    @property
    def vector(self) -> Tensor:
        """Mean of the tokens that show something, whitened, of length 1, `(width,)` float32."""
        return whitened(self.tokens[self.seen].double().mean(dim=0), self.whitening).float()


def load_image_encoder(name: str | None = None, device: torch.device | str = "cpu") -> ImageEncoder:
    """Load the encoder of a card, by default the one that is installed.

    Raises:
        InputError: there is no such card, or it is of another network.
        WeightsError: the weights are missing or damaged, or nothing is installed.
    """
    card = choose_card(ENCODER, name)
    net = load_encoder(card, device)
    return ImageEncoder(card, net, load_whitening(card, net.config.width))


def embed_image(
    volume: Volume, encoder: ImageEncoder, progress: Progress = SILENT
) -> tuple[StudyEmbedding, EncodedImage]:
    """Embed an image as it was read.

    Args:
        volume: with its modality, where it is known.
        encoder: which weights.
        progress: told of the tiles; may cancel between two of them.

    Returns:
        The embedding, whose one unit is the whole image, and what it was made of.

    Raises:
        WeightsError: the encoder gives values that are no numbers.
    """
    encoded = encode_slices(to_slices(volume, encoder.card.input), encoder, progress=progress)
    unit = OrganEmbedding(WHOLE_SCAN, 0, "present", encoded.vector.numpy())
    return StudyEmbedding(encoder.identity, (unit,)), encoded


@torch.inference_mode()
def encode_slices(
    slices: Volume, encoder: ImageEncoder, degree: int | None = None, progress: Progress = SILENT
) -> EncodedImage:
    """Encode an image tile by tile.

    Args:
        slices: from `to_slices`.
        encoder: which weights.
        degree: degree of anisotropy; by default that of the voxels.
        progress: told of the tiles.

    Raises:
        WeightsError: the encoder gives values that are no numbers.
    """
    net, card = encoder.net, encoder.card
    if degree is None:
        degree = degree_of_anisotropy(slice_spacing(slices.shape, slices.spacing))
    tiles, image = tile_slices(slices, encoder, degree)
    tokens = torch.empty(*tiles.grid, net.config.width)
    boxes = list(tiles.boxes())
    with progress.stage("Encode the image", len(boxes)) as stage:
        for place, voxels in boxes:
            part = image[(..., *voxels)].to(encoder.device)
            found = net(vit_input(part, net.config.channels), degree)[0, 1:]
            tokens[place] = found.float().cpu().unflatten(0, tiles.tile)
            stage.advance()
    if not torch.isfinite(tokens).all():
        raise WeightsError(f"the encoder of {card.id} gives values that are no numbers", "look for NaN in the image")
    return EncodedImage(tokens, _seen(image[0], tiles), degree, tuple(slices.spacing), encoder.whitening)


def tile_slices(slices: Volume, encoder: ImageEncoder, degree: int) -> tuple[TokenTiles, Tensor]:
    """Lay the tiles that an encoder looks at.

    Args:
        slices: from `to_slices`.
        encoder: whose card says how large tiles are and how values are scaled.
        degree: degree of anisotropy.

    Returns:
        The tiles, and the image's values with what they add around it, `(1, C, D, H, W)`.
    """
    config = encoder.net.config
    tiles = cover(slices.shape, adaptive_patch(config.patch, degree), tile_tokens(encoder.card, config.patch, degree))
    return tiles, tiles.padded(scaled(slices, encoder.card.input))[None]


def _seen(padded: Tensor, tiles: TokenTiles) -> Tensor:
    """Which tokens show something: those with any contrast; all within the image where none has."""
    bright = functional.max_pool3d(padded, tiles.patch).amax(dim=0)
    dark = -functional.max_pool3d(-padded, tiles.patch).amax(dim=0)
    seen = bright - dark > _LEAST_CONTRAST
    if seen.any():
        return seen
    ones = tiles.padded(torch.ones(1, *tiles.shape))
    return _pooled(ones, tiles.patch) > 0


def _pooled(padded: Tensor, patch: Sequence[int]) -> Tensor:
    return functional.max_pool3d(padded, tuple(patch)).amax(dim=0)
