"""VideoMAE on volumes: see a tenth of the patches, draw the rest."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from medfm_core.errors import InputError
from medfm_core.layers.attention import MultiHeadAttention
from medfm_core.layers.block import Block
from medfm_core.layers.block_stack import BlockStack
from medfm_core.layers.initialisation import initialise_linear
from medfm_core.layers.mlp import Mlp
from medfm_core.layers.sincos_positions import sincos_positions
from medfm_core.layers.tokens import gather_tokens
from medfm_core.models.neuro_jepa import NeuroJepaConfig, NeuroJepaEncoder
from medfm_core.models.vit import VolumeTransformer, VolumeTransformerConfig
from training.engine.draw import DrawKey
from training.engine.objective import Objective, Sample
from training.masking.provider import MaskProvider, MaskRequest, check_ratio
from training.masking.random_tokens import RandomMask
from training.masking.split import split_mask
from training.masking.tube import TubeMask
from training.objectives.expert_loads import ExpertLoads


@dataclass(frozen=True)
class VideoMAEConfig:
    """What is hidden, and who draws it.

    Attributes:
        mask: `tube` hides the same places at every depth, `random` hides tokens one by one.
        mask_ratio: share that is hidden.
        decoder_width: channels of the decoder's tokens, a multiple of `decoder_heads`.
        decoder_depth: blocks of the decoder.
        decoder_heads: attention heads of the decoder.
        normalise_targets: give every patch and channel mean 0 and deviation 1 before comparing.
        views: masks that every sample is seen through in one step.
        balance_rate: how far the balance of experts moves at each step, where the encoder has some.
    """

    mask: Literal["tube", "random"] = "tube"
    mask_ratio: float = 0.9
    decoder_width: int = 384
    decoder_depth: int = 4
    decoder_heads: int = 6
    normalise_targets: bool = True
    views: int = field(default=1, metadata={"sparse": True})  # earlier runs go on: theirs is the same recipe
    balance_rate: float = field(default=1e-3, metadata={"sparse": True})

    def __post_init__(self) -> None:
        check_ratio(self.mask_ratio)
        if self.decoder_depth < 1 or self.decoder_heads < 1 or self.decoder_width < 6:
            raise ValueError("decoder_depth and decoder_heads must be at least 1, decoder_width at least 6")
        if self.decoder_width % self.decoder_heads:
            raise ValueError(f"decoder_width {self.decoder_width} must be a multiple of {self.decoder_heads} heads")
        if self.views < 1 or self.balance_rate < 0:
            raise ValueError("views must be at least 1, balance_rate at least 0")

    def provider(self, depth_axis: int) -> MaskProvider:
        """The mask provider that `mask` names; `depth_axis` is that of the token grid."""
        return TubeMask(self.mask_ratio, depth_axis) if self.mask == "tube" else RandomMask(self.mask_ratio)


class Decoder(nn.Module):
    """Draw hidden patches from the tokens of the seen ones.

    Args:
        width: channels of the encoder's tokens, `W`.
        patch_values: numbers in a patch, `P`.
        config: the decoder's part of the objective's configuration.
    """

    def __init__(self, width: int, patch_values: int, config: VideoMAEConfig) -> None:
        super().__init__()
        inner, heads = config.decoder_width, config.decoder_heads
        self.norm_in = nn.LayerNorm(width)  # the encoder ends without a norm
        self.narrow = nn.Linear(width, inner)
        self.mask_token = nn.Parameter(torch.empty(inner).normal_(std=0.02))
        self.blocks = BlockStack(
            Block(inner, MultiHeadAttention(inner, heads, qkv_bias=True), Mlp(inner, 4 * inner))
            for _ in range(config.decoder_depth)
        )
        self.norm_out = nn.LayerNorm(inner)
        self.draw = nn.Linear(inner, patch_values)
        initialise_linear(self)

    def forward(self, tokens: Tensor, seen: Tensor, hidden: Tensor, grid: tuple[int, int, int]) -> Tensor:
        """Draw the hidden patches.

        Args:
            tokens: of the seen patches, `(B, V, W)`.
            seen: their indices, `(B, V)`.
            hidden: indices of the hidden ones, `(B, M)`.
            grid: tokens along the three axes.

        Returns:
            `(B, M, P)`.
        """
        positions = sincos_positions(grid, self.mask_token.shape[0], tokens.device)
        known = self.narrow(self.norm_in(tokens)) + positions[seen]
        blank = self.mask_token + positions[hidden]
        both = self.blocks(torch.cat([known, blank.to(known.dtype)], dim=1))
        return self.draw(self.norm_out(both[:, seen.shape[1] :]))


class VideoMAE(Objective):
    """Masked autoencoding of volumes.

    The encoder gets nothing but the seen patches; a light decoder gets its tokens and a blank token with a position for
    each hidden patch, and is judged by the mean squared error on the hidden ones.

    Args:
        model_config: the encoder; of a design with more around it (such as TotalFM) only the transformer is trained. A
            Neuro-JEPA is taken too, to learn the same network from voxels.
        config: the objective.

    Raises:
        InputError: the model is of another kind.

    Source: arXiv:2203.12602 for video; settings for volumes as in TotalFM spec, section 1.9.
    """

    needs = ("image",)

    def __init__(self, model_config: VolumeTransformerConfig | NeuroJepaConfig, config: VideoMAEConfig) -> None:
        super().__init__()
        self.config = config
        self.encoder = _encoder(model_config)
        self._loads = ExpertLoads(config.balance_rate)
        self.decoder = Decoder(model_config.width, model_config.patch_values, config)

    def prepare_sample(self, sample: Sample, key: DrawKey) -> Sample:
        """Add `mask`, bool, True where hidden, to a sample with `image`, `(C, D, H, W)`.

        It is `(N,)`, of several views `(views, N)`.
        """
        request = MaskRequest(self.encoder.config.token_grid(sample["image"].shape[1:]))
        depth_axis = 0 if isinstance(self.encoder, NeuroJepaEncoder) else 2  # its grid runs D, H, W, others' H, W, D
        provider, rng = self.config.provider(depth_axis), key.rng("mask")
        masks = [provider(request, rng) for _ in range(self.config.views)]
        return {**sample, "mask": torch.stack(masks) if len(masks) > 1 else masks[0]}

    def before_step(self, step: int, steps: int) -> None:
        """Forget what earlier passes counted."""
        self._loads.forget()

    def after_step(self, step: int, steps: int) -> None:
        """Balance the encoder's experts, where it has some."""
        self._loads.move(self.encoder.blocks)

    def forward(self, batch: dict[str, Tensor], turn: str = "all") -> dict[str, Tensor]:
        """Compute the loss.

        Args:
            batch: `image`, `(B, C, D, H, W)`, and `mask`, `(B, N)` or `(B, views, N)` bool, as `prepare_sample` makes
                it.
            turn: not used.

        Returns:
            `loss`; `flat_loss`, what filling every hidden patch with its own mean would cost, which a model that has
            learnt something must undercut; and, with experts, `load_least` and `load_most`, see `ExpertLoads.count`.

        Raises:
            InputError: the mask is missing, of another grid, or hides different numbers of tokens.
        """
        volume = batch["image"]
        grid = self.encoder.config.token_grid(volume.shape[2:])
        seen, hidden = self._split(batch, grid)
        if len(seen) > len(volume):
            volume = volume.repeat_interleave(len(seen) // len(volume), dim=0)
        tokens, loads = self._encode(volume, seen)
        drawn = self.decoder(tokens, seen, hidden, grid).float()
        target = self.targets(gather_tokens(self.encoder.patches(volume), hidden))
        loss = functional.mse_loss(drawn, target)
        return {"loss": loss, "flat_loss": self._flat_loss(target), **loads}

    def targets(self, patches: Tensor) -> Tensor:
        """What the decoder should draw of patches `(B, M, P)`: the same shape, float32, without gradient."""
        patches = patches.detach().float()
        return normalise_patches(patches, self.encoder.config.channels) if self.config.normalise_targets else patches

    @torch.no_grad()
    def encode(self, batch: dict[str, Tensor]) -> Tensor:
        """Represent volumes by the mean of all their tokens, `(B, width)` float32."""
        training = self.training
        self.eval()
        try:
            return self.encoder(batch["image"]).float().mean(dim=1)
        finally:
            self.train(training)

    def tokens_of(self, batch: dict[str, Tensor]) -> int:
        """All tokens of the volumes, seen or hidden."""
        return batch["mask"].shape[-1] * len(batch["mask"])

    def exported(self) -> nn.Module:
        """The trained encoder."""
        return self.encoder

    def no_decay(self) -> set[str]:
        """The position tables, and the biases of experts, which lie in matrices."""
        names = [name for name, _ in self.named_parameters()]
        return {n for n in names if ".positions." in n or (".experts." in n and n.endswith("_bias"))}

    def set_activation_checkpointing(self, on: bool) -> None:
        """Compute the activations of encoder and decoder again in the backward pass instead of keeping them."""
        self.encoder.set_activation_checkpointing(on)
        self.decoder.blocks.checkpointing = on

    def _encode(self, volume: Tensor, seen: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        """Tokens of the patches that are seen, and how even the experts were."""
        if not isinstance(self.encoder, NeuroJepaEncoder):
            return self.encoder(volume, seen), {}
        made = self.encoder.routed(volume, seen)
        return made.tokens, self._loads.count(made.routing, keep=self.training)

    def _flat_loss(self, target: Tensor) -> Tensor:
        if self.config.normalise_targets:  # their means are 0
            return target.square().mean()
        return torch.var(target.unflatten(-1, (-1, self.encoder.config.channels)), dim=-2, correction=0).mean()

    def _split(self, batch: dict[str, Tensor], grid: tuple[int, int, int]) -> tuple[Tensor, Tensor]:
        if "mask" not in batch:
            raise InputError("the batch has no mask", "let the objective's prepare_sample add one to each sample")
        mask = batch["mask"]
        tokens = grid[0] * grid[1] * grid[2]
        if mask.ndim not in (2, 3) or (len(mask), mask.shape[-1]) != (len(batch["image"]), tokens):
            raise InputError(f"the masks are {tuple(mask.shape)} for {tokens} tokens each", "draw them for this grid")
        return split_mask(mask.flatten(0, -2))


def _encoder(config: VolumeTransformerConfig | NeuroJepaConfig) -> VolumeTransformer | NeuroJepaEncoder:
    if isinstance(config, NeuroJepaConfig):
        return NeuroJepaEncoder(config)
    if not isinstance(config, VolumeTransformerConfig):
        raise InputError("this model cannot be trained by videomae", "name a totalfm or neuro_jepa model")
    return VolumeTransformer(config)


def normalise_patches(patches: Tensor, channels: int, epsilon: float = 1e-6) -> Tensor:
    """Give each patch mean 0 and standard deviation 1, channel by channel.

    Args:
        patches: `(B, N, P)`, the channel fastest.
        channels: number of channels.
        epsilon: added to the variance, which is that of a sample (divided by one less than the count).

    Returns:
        The same shape; a flat patch becomes 0.

    Source: masked autoencoders, arXiv:2111.06377, section 4; per channel as for video.
    """
    values = patches.unflatten(-1, (-1, channels))
    variance, mean = torch.var_mean(values, dim=-2, keepdim=True)
    return ((values - mean) / (variance + epsilon).sqrt()).flatten(-2)
