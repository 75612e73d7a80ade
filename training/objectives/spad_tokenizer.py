"""The tokenizer's objective: draw the volume again from sharp soft tokens, all of which are used."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn import functional

from medfm_core.models.spad_inputs import tokenizer_input
from medfm_core.models.spad_tokenizer import Reconstruction, SpadTokenizer, SpadTokenizerConfig
from training.engine.draw import DrawKey
from training.engine.objective import Objective, Sample
from training.objectives.adversarial_gate import AdversarialGate
from training.objectives.perceptual import PerceptualName, draw_slices, make_perceptual
from training.objectives.soft_token_losses import distinct_share, effective_share, entropy_loss, prior_loss
from training.objectives.spad_batch import by_degree, degree_of_batch, with_degree
from training.objectives.spad_discriminator import SpadDiscriminator, discriminator_loss, generator_loss

_GENERATOR, _DISCRIMINATOR = "generator", "discriminator"


@dataclass(frozen=True)
class SpadTokenizerObjectiveConfig:
    """Weights of the parts; the defaults are the published ones, but for the perceptual loss.

    Attributes:
        prior: weight of the loss that wants all tokens used.
        entropy: weight of the loss that wants each place to be one token.
        entropy_rise: share of the run over which that weight rises to its value; 0 begins with it, as published. Asked
            to be sharp before they mean anything, tokens of a small net come to name places instead of what is there.
        perceptual: `none`, `edges`, or `lpips` as published, whose weights the user brings.
        perceptual_weights: safetensors file of `lpips`.
        perceptual_weight: weight of the perceptual loss.
        slices: slices of a volume that the perceptual loss sees.
        adversarial: weight of the discriminator's judgement; 0 trains without a discriminator.
        gate: largest loss of the discriminator at which its judgement counts.
        discriminator_widths: channels of the discriminator's steps down.
        discriminator_groups: of its group norms.
        discriminator_lr: its learning rate, as a multiple of `optim.lr`.

    Source: SPAD spec, sections 4 and 5.
    """

    prior: float = 0.03
    entropy: float = 1.0
    entropy_rise: float = 0.0
    perceptual: PerceptualName = "edges"
    perceptual_weights: str | None = None
    perceptual_weight: float = 1.0
    slices: int = 24
    adversarial: float = 3e-3
    gate: float = 0.025
    discriminator_widths: tuple[int, ...] = (128, 256, 512)
    discriminator_groups: int = 16
    discriminator_lr: float = 10.0

    def __post_init__(self) -> None:
        if min(self.prior, self.entropy, self.perceptual_weight, self.adversarial) < 0:
            raise ValueError("prior, entropy, perceptual_weight and adversarial must be at least 0")
        if not 0 <= self.entropy_rise <= 1:
            raise ValueError(f"entropy_rise {self.entropy_rise} must lie between 0 and 1")
        if self.slices < 1 or self.discriminator_lr <= 0:
            raise ValueError("slices must be at least 1 and discriminator_lr positive")
        if not self.discriminator_widths or any(w % self.discriminator_groups for w in self.discriminator_widths):
            raise ValueError("discriminator_widths must be multiples of discriminator_groups")


class SpadTokenizerObjective(Objective):
    """L1, perceptual loss, the two regularisers of the tokens, and a discriminator with its own turn.

    The discriminator's turn draws the volume once more, after the tokenizer's step.

    Args:
        model_config: the tokenizer.
        config: the objective.

    Source: SPAD spec, section 4.
    """

    needs = ("image", "degree")

    def __init__(self, model_config: SpadTokenizerConfig, config: SpadTokenizerObjectiveConfig) -> None:
        super().__init__()
        self.config = config
        self.model = SpadTokenizer(model_config)
        self.perceptual = make_perceptual(config.perceptual, config.perceptual_weights)
        self.turns = (_GENERATOR, _DISCRIMINATOR) if config.adversarial else (_GENERATOR,)
        self.discriminator = self.gate = None
        if config.adversarial:
            self.discriminator = SpadDiscriminator(
                model_config.channels, config.discriminator_widths, config.discriminator_groups
            )
            self.gate = AdversarialGate(config.gate)
            for value in self.discriminator.parameters():
                value.lr_scale = config.discriminator_lr
        self._entropy = config.entropy  # weight in this step
        self._heard = False  # whether the gate is open in this step
        self._losses: list[Tensor] = []  # of the discriminator in this step, part by part

    def prepare_sample(self, sample: Sample, key: DrawKey) -> Sample:
        """Add `degree` where the spacing tells it."""
        return with_degree(sample)

    def before_step(self, step: int, steps: int) -> None:
        """Look at the gate, and weigh the entropy."""
        rise = self.config.entropy_rise * steps
        self._entropy = self.config.entropy * (min(1.0, step / rise) if rise else 1.0)
        self._heard = self.gate is not None and self.gate.is_open
        self._losses = []

    def after_step(self, step: int, steps: int) -> None:
        """Tell the gate how the discriminator did."""
        if self.gate is not None and self._losses:
            self.gate.update(torch.stack(self._losses).mean())
        self._losses = []

    def forward(self, batch: dict[str, Tensor], turn: str = _GENERATOR) -> dict[str, Tensor]:
        """Compute the loss of a turn.

        Args:
            batch: `image` `(B, C, D, H, W)` in [0, 1], one channel or three; `degree` `(B,)`, all alike.
            turn: `generator` or `discriminator`.

        Returns:
            `loss` and its parts. `effective_tokens`, the share of the codebook in use by entropy, and `distinct_tokens`
            tell of a collapse; `flat_loss` is the L1 of drawing each sample's mean, which must be undercut.

        Raises:
            InputError: the samples differ in degree, or the volume fits the tokenizer in no way.
        """
        volume, degree = tokenizer_input(batch["image"], self.model.config.channels), degree_of_batch(batch)
        if turn == _DISCRIMINATOR:
            return self._discriminator_turn(volume, degree)
        drawn = self.model(volume, degree)
        loss, parts = self._generator_losses(volume, drawn)
        if self._heard:
            frozen = {name: value.detach() for name, value in self.discriminator.named_parameters()}
            judged = generator_loss(functional_call(self.discriminator, frozen, (drawn.volume, degree)))
            loss = loss + self.config.adversarial * judged
            parts["adversarial"] = judged
        parts["gate"] = loss.new_tensor(float(self._heard))
        return {"loss": loss} | {name: value.detach() for name, value in parts.items()}

    def encode(self, batch: dict[str, Tensor]) -> Tensor:
        """Mean features before quantisation, `(B, width)` float32; samples may differ in degree."""

        def mean(images: Tensor, degree: int) -> Tensor:
            features = self.model.encode(tokenizer_input(images, self.model.config.channels), degree)
            return features.float().flatten(2).mean(dim=2)

        return by_degree(batch, mean)

    def exported(self) -> nn.Module:
        """The tokenizer."""
        return self.model

    def turn_parameters(self, turn: str) -> list[tuple[str, nn.Parameter]]:
        """Those of the tokenizer, or those of the discriminator."""
        side = "discriminator." if turn == _DISCRIMINATOR else "model."
        return [(name, value) for name, value in super().turn_parameters(turn) if name.startswith(side)]

    def no_decay(self) -> set[str]:
        """The codebook."""
        return {"model.quantiser.codebook"}

    def tokens_of(self, batch: dict[str, Tensor]) -> int:
        """Tokens of the batch."""
        depth, rows, columns = self.model.config.token_grid(batch["image"].shape[2:], degree_of_batch(batch))
        return len(batch["image"]) * depth * rows * columns

    def _generator_losses(self, volume: Tensor, drawn: Reconstruction) -> tuple[Tensor, dict[str, Tensor]]:
        config, tokens = self.config, drawn.tokens
        parts = {
            "reconstruction": functional.l1_loss(drawn.volume.float(), volume.float()),
            "prior": prior_loss(tokens.probabilities),
            "entropy": entropy_loss(tokens.logits),
        }
        loss = parts["reconstruction"] + config.prior * parts["prior"] + self._entropy * parts["entropy"]
        if self.perceptual is not None:
            parts["perceptual"] = self.perceptual(*draw_slices((drawn.volume, volume), config.slices))
            loss = loss + config.perceptual_weight * parts["perceptual"]
        parts["flat_loss"] = (volume - volume.mean(dim=(2, 3, 4), keepdim=True)).abs().mean()
        parts["effective_tokens"] = effective_share(tokens.probabilities)
        parts["distinct_tokens"] = distinct_share(tokens.logits)
        return loss, parts

    def _discriminator_turn(self, volume: Tensor, degree: int) -> dict[str, Tensor]:
        with torch.no_grad():
            drawn = self.model(volume, degree).volume
        loss = discriminator_loss(self.discriminator(volume, degree), self.discriminator(drawn, degree))
        if torch.is_grad_enabled():
            self._losses.append(loss.detach())
        return {"loss": loss, "discriminator": loss.detach()}
