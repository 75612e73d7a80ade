"""Pan-FM: one vector for a whole body, from whichever of its organs were imaged.

A reconstruction: of the published model only the abstract can be read (arXiv:2605.07055). It says that seven organs
share one backbone that copes with missing ones; embedders, sizes and everything else here are ours.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from medfm_core.errors import InputError
from medfm_core.layers.attention import MultiHeadAttention
from medfm_core.layers.attention_readout import first_token_attention
from medfm_core.layers.block import Block
from medfm_core.layers.block_stack import BlockStack
from medfm_core.layers.initialisation import initialise_linear
from medfm_core.layers.mlp import Mlp
from medfm_core.layers.tokens import gather_tokens
from medfm_core.models.pan_fm_embedders import EMBEDDERS
from medfm_core.models.pan_fm_organs import OrganSpec, known_key, value_key
from medfm_core.models.sizes import read_sizes

ARCHITECTURE = "pan_fm"
ORGANS = ("brain", "heart", "adipose", "liver", "kidney", "spleen", "pancreas")
DEFAULT_ORGANS = tuple(OrganSpec(name, "vectors", count=8, values=256) for name in ORGANS)


@dataclass(frozen=True)
class PanFMConfig:
    """Architecture as data.

    Attributes:
        organs: what is known of each organ, in the order of the tokens; any list.
        width: channels of a token, a multiple of `heads`, at least 6.
        depth: blocks.
        heads: attention heads.
        mlp_width: channels inside the blocks' perceptrons.
        layer_scale: start of the learnt scale of each branch; null for none.

    Source: the seven organs are the paper's, all sizes are ours (Pan-FM spec, sections 2.1 and 2.4).
    """

    organs: tuple[OrganSpec, ...] = DEFAULT_ORGANS
    width: int = 384
    depth: int = 8
    heads: int = 6
    mlp_width: int = 1536
    layer_scale: float | None = None

    def __post_init__(self) -> None:
        names = self.names
        if not names or len(set(names)) < len(names):
            raise ValueError("organs must name at least one organ, and none twice")
        if min(self.width, self.depth, self.heads, self.mlp_width) < 1 or self.width % self.heads or self.width < 6:
            raise ValueError(f"width {self.width} must be at least 6 and a multiple of heads, and all sizes positive")

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the organs."""
        return tuple(organ.name for organ in self.organs)

    @property
    def tokens(self) -> int:
        """Tokens of a study that lacks nothing, `N`."""
        return sum(organ.tokens for organ in self.organs)


class OrganTokens(NamedTuple):
    """The organs of a batch before the backbone.

    Attributes:
        content: what was measured, `(B, N, W)`; 0 where nothing is known.
        places: which token of which organ it is, `(N, W)`.
        known: which tokens there are, `(B, N)` bool.
    """

    content: Tensor
    places: Tensor
    known: Tensor


class BodyFeatures(NamedTuple):
    """What the backbone makes of the organs.

    Attributes:
        body: the whole body, `(B, W)`.
        tokens: of the organs, `(B, N, W)`; 0 where nothing is known.
        attention: weights with which the body token looks at each token in the last block, mean over the heads,
            `(B, N)` float32; exactly 0 where nothing is known. None unless asked for.
    """

    body: Tensor
    tokens: Tensor
    attention: Tensor | None


