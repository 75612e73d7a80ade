"""Masked image modelling against soft tokens: name what stands at hidden places."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import Tensor, nn

from medfm_core.errors import InputError, WeightsError
from medfm_core.layers.tokens import gather_tokens
from medfm_core.models import spad_cards
from medfm_core.models.spad_initialisation import eva02_mask_token, eva02_state
from medfm_core.models.spad_inputs import tokenizer_input, vit_input
from medfm_core.models.spad_masked import SpadMaskedModel
from medfm_core.models.spad_tokenizer import SpadTokenizer, SpadTokenizerConfig
from medfm_core.models.spad_vit import SpadVitConfig
from medfm_core.models.spad_weights import load_spad_tokenizer
from medfm_core.weights import load_weights
from training.engine.draw import DrawKey
from training.engine.objective import Objective, Sample
from training.engine.runs import load_run
from training.masking.provider import MaskRequest, check_ratio
from training.masking.random_tokens import RandomMask
from training.masking.split import split_mask
from training.objectives.soft_token_losses import effective_share, entropy_loss
from training.objectives.spad_batch import by_degree, degree_of_batch, with_degree


@dataclass(frozen=True)
class SpadMimConfig:
    """What is hidden, and what names it.

    Attributes:
        tokenizer: what names the tokens: folder of a run of the objective `spad_tokenizer`, a safetensors file with our
            names or the published ones, or a card (id or path).
        architecture: of a tokenizer that is given as a file.
        mask_ratio: share of the tokens that is hidden, drawn one by one.
        mask_layer: block before which mask tokens enter; 0 for the base size, 18 for the large one.
        eva_weights: safetensors file of EVA-02 from which the transformer starts; None starts from random weights.

    Source: SPAD spec, section 6.3.
    """

    tokenizer: str
    architecture: SpadTokenizerConfig = field(default_factory=lambda: SpadTokenizerConfig(up_reduction="sum"))
    mask_ratio: float = 0.55
    mask_layer: int = 0
    eva_weights: str | None = None

    def __post_init__(self) -> None:
        check_ratio(self.mask_ratio)


class SpadMim(Objective):
    """Cross-entropy of predicted and true soft tokens at hidden places, nothing at visible ones.

    Args:
        model_config: the transformer.
        config: the objective.

    Raises:
        InputError: the tokenizer's tokens are not of the size of the transformer's, or there is no such tokenizer.
        WeightsError: weights cannot be used.

    Source: SPAD spec, section 6.3.
    """

    needs = ("image", "degree")

    def __init__(self, model_config: SpadVitConfig, config: SpadMimConfig) -> None:
        super().__init__()
        self.config = config
        self.tokenizer = load_tokenizer(config)
        tokenizer = self.tokenizer.config
        if tokenizer.stride != model_config.patch:
            raise InputError(
                f"the tokenizer's tokens are {tokenizer.stride} pixels wide, the transformer's {model_config.patch}",
                "give both the same size",
            )
        self.model = SpadMaskedModel(model_config, tokenizer.tokens, config.mask_layer)
        if config.eva_weights:
            _start_from_eva02(self.model, config.eva_weights)

    def prepare_sample(self, sample: Sample, key: DrawKey) -> Sample:
        """Add `degree` where the spacing tells it, and `mask`, `(N,)` bool, True where hidden."""
        sample = with_degree(sample)
        if "degree" not in sample:
            return sample
        grid = self.model.encoder.config.token_grid(sample["image"].shape[1:], int(sample["degree"]))
        return {**sample, "mask": RandomMask(self.config.mask_ratio)(MaskRequest(grid), key.rng("mask"))}

    def forward(self, batch: dict[str, Tensor], turn: str = "all") -> dict[str, Tensor]:
        """Compute the loss.

        Args:
            batch: `image` `(B, C, D, H, W)` in [0, 1], one channel or three; `degree` `(B,)`, all alike; `mask`
                `(B, N)` bool, as `prepare_sample` makes it.
            turn: not used.

        Returns:
            `loss`; `floor`, the lowest it can be, the entropy of the true tokens; `divergence`, what is above it;
            `blind_loss`, what answering the batch's mean token everywhere would cost, which a model that has learnt
            something must undercut; and `effective_tokens`, the share of the codebook that the true tokens use.

        Raises:
            InputError: there is no mask, the samples differ in degree, or the volume or mask does not fit.
        """
        if "mask" not in batch:
            raise InputError("the batch has no mask", "let the objective's prepare_sample add one to each sample")
        degree = degree_of_batch(batch)
        visible, hidden = split_mask(batch["mask"])
        logits = self.target_logits(batch["image"], degree)
        if logits.shape[1] != batch["mask"].shape[1]:
            tokens = batch["mask"].shape[1]
            raise InputError(f"the masks are of {tokens} tokens, the volumes have {logits.shape[1]}", "draw them anew")
        truth = gather_tokens(logits, hidden)
        predicted = self.model(vit_input(batch["image"], self._channels), degree, visible, hidden)
        loss = soft_cross_entropy(predicted, truth)
        floor, mean = entropy_loss(truth), truth.softmax(dim=-1).flatten(0, 1).mean(0)
        return {
            "loss": loss,
            "floor": floor,
            "divergence": loss.detach() - floor,
            "blind_loss": torch.special.entr(mean).sum(),
            "effective_tokens": effective_share(truth.softmax(dim=-1)),
        }

    @torch.no_grad()
    def target_logits(self, volume: Tensor, degree: int) -> Tensor:
        """Logits of the true tokens, `(B, N, K)` float32, W fastest."""
        return self.tokenizer.logits(tokenizer_input(volume, self.tokenizer.config.channels), degree).flatten(1, 3)

    @torch.no_grad()
    def encode(self, batch: dict[str, Tensor]) -> Tensor:
        """Represent volumes by the mean of their tokens, nothing hidden, `(B, width)` float32; degrees may differ."""
        return by_degree(batch, lambda images, degree: self._tokens(images, degree).float().mean(dim=1))

    def tokens(self, batch: dict[str, Tensor]) -> Tensor:
        """The tokens of volumes of one degree, nothing hidden, `(B, N, width)`."""
        return self._tokens(batch["image"], degree_of_batch(batch))

    def exported(self) -> nn.Module:
        """The transformer, without mask token and head."""
        return self.model.encoder

    def no_decay(self) -> set[str]:
        """The class token, the mask token and the positions."""
        marks = ("class_token", "mask_token", "positions.")
        return {name for name, _ in self.named_parameters() if any(mark in name for mark in marks)}

    def tokens_of(self, batch: dict[str, Tensor]) -> int:
        """All tokens of the volumes, seen or hidden."""
        return batch["mask"].numel()

    def set_activation_checkpointing(self, on: bool) -> None:
        """Compute the blocks' activations again in the backward pass instead of keeping them."""
        self.model.encoder.set_activation_checkpointing(on)

    @property
    def _channels(self) -> int:
        return self.model.encoder.config.channels

    def _tokens(self, images: Tensor, degree: int) -> Tensor:
        return self.model.encoder(vit_input(images, self._channels), degree)[:, 1:]


