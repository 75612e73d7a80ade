"""SPAD-ViT with what masked image modelling adds: a mask token, and a head that names soft tokens."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from medfm_core.errors import InputError
from medfm_core.layers.initialisation import initialise_linear
from medfm_core.layers.tokens import gather_tokens
from medfm_core.layers.volume_rotation import rotation_of
from medfm_core.models.spad_vit import SpadVit, SpadVitConfig


class SpadMaskedModel(nn.Module):
    """Say which soft tokens stand at hidden places.

    Hidden places hold the mask token alone, without learned position: only the rotary angles tell where they are.

    Args:
        config: the transformer.
        tokens: entries of the tokenizer's codebook, `K`.
        mask_layer: block before which mask tokens enter; earlier blocks see the visible tokens only. 0 in the published
            base size, 18 of 24 in the large one.

    Raises:
        ValueError: there is no such block.

    Source: SPAD spec, section 6.3.
    """

    def __init__(self, config: SpadVitConfig, tokens: int, mask_layer: int = 0) -> None:
        super().__init__()
        if not 0 <= mask_layer < config.depth:
            raise ValueError(f"mask_layer {mask_layer} must be one of the {config.depth} blocks")
        self.mask_layer = mask_layer
        self.encoder = SpadVit(config)
        self.mask_token = nn.Parameter(nn.init.trunc_normal_(torch.empty(1, 1, config.width), std=0.02))
        self.head = nn.Sequential(nn.Linear(config.width, config.width), nn.GELU(), nn.Linear(config.width, tokens))
        initialise_linear(self.head)

    def forward(self, volume: Tensor, degree: int, visible: Tensor, hidden: Tensor) -> Tensor:
        """Predict the tokens of hidden places.

        Args:
            volume: `(B, C, D, H, W)`.
            degree: degree of anisotropy of the whole batch.
            visible: indices of the places that are seen, `(B, V)` int64.
            hidden: indices of the others, `(B, M)`.

        Returns:
            Logits `(B, M, K)`, in the order of `hidden`.

        Raises:
            InputError: the sides are not multiples of a token's, or the indices are not of this grid.
        """
        encoder = self.encoder
        tokens = encoder.embed(volume, degree)
        if visible.shape[1] + hidden.shape[1] != tokens.shape[1]:
            count = visible.shape[1] + hidden.shape[1]
            raise InputError(f"the mask is of {count} places, the volume has {tokens.shape[1]}", "mask its own grid")
        angles = encoder.angles(encoder.config.token_grid(volume.shape[2:], degree))
        # The class token comes first, then what is seen, then what is hidden: attention does not mind the order.
        order = torch.cat([torch.zeros_like(visible[:, :1]), visible + 1, hidden + 1], dim=1)
        angles, seen = angles[order], 1 + visible.shape[1]
        state = encoder.with_class_token(gather_tokens(tokens, visible))
        if self.mask_layer:
            state = encoder.run_blocks(state, rotation_of(angles[:, :seen]), 0, self.mask_layer)
        blank = self.mask_token.to(state.dtype).expand(*hidden.shape, -1)
        state = encoder.run_blocks(torch.cat([state, blank], dim=1), rotation_of(angles), self.mask_layer)
        return self.head(encoder.norm(state[:, seen:]))
