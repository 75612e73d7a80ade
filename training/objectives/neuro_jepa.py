"""Latent prediction: guess a slow teacher's features of what is hidden, not the voxels themselves."""

from __future__ import annotations

import copy
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from medfm_core.errors import InputError
from medfm_core.layers.expert_balance import BalanceRule
from medfm_core.layers.tokens import gather_tokens
from medfm_core.models.neuro_jepa import Encoded, NeuroJepaConfig, NeuroJepaEncoder
from medfm_core.models.neuro_jepa_predictor import NeuroJepaPredictor, PredictorConfig
from training.engine.draw import DrawKey
from training.engine.objective import Objective, Sample
from training.masking.foreground import foreground_tokens, foreground_voxels
from training.masking.multiscale_blocks import LARGE, MEDIUM, SMALL, BlockMask, BlockScale
from training.masking.provider import MaskRequest, check_ratio
from training.masking.split import split_mask
from training.objectives.expert_loads import ExpertLoads
from training.objectives.neuro_jepa_loss import latent_loss


@dataclass(frozen=True)
class NeuroJepaObjectiveConfig:
    """What is hidden, who guesses it, and how teacher and experts follow.

    Attributes:
        masks: kinds of masks; every sample is seen once through each, and each has a mask token of its own.
        mask_ratio: share that each hides.
        foreground: prefer tissue among what is seen, and weigh the loss; without it all tokens count alike.
        background_weight: weight of a background token in the loss, next to 1 of one with tissue.
        ema: share of the teacher that is kept at each step.
        predictor_width: channels of the predictor's tokens, a multiple of `predictor_heads`.
        predictor_depth: blocks of the predictor.
        predictor_heads: attention heads of the predictor.
        balance_rate: how far the balance of the experts moves at each step.
        balance_limit: how far it may go.
        balance_rule: `proportional` to the load's error, or by its `sign`.
    """

    masks: tuple[BlockScale, ...] = (SMALL, MEDIUM, LARGE)
    mask_ratio: float = 0.75
    foreground: bool = True
    background_weight: float = 0.1
    ema: float = 0.99925
    predictor_width: int = 384
    predictor_depth: int = 12
    predictor_heads: int = 12
    balance_rate: float = 1e-4
    balance_limit: float = 0.3
    balance_rule: BalanceRule = "proportional"

    def __post_init__(self) -> None:
        check_ratio(self.mask_ratio)
        if not self.masks:
            raise ValueError("masks must name at least one kind")
        if not 0 <= self.background_weight <= 1 or not 0 <= self.ema < 1:
            raise ValueError("background_weight must lie in [0, 1] and ema in [0, 1)")
        if self.balance_rate < 0 or self.balance_limit <= 0:
            raise ValueError("balance_rate must be at least 0 and balance_limit above 0")

    def predictor(self, model: NeuroJepaConfig) -> PredictorConfig:
        """Architecture of the predictor for an encoder."""
        return PredictorConfig(
            features=model.width,
            width=self.predictor_width,
            depth=self.predictor_depth,
            heads=self.predictor_heads,
            mask_tokens=len(self.masks),
            positions=model.positions,
        )


