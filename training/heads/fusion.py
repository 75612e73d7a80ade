"""Five ways to answer from several scans of a study, of which some may be missing.

Every fusion takes tokens `(B, M, N, F)` of M modalities and `present` `(B, M)` bool, and gives answers `(B, C)`. What
is missing is never looked at: whatever stands in its place changes nothing. Answers of the two products of experts are
log-probabilities; those of the others become so by a softmax.

| name | how |
|---|---|
| `average` | a linear layer per modality on the mean token; the mean of the answers |
| `late` | two modalities look at each other by cross-attention; a gate mixes them |
| `mil` | gated attention over the tokens of all modalities, for each class of its own |
| `product` | an attentive head per modality; the product of their probabilities |
| `product_joint` | the same with one more head that looks at all tokens |

Source: Neuro-JEPA spec, section 10.3. There, tokens of missing modalities take part in `mil` and in the products.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from medfm_core.errors import InputError
from medfm_core.strict import unknown_name
from training.heads.attentive import AttentiveHead
from training.heads.late_fusion import LateFusion
from training.heads.pooling import check_present


@dataclass(frozen=True)
class FusionShape:
    """What a fusion is built for.

    Attributes:
        width: channels of the tokens, F.
        outputs: numbers to give, C.
        modalities: how many there are, M.
    """

    width: int
    outputs: int
    modalities: int


class AverageFusion(nn.Module):
    """A linear layer per modality, and the mean of their answers over those that are there.

    Args:
        shape: what it is built for.
    """

    def __init__(self, shape: FusionShape) -> None:
        super().__init__()
        self.answers = nn.ModuleList(nn.Linear(shape.width, shape.outputs) for _ in range(shape.modalities))

    def forward(self, tokens: Tensor, present: Tensor) -> Tensor:
        """Answer `(B, C)`; see the module."""
        check_present(present)
        each = torch.stack([layer(tokens[:, m].mean(1)) for m, layer in enumerate(self.answers)], dim=1)
        return _masked_sum(each, present) / present.sum(1, keepdim=True)


class MultipleInstanceFusion(nn.Module):
    """Gated attention over the tokens of all modalities; every class attends by itself.

    Args:
        shape: what it is built for.
        hidden: channels of the gated attention.
        dropout: of the tokens' channels while training.

    Source: Neuro-JEPA spec, section 10.3; gated attention of arXiv:1802.04712.
    """

    def __init__(self, shape: FusionShape, hidden: int = 512, dropout: float = 0.5) -> None:
        super().__init__()
        self.norm, self.drop = nn.LayerNorm(shape.width), nn.Dropout(dropout)
        self.content, self.gate = nn.Linear(shape.width, hidden), nn.Linear(shape.width, hidden)
        self.score = nn.Linear(hidden, shape.outputs)
        self.answer = nn.Sequential(nn.Linear(shape.width, 256), nn.GELU(), nn.Linear(256, shape.outputs))
        self.scale, self.bias = nn.Parameter(torch.ones(shape.outputs)), nn.Parameter(torch.zeros(shape.outputs))

    def forward(self, tokens: Tensor, present: Tensor) -> Tensor:
        """Answer `(B, C)`; see the module."""
        check_present(present)
        seen = _token_mask(tokens, present)[..., None]
        flat = tokens.flatten(1, 2).masked_fill(~seen, 0)
        flat = self.drop(self.norm(flat))
        scores = self.score(self.content(flat).tanh() * self.gate(flat).sigmoid())
        weights = scores.masked_fill(~seen, float("-inf")).softmax(dim=1)
        return (weights * self.answer(flat)).sum(dim=1) * self.scale + self.bias


class ProductFusion(nn.Module):
    """The product of the probabilities that an attentive head gives for each modality that is there.

    Args:
        shape: what it is built for; at least two outputs.
        is_joint: whether one more head looks at the tokens of all modalities.

    Raises:
        InputError: a single output, of which there are no probabilities.
    """

    def __init__(self, shape: FusionShape, is_joint: bool = False) -> None:
        super().__init__()
        if shape.outputs < 2:
            raise InputError("a product of experts needs classes, not one number", "use average, late or mil")
        heads = math.gcd(shape.width, 8)
        self.experts = nn.ModuleList(
            AttentiveHead(shape.width, shape.outputs, heads) for _ in range(shape.modalities)
        )  # fmt: skip
        self.joint = AttentiveHead(shape.width, shape.outputs, heads) if is_joint else None

    def forward(self, tokens: Tensor, present: Tensor) -> Tensor:
        """Log-probabilities `(B, C)`; see the module."""
        check_present(present)
        each = torch.stack([head(tokens[:, m]).log_softmax(-1) for m, head in enumerate(self.experts)], dim=1)
        total = _masked_sum(each, present)
        if self.joint is not None:
            mask = _token_mask(tokens, present)
            flat = tokens.flatten(1, 2).masked_fill(~mask[..., None], 0)
            total = total + self.joint(flat, mask).log_softmax(-1)
        return total.log_softmax(-1)


_FUSIONS: Mapping[str, Callable[[FusionShape], nn.Module]] = {
    "average": AverageFusion,
    "late": lambda shape: LateFusion(shape.width, shape.outputs, shape.modalities),
    "mil": MultipleInstanceFusion,
    "product": ProductFusion,
    "product_joint": lambda shape: ProductFusion(shape, is_joint=True),
}
FUSIONS = tuple(_FUSIONS)


def build_fusion(name: str, shape: FusionShape) -> nn.Module:
    """Build a fusion.

    Args:
        name: one of `FUSIONS`.
        shape: what it is built for.

    Raises:
        InputError: there is no such fusion, or it cannot have this shape.
    """
    if name not in _FUSIONS:
        raise InputError(unknown_name("fusion", name, FUSIONS), "choose one of them")
    return _FUSIONS[name](shape)


def drop_modalities(present: Tensor, share: float, generator: torch.Generator) -> Tensor:
    """Take modalities away for one step of training, so that a fusion learns to do without them.

    Each sample that has several modalities loses some of them with the probability `share`: any set of them that is
    neither empty nor all is as likely to stay as another. Never done outside training.

    Args:
        present: `(B, M)` bool.
        share: of the samples.
        generator: of this step.

    Returns:
        `(B, M)` bool; every sample keeps one at least.
    """
    kept = present.clone()
    hit = torch.rand(len(present), generator=generator) < share
    for row in torch.nonzero(hit & (present.sum(1) > 1)).flatten().tolist():
        there = torch.nonzero(present[row]).flatten()
        code = int(torch.randint(1, 2 ** len(there) - 1, (1,), generator=generator))  # a bit for each that stays
        kept[row, there] = torch.tensor([bool(code >> bit & 1) for bit in range(len(there))])
    return kept


def fusion_loss(answer: Tensor, target: Tensor) -> Tensor:
    """Cross-entropy of classes; log-probabilities pass through the softmax unchanged.

    Args:
        answer: `(B, C)` of any fusion.
        target: `(B,)` class numbers; -1 for unknown.
    """
    known = target >= 0
    if not bool(known.any()):
        return answer.sum() * 0
    return functional.cross_entropy(answer[known].float(), target[known].long())


def _masked_sum(each: Tensor, present: Tensor) -> Tensor:
    """Sum over the modalities that are there, `(B, M, C)` to `(B, C)`; NaN in the others does no harm."""
    return torch.where(present[..., None], each, 0.0).sum(dim=1)


def _token_mask(tokens: Tensor, present: Tensor) -> Tensor:
    """Which tokens of all modalities count, `(B, M * N)` bool."""
    return present.repeat_interleave(tokens.shape[2], dim=1)