class PanFM(nn.Module):
    """One backbone over the tokens of all organs that there are.

    What is missing is not in the sequence: tokens are packed before the first block, those that pad shorter studies
    cannot be looked at, and values given for a missing organ are never read.

    Args:
        config: the architecture.

    Shapes:
        A batch with `organ.NAME` `(B, *spec.shape)` and `known.NAME` `(B, spec.tokens)` bool for every organ, to
        `BodyFeatures`. An organ whose two keys are left out is missing in all studies.

    Source: reconstruction (Pan-FM spec, section 2.4); the pre-norm transformer is arXiv:2010.11929.
    """

    def __init__(self, config: PanFMConfig) -> None:
        super().__init__()
        self.config = config
        self.embedders = nn.ModuleDict(
            {organ.name: EMBEDDERS[organ.kind](organ, config.width) for organ in config.organs}
        )
        self.organ_types = nn.Parameter(torch.randn(len(config.organs), config.width) * 0.02)
        self.body_token = nn.Parameter(torch.randn(config.width) * 0.02)
        self.mask_token = nn.Parameter(torch.zeros(config.width))
        self.blocks = BlockStack(_block(config) for _ in range(config.depth))
        initialise_linear(self.blocks)
        self.norm = nn.LayerNorm(config.width)
        numbers = [number for number, organ in enumerate(config.organs) for _ in range(organ.tokens)]
        self.register_buffer("organ_of_token", torch.tensor(numbers), persistent=False)

    def embed(self, batch: Mapping[str, Tensor]) -> OrganTokens:
        """Turn organs into tokens.

        Args:
            batch: `organ.NAME` and `known.NAME`, see the class.

        Raises:
            InputError: no organ of the model is in the batch, a shape is wrong, or a study shows no organ at all.
        """
        size = next((len(batch[known_key(name)]) for name in self.config.names if known_key(name) in batch), None)
        if size is None:
            raise InputError("the study shows none of the model's organs", f"give at least one of {self._list()}")
        parts = [self._organ(organ, batch, size) for organ in self.config.organs]
        content, known = (torch.cat(part, dim=1) for part in zip(*parts, strict=True))
        empty = int((~known.any(dim=1)).sum())
        if empty:
            raise InputError(
                f"{empty} of {size} studies show none of the model's organs", f"give at least one of {self._list()}"
            )
        return OrganTokens(content, self._places(), known)

    def run(
        self, tokens: OrganTokens, hidden: Tensor | None = None, drop: bool = False, readout: bool = False
    ) -> BodyFeatures:
        """Run the backbone.

        Args:
            tokens: of `embed`.
            hidden: which known tokens training hides, `(B, N)` bool; None hides nothing.
            drop: leave hidden tokens out of the sequence, as if they were missing. Otherwise a mask token stands in
                their places.
            readout: read the body token's attention, too.
        """
        content, known = tokens.content, tokens.known
        if hidden is not None and drop:
            known = known & ~hidden
        elif hidden is not None:
            content = torch.where(hidden[..., None], self.mask_token.to(content.dtype), content)
        packed, there, order = _pack(content + tokens.places, known)
        sequence = torch.cat([self.body_token.to(packed.dtype).expand(len(packed), 1, -1), packed], dim=1)
        seen = torch.cat([there.new_ones(len(there), 1), there], dim=1)
        sequence, attention = self._through(sequence, seen, readout)
        sequence = self.norm(sequence)
        back = _unpack(sequence[:, 1:] * there[..., None], order, known.shape[1])
        if attention is not None:
            attention = _unpack(attention[:, 1:, None] * there[..., None], order, known.shape[1])[..., 0]
        return BodyFeatures(sequence[:, 0], back, attention)

    def forward(self, batch: Mapping[str, Tensor], readout: bool = False) -> BodyFeatures:
        """Encode the organs of a batch; see `embed` and `run`."""
        return self.run(self.embed(batch), readout=readout)

    def encode(self, batch: Mapping[str, Tensor]) -> Tensor:
        """One vector per study, `(B, 2 W)` float32: the body token beside the mean of the tokens that there are."""
        tokens = self.embed(batch)
        return self.vector(tokens, self.run(tokens))

    def vector(self, tokens: OrganTokens, features: BodyFeatures) -> Tensor:
        """The vector of `encode`, from what `embed` and `run` gave."""
        mean = features.tokens.float().sum(dim=1) / tokens.known.sum(dim=1, keepdim=True)
        return torch.cat([features.body.float(), mean], dim=1)

    def present(self, known: Tensor) -> Tensor:
        """Which organs a study has any token of, `(B, organs)` bool, from `(B, N)`."""
        return self.sum_by_organ(known.float()) > 0

    def sum_by_organ(self, values: Tensor) -> Tensor:
        """Add up values of tokens `(B, N)` to `(B, organs)`."""
        return values.new_zeros(len(values), len(self.config.organs)).index_add(1, self.organ_of_token, values)

    def set_activation_checkpointing(self, on: bool) -> None:
        """Compute the blocks' activations again in the backward pass instead of keeping them."""
        self.blocks.checkpointing = on

    def _organ(self, organ: OrganSpec, batch: Mapping[str, Tensor], size: int) -> tuple[Tensor, Tensor]:
        """Tokens of one organ, `(B, n, W)`, and which are known, `(B, n)`."""
        device = self.body_token.device
        if known_key(organ.name) not in batch or value_key(organ.name) not in batch:
            content = torch.zeros(size, organ.tokens, self.config.width, device=device)
            return content, torch.zeros(size, organ.tokens, dtype=torch.bool, device=device)
        values, known = batch[value_key(organ.name)], batch[known_key(organ.name)].bool()
        if values.shape != (size, *organ.shape) or known.shape != (size, organ.tokens):
            given, wanted = tuple(values.shape[1:]), organ.shape
            raise InputError(
                f"the organ {organ.name} comes in the shape {given} with {tuple(known.shape[1:])} tokens, and the "
                f"model reads {wanted} with {organ.tokens}",
                "prepare it as the model's architecture says",
            )
        # Whatever stands in for a missing value, NaN included, must not reach the embedder.
        mask = known.any(dim=1) if organ.kind == "volume" else known
        values = torch.where(mask.reshape(*mask.shape, *[1] * (values.ndim - mask.ndim)), values, 0)
        content = self.embedders[organ.name](values)
        return torch.where(known[..., None], content, 0), known

    def _places(self) -> Tensor:
        places = torch.cat([self.embedders[name].places() for name in self.config.names])
        return places + self.organ_types[self.organ_of_token]

    def _through(self, sequence: Tensor, seen: Tensor, readout: bool) -> tuple[Tensor, Tensor | None]:
        mask = seen[:, None, None]
        if not readout:
            return self.blocks(sequence, mask=mask), None
        *others, last = self.blocks
        for block in others:
            sequence = block(sequence, mask=mask)
        attention = first_token_attention(last.attention, last.attention_norm(sequence), seen).mean(dim=1)
        return last(sequence, mask=mask), attention

    def _list(self) -> str:
        return ", ".join(self.config.names)


def _pack(tokens: Tensor, known: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Bring known tokens to the front in their order, and cut off what no study has."""
    count = int(known.sum(dim=1).max())
    order = (~known).byte().argsort(dim=1, stable=True)[:, :count]
    return gather_tokens(tokens, order), known.gather(1, order), order


def _unpack(tokens: Tensor, order: Tensor, count: int) -> Tensor:
    """Undo `_pack`: `(B, count, W)`, 0 where nothing is known."""
    places = order[..., None].expand(-1, -1, tokens.shape[-1])
    return tokens.new_zeros(len(tokens), count, tokens.shape[-1]).scatter(1, places, tokens)


def _block(config: PanFMConfig) -> Block:
    attention = MultiHeadAttention(config.width, config.heads, qkv_bias=True)
    return Block(config.width, attention, Mlp(config.width, config.mlp_width), layer_scale=config.layer_scale)


def sizes() -> dict[str, dict[str, Any]]:
    """Values of `PanFMConfig` by size: tiny, base.

    Raises:
        WeightsError: the files of the sizes are missing or not usable.
    """
    return read_sizes(ARCHITECTURE)