class NeuroJepa(Objective):
    """Sparse latent prediction.

    The encoder sees a quarter of the tokens, once for each kind of mask; the predictor guesses the layer-normalised
    features that a slowly moving average of the encoder, which sees everything, gives to the rest.

    Args:
        model_config: the encoder.
        config: the objective.

    Source: Neuro-JEPA spec, sections 4 to 7; arXiv:2506.09985 for video.
    """

    needs = ("image",)

    def __init__(self, model_config: NeuroJepaConfig, config: NeuroJepaObjectiveConfig) -> None:
        super().__init__()
        self.config = config
        self.encoder = NeuroJepaEncoder(model_config)
        self.predictor = NeuroJepaPredictor(config.predictor(model_config))
        self.teacher = copy.deepcopy(self.encoder).requires_grad_(False)
        self._loads = ExpertLoads(config.balance_rate, config.balance_limit, config.balance_rule)

    def prepare_sample(self, sample: Sample, key: DrawKey) -> Sample:
        """Draw the masks of a sample.

        Args:
            sample: `image` `(C, D, H, W)`; and `foreground` `(D, H, W)`, where there is tissue, from a source that
                changes intensities (made before that, and flipped along). Without it the image itself is looked at.
            key: where in the run it is drawn; every kind of mask draws from a generator of its own.

        Returns:
            The sample with `visible` `(S, V)` and `hidden` `(S, M)` indices of tokens for the S kinds of masks, and
            `foreground` `(N,)` bool of the tokens.
        """
        image, model = sample["image"], self.encoder.config
        grid = model.token_grid(image.shape[1:])
        tissue = torch.ones(grid[0] * grid[1] * grid[2], dtype=torch.bool)
        if self.config.foreground:
            voxels = sample["foreground"] if "foreground" in sample else foreground_voxels(image)
            tissue = foreground_tokens(voxels, model.patch_size)
        request = MaskRequest(grid, {"foreground": tissue})
        masks = [
            BlockMask(scale, self.config.mask_ratio)(request, key.rng(f"mask.{kind}"))
            for kind, scale in enumerate(self.config.masks)
        ]
        visible, hidden = split_mask(torch.stack(masks))
        return {**sample, "visible": visible, "hidden": hidden, "foreground": tissue}

    def before_step(self, step: int, steps: int) -> None:
        """Forget what earlier passes counted, such as those that only measure."""
        self._loads.forget()

    def forward(self, batch: dict[str, Tensor], turn: str = "all") -> dict[str, Tensor]:
        """Compute the loss.

        Args:
            batch: `image` `(B, C, D, H, W)`, and what `prepare_sample` adds.
            turn: not used.

        Returns:
            `loss`; `flat_loss`, what guessing the mean of the batch's features for every token would cost;
            `target_spread`, the deviation of the teacher's features among tokens, which falls towards 0 when the
            representation collapses; and, with experts, `load_least` and `load_most`, the loads of the least and the
            most chosen expert relative to the mean, averaged over blocks.

        Raises:
            InputError: the batch has no masks.
        """
        if "visible" not in batch:
            raise InputError("the batch has no masks", "let the objective's prepare_sample add them to each sample")
        target = self._targets(batch["image"])
        context = self._context(batch["image"], batch["visible"])
        predicted = self._predict(context.tokens, batch)
        hidden = batch["hidden"].flatten(1)  # (B, S * M)
        wanted = gather_tokens(target, hidden)
        tissue = batch["foreground"].gather(1, hidden)
        values = {"loss": self._loss(predicted, wanted, tissue)}
        with torch.no_grad():
            flat = wanted.mean(dim=(0, 1), keepdim=True).expand_as(wanted)
            values["flat_loss"] = self._loss(flat, wanted, tissue)
            values["target_spread"] = target.flatten(0, 1).std(dim=0).mean()
            values |= self._loads.count(context.routing, keep=self.training)
        return values

    @torch.no_grad()
    def after_step(self, step: int, steps: int) -> None:
        """Balance the experts by the loads of the step over all processes, then move the teacher."""
        self._loads.move(self.encoder.blocks)
        keep = self.config.ema
        torch._foreach_lerp_(list(self.teacher.parameters()), list(self.encoder.parameters()), 1 - keep)
        for mine, other in zip(self.teacher.buffers(), self.encoder.buffers(), strict=True):
            mine.copy_(other)

    @torch.no_grad()
    def encode(self, batch: dict[str, Tensor]) -> Tensor:
        """Represent volumes by the mean of all their tokens, `(B, width)` float32."""
        return self.encoder(batch["image"]).float().mean(dim=1)

    def tokens_of(self, batch: dict[str, Tensor]) -> int:
        """All tokens of the volumes, seen or hidden."""
        return batch["foreground"].numel()

    def exported(self) -> nn.Module:
        """The trained encoder, not its teacher."""
        return self.encoder

    def no_decay(self) -> set[str]:
        """The biases of the experts, which lie in matrices."""
        return {name for name, _ in self.named_parameters() if ".experts." in name and name.endswith("_bias")}

    def set_activation_checkpointing(self, on: bool) -> None:
        """Compute the activations of encoder and predictor again in the backward pass instead of keeping them."""
        self.encoder.set_activation_checkpointing(on)
        self.predictor.blocks.checkpointing = on

    @torch.no_grad()
    def _targets(self, image: Tensor) -> Tensor:
        tokens = self.teacher(image).float()
        return functional.layer_norm(tokens, tokens.shape[-1:])

    def _context(self, image: Tensor, visible: Tensor) -> Encoded:
        """Encode all kinds of masks in one pass: `(B * S, V, width)`."""
        model = self.encoder.config
        tokens = self.encoder.embed(image, visible.flatten(1)).unflatten(1, visible.shape[1:]).flatten(0, 1)
        return self.encoder.through_blocks(tokens, model.token_grid(image.shape[2:]), visible.flatten(0, 1))

    def _predict(self, context: Tensor, batch: dict[str, Tensor]) -> Tensor:
        """Guess the hidden features, `(B, S * M, width)`."""
        visible, hidden = batch["visible"], batch["hidden"]
        kinds = torch.arange(visible.shape[1], device=visible.device).repeat(len(visible))
        grid = self.encoder.config.token_grid(batch["image"].shape[2:])
        guessed = self.predictor(context, visible.flatten(0, 1), hidden.flatten(0, 1), kinds, grid)
        return guessed.unflatten(0, visible.shape[:2]).flatten(1, 2)

    def _loss(self, predicted: Tensor, wanted: Tensor, tissue: Tensor) -> Tensor:
        """Mean over the kinds of masks; weights have the mean 1 in each of them."""
        kinds = len(self.config.masks)
        parts = [part.unflatten(1, (kinds, -1)).flatten(0, 1) for part in (predicted, wanted, tissue)]
        return latent_loss(*parts, self.config.background_weight)
