"""A SPAD transformer as heads and probes want an encoder: tokens and vectors of a batch, whatever its spacing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path

from torch import Tensor, nn

from medfm_core.errors import InputError
from medfm_core.layers.anisotropy import adaptive_patch
from medfm_core.models.spad_inputs import vit_input
from medfm_core.models.spad_vit import SpadVit, SpadVitConfig
from training.objectives.spad_batch import by_degree, degrees_of


@dataclass(frozen=True)
class SpadEncoderConfig(SpadVitConfig):
    """A SPAD transformer downstream.

    Attributes:
        degree: degree of anisotropy of all volumes, where it is always the same; None reads it from each batch.
    """

    degree: int | None = None

    def build(self) -> SpadEncoder:
        """The encoder, with random weights."""
        plain = {field.name: getattr(self, field.name) for field in fields(SpadVitConfig)}
        return SpadEncoder(SpadVit(SpadVitConfig(**plain)), self.degree)


class SpadEncoder(nn.Module):
    """The transformer between a batch and its tokens.

    Args:
        net: the transformer.
        degree: of all volumes; None reads it from each batch.

    Attributes:
        blocks: of the transformer.
    """

    def __init__(self, net: SpadVit, degree: int | None = None) -> None:
        super().__init__()
        self.net, self.degree = net, degree

    @property
    def width(self) -> int:
        """Channels of a token."""
        return self.net.config.width

    @property
    def blocks(self) -> nn.ModuleList:
        """Blocks of the transformer."""
        return self.net.blocks

    @property
    def patch_size(self) -> tuple[int, int, int]:
        """Voxels of a token along D, H, W.

        Raises:
            InputError: it depends on the batch.
        """
        if self.degree is None:
            raise InputError("a token's voxels depend on the spacing", "give model.degree, the degree of all volumes")
        return adaptive_patch(self.net.config.patch, self.degree)

    def tokens(self, batch: dict[str, Tensor]) -> Tensor:
        """The tokens of volumes of one degree, `(B, N, width)`, W fastest.

        Args:
            batch: `image` `(B, C, D, H, W)` in [0, 1]; `degree` or `spacing_mm`, unless the encoder has its degree.

        Raises:
            InputError: the volumes differ in degree, or are not of whole tokens.
        """
        return self.net(self._input(batch["image"]), self.degree_of(batch))[:, 1:]

    def layers(self, batch: dict[str, Tensor], numbers: Sequence[int]) -> list[Tensor]:
        """The tokens after some blocks, `(B, N, width)` each, in the order of the blocks; see `tokens`."""
        image, degree, net = self._input(batch["image"]), self.degree_of(batch), self.net
        rotation = net.rotation(net.config.token_grid(image.shape[2:], degree))
        state, found, first = net.with_class_token(net.embed(image, degree)), [], 0
        for number in sorted(numbers):
            state = net.run_blocks(state, rotation, first, number + 1)
            found.append(state[:, 1:])
            first = number + 1
        return found

    def encode(self, batch: dict[str, Tensor]) -> Tensor:
        """One vector per volume, the mean of its tokens, `(B, width)` float32; volumes may differ in degree."""

        def mean(images: Tensor, degree: int) -> Tensor:
            return self.net(self._input(images), degree)[:, 1:].float().mean(dim=1)

        if self.degree is not None:
            return mean(batch["image"], self.degree)
        return by_degree(batch, mean)

    def degree_of(self, batch: dict[str, Tensor]) -> int:
        """The degree of anisotropy of a batch.

        Raises:
            InputError: its volumes differ in it, or nothing tells it.
        """
        found = {self.degree} if self.degree is not None else set(degrees_of(batch))
        if len(found) != 1:
            raise InputError(f"a batch holds volumes of the degrees {sorted(found)}", "use volumes of one spacing")
        return found.pop()

    def set_activation_checkpointing(self, on: bool) -> None:
        """Compute the blocks' activations again in the backward pass instead of keeping them."""
        self.net.set_activation_checkpointing(on)

    def _input(self, images: Tensor) -> Tensor:
        return vit_input(images, self.net.config.channels)


def spad_encoder(net: SpadVit | SpadVitConfig, degree: int | None = None) -> SpadEncoder:
    """An encoder around a transformer, or around one with random weights."""
    return SpadEncoder(net if isinstance(net, SpadVit) else SpadVit(net), degree)


def trained_encoder(path: str, degree: int | None = None) -> SpadEncoder:
    """The encoder of a run of `spad_mim`, or of a model card.

    Args:
        path: folder of the run, or id or path of a card.
        degree: of all volumes; None reads it from each batch.

    Raises:
        InputError: it is of another network, or not there.
        WeightsError: weights are missing or damaged.
    """
    from medfm_core.models.spad_cards import ENCODER, choose_card, load_encoder
    from training.engine.runs import load_run

    if not Path(path).is_dir():
        net: nn.Module = load_encoder(choose_card(ENCODER, path))
    else:
        net = load_run(Path(path))[0].exported()
        net = net.net if isinstance(net, SpadEncoder) else net
    if not isinstance(net, SpadVit):
        raise InputError(f"{path} holds no SPAD transformer", "give a run of the objective spad_mim, or a card of it")
    return SpadEncoder(net.requires_grad_(True), degree)
