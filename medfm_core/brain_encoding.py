"""Tokens and one vector of a brain MRI by a brain encoder of the hub.

The card's `input.size` is the box that a brain is brought to; the encoder looks at the middle of it, its own
`image_size`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from medfm_core.brain_grid import to_brain_grid
from medfm_core.cards import ModelCard
from medfm_core.errors import InputError, WeightsError
from medfm_core.hub.present import require_files
from medfm_core.strict import from_dict
from medfm_core.volume import Volume

if TYPE_CHECKING:
    from medfm_core.models.neuro_jepa import NeuroJepaEncoder

TASK = "brain_embedding"


@dataclass(frozen=True, eq=False)
class EncodedBrain:
    """What an encoder makes of one scan.

    Attributes:
        tokens: one per patch, `(N, E)` float32; along the last axis of `grid` fastest.
        box: what the encoder saw, with its place in the patient; array axes (D, H, W).
        grid: patches along D, H, W.
    """

    tokens: np.ndarray
    box: Volume
    grid: tuple[int, int, int]

    @property
    def vector(self) -> np.ndarray:
        """The mean over the tokens, `(E,)` float32; the release names no other vector of a scan."""
        return self.tokens.mean(axis=0)


def load_brain_encoder(card: ModelCard, device: str = "auto") -> NeuroJepaEncoder:
    """Load a brain encoder strictly, in fp32 and evaluation mode.

    Args:
        card: a card of the task "brain_embedding".
        device: `auto`, `cpu`, `cuda`, ...

    Raises:
        WeightsError: it was not fetched, is damaged, is of another size than the card says, or the card is of another
            kind.
        ResourceError: the device is not there.
    """
    from medfm_core.inference.devices import choose_device
    from medfm_core.models.neuro_jepa import ARCHITECTURE, NeuroJepaConfig
    from medfm_core.models.neuro_jepa_weights import load_release

    if card.task != TASK or card.architecture.name != ARCHITECTURE:
        raise WeightsError(f"{card.id} is for {card.task} and no encoder of brains", "choose another model")
    require_files(card)
    wanted = from_dict(NeuroJepaConfig, dict(card.architecture.options), f"{card.id}: architecture", WeightsError)
    encoder = load_release(card.root(), choose_device(device))
    if encoder.config != wanted:
        raise WeightsError(f"the files of {card.id} are of another size than its card says", "fetch them again")
    return encoder


def encode_brain(scan: Volume, card: ModelCard, encoder: NeuroJepaEncoder) -> EncodedBrain:
    """Encode a brain MRI.

    Args:
        scan: registered to MNI, 0 around the brain.
        card: the encoder's.
        encoder: loaded.

    Raises:
        InputError: nothing in the scan is above 0, or the card says too little of its input.
        WeightsError: the encoder gives values that are no numbers.
    """
    import torch

    size = encoder.config.image_size
    box = to_brain_grid(scan, card.input, crop_size=size)
    if box.shape != tuple(size):
        raise InputError(f"the scan becomes {box.shape} voxels, the encoder takes {tuple(size)}", "correct the card")
    volume = torch.from_numpy(np.ascontiguousarray(box.voxels, np.float32))[None, None]
    place = next(encoder.parameters()).device
    with torch.inference_mode():
        tokens = encoder(volume.to(place))[0].float().cpu().numpy()
    if not np.isfinite(tokens).all():
        raise WeightsError(f"the encoder of {card.id} gives values that are no numbers", "look for NaN in the scan")
    return EncodedBrain(tokens, box, encoder.config.token_grid(size))