def soft_cross_entropy(predicted: Tensor, truth: Tensor) -> Tensor:
    """Cross-entropy of predicted tokens with true ones, mean over places; lowest, the mean entropy of the truth, at it.

    Args:
        predicted: logits `(..., K)`.
        truth: logits of the true tokens, the same shape.

    Returns:
        A scalar, float32.
    """
    return -(truth.float().softmax(dim=-1) * predicted.float().log_softmax(dim=-1)).sum(dim=-1).mean()


def load_tokenizer(config: SpadMimConfig) -> SpadTokenizer:
    """Load the tokenizer that names the tokens, frozen.

    Raises:
        InputError: the folder holds no run of a tokenizer, or there is no such card.
        WeightsError: the file cannot be used.
    """
    path = Path(config.tokenizer)
    if path.suffix == ".safetensors":
        return load_spad_tokenizer(path, config.architecture)
    if not path.is_dir():
        return spad_cards.load_tokenizer(spad_cards.choose_card(spad_cards.TOKENIZER, config.tokenizer))
    model = load_run(path)[0].exported()
    if not isinstance(model, SpadTokenizer):
        raise InputError(f"the run {path} has trained no tokenizer", "give one of the objective spad_tokenizer")
    return model.eval().requires_grad_(False)


def _start_from_eva02(model: SpadMaskedModel, path: str) -> None:
    checkpoint = load_weights(path)
    model.encoder.load_state_dict(eva02_state(checkpoint, model.encoder.config), strict=True)
    token = eva02_mask_token(checkpoint)
    if token is not None and token.shape != model.mask_token.shape:
        raise WeightsError(f"the mask token of {path} is of another size", "use a file of EVA-02 of the same size")
    if token is not None:
        with torch.no_grad():
            model.mask_token.copy_(token)
