"""A mixture of experts: a router, its experts, and one perceptron that serves every token."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from medfm_core.layers.experts import Experts
from medfm_core.layers.mlp import Mlp


@dataclass(frozen=True)
class MixtureConfig:
    """How many experts there are, how large, and how they are mixed.

    Attributes:
        experts: routed experts, `E`.
        active: experts that each token chooses, `k`.
        expert_width: channels inside a routed expert.
        shared_width: channels inside the perceptron that serves every token.
        route_scale: what the weights of the chosen experts are multiplied with.
    """

    experts: int = 16
    active: int = 6
    expert_width: int = 384
    shared_width: int = 768
    route_scale: float = 4.0

    def __post_init__(self) -> None:
        if not 1 <= self.active <= self.experts:
            raise ValueError(f"active {self.active} must lie between 1 and experts {self.experts}")
        if min(self.expert_width, self.shared_width) < 1 or self.route_scale <= 0:
            raise ValueError("expert_width and shared_width must be at least 1, route_scale above 0")


@dataclass(frozen=True)
class Routing:
    """Which experts tokens chose.

    Attributes:
        scores: softmax over the experts, `(T, E)` float32, for the `T = B * N` tokens of a batch.
        chosen: the experts with the highest scores after balancing, `(T, k)` int64.
        weights: what their outputs are multiplied with, `(T, k)` float32.
    """

    scores: Tensor
    chosen: Tensor
    weights: Tensor


class Router(nn.Module):
    """Choose experts by score plus balance, weigh them by score alone.

    Scores are not renormalised over the chosen ones. The balance moves only by `expert_balance.balanced`.

    Args:
        width: channels of a token, `W`.
        config: the mixture.

    Source: Neuro-JEPA spec, section 3.3; loss-free balancing, arXiv:2408.15664.
    """

    def __init__(self, width: int, config: MixtureConfig) -> None:
        super().__init__()
        self.active, self.scale = config.active, config.route_scale
        self.score = nn.Linear(width, config.experts, bias=False)
        self.register_buffer("balance", torch.zeros(config.experts))

    def forward(self, tokens: Tensor) -> Routing:
        """Route `(T, W)`; all of it in float32, since a rounding error chooses another expert."""
        with torch.autocast(tokens.device.type, enabled=False):
            logits = nn.functional.linear(tokens.float(), self.score.weight.float())
        scores = logits.softmax(dim=-1)
        chosen = (scores.detach() + self.balance).topk(self.active, dim=-1).indices
        return Routing(scores, chosen, scores.gather(1, chosen) * self.scale)


class MixtureOfExperts(nn.Module):
    """The weighted sum of what the chosen experts say, and what the shared perceptron says.

    Args:
        width: channels of a token, `W`.
        config: the mixture.

    Shapes:
        `(B, N, W)` to `(B, N, W)`, with the routing of its `B * N` tokens.

    Source: Neuro-JEPA spec, section 3.3.
    """

    def __init__(self, width: int, config: MixtureConfig) -> None:
        super().__init__()
        self.router = Router(width, config)
        self.experts = Experts(width, config.expert_width, config.experts)
        self.shared = Mlp(width, config.shared_width)

    def forward(self, tokens: Tensor) -> tuple[Tensor, Routing]:
        """Return the new tokens and who made them."""
        flat = tokens.flatten(0, 1)
        routing = self.router(flat)
        routed = self.experts(flat, routing.chosen, routing.weights)
        return routed.unflatten(0, tokens.shape[:2]) + self.shared(tokens), routing
