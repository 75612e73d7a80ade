"""Health of a representation: does it still tell samples apart, and in how many directions?"""

from __future__ import annotations

from dataclasses import asdict, dataclass

import torch
from torch import Tensor

from medfm_core.errors import InputError

_DEAD = 1e-3
_SMALLEST = torch.finfo(torch.float32).eps ** 2


@dataclass(frozen=True)
class Health:
    """What the features of a fixed set of samples say.

    Attributes:
        effective_rank: number of directions that the features use: exponential of the entropy of the normalised
            singular values, 1 to min(N - 1, F).
        participation_ratio: the same by variances, (sum of eigenvalues)^2 / sum of their squares; counts only strong
            directions.
        mean_cosine: mean cosine similarity of two different samples, -1 to 1; 1 when all point the same way.
        std_mean: mean over features of their standard deviation.
        std_min: smallest of them.
        dead_share: share of features that hardly change, 0 to 1: standard deviation below a thousandth of the
            features' root mean square.
        condition: largest over smallest of the min(N - 1, F) eigenvalues of the covariance, at most 7e13.
        limit: min(N - 1, F), the largest possible rank.
    """

    effective_rank: float
    participation_ratio: float
    mean_cosine: float
    std_mean: float
    std_min: float
    dead_share: float
    condition: float
    limit: int

    def figures(self) -> dict[str, float]:
        """The figures by name."""
        return {name: float(value) for name, value in asdict(self).items()}


@torch.no_grad()
def measure_health(features: Tensor) -> Health | None:
    """Measure the representation.

    All but `mean_cosine` look at the features without their mean, which says nothing on what tells samples apart.

    Args:
        features: one vector per sample, `(N, F)`, on any device.

    Returns:
        The figures; None when a feature is NaN or infinite.

    Raises:
        InputError: fewer than 3 samples, or not `(N, F)`.

    Source: effective rank as in RankMe (Garrido et al. 2023, arXiv:2210.02885), here of centred features.
    """
    if features.ndim != 2 or len(features) < 3 or features.shape[1] < 1:
        raise InputError(f"features of shape {tuple(features.shape)} tell nothing", "give (N, F) of at least 3 samples")
    features = features.detach().cpu().double()
    if not bool(torch.isfinite(features).all()):
        return None
    limit = min(len(features) - 1, features.shape[1])
    centred = features - features.mean(0)
    std = centred.square().sum(0).div(len(features) - 1).sqrt()
    scale = features.square().mean().sqrt()
    values = torch.linalg.svdvals(centred)[:limit]
    if float(values[0]) <= 1e-12 * float(scale) * len(features) ** 0.5:
        values = torch.zeros_like(values)
    return Health(
        effective_rank=_effective_rank(values),
        participation_ratio=_participation_ratio(values),
        mean_cosine=_mean_cosine(features),
        std_mean=float(std.mean()),
        std_min=float(std.min()),
        dead_share=float((std <= _DEAD * scale).double().mean()),
        condition=_condition(values),
        limit=limit,
    )


def _effective_rank(values: Tensor) -> float:
    """Exponential of the entropy of singular values `(R,)`; 1 when all are 0: one point is one direction at most."""
    if float(values.sum()) == 0:
        return 1.0
    shares = values / values.sum()
    return float(torch.special.entr(shares).sum().exp())


def _participation_ratio(values: Tensor) -> float:
    variances = values.square()
    total = float(variances.sum())
    return total**2 / float(variances.square().sum()) if total > 0 else 1.0


def _condition(values: Tensor) -> float:
    largest = float(values[0]) ** 2
    return largest / max(float(values[-1]) ** 2, largest * _SMALLEST) if largest > 0 else 1 / _SMALLEST


def _mean_cosine(features: Tensor) -> float:
    """Mean over all pairs of different samples, from the sum of the unit vectors; a zero vector is like no other."""
    count = len(features)
    norms = features.norm(dim=1, keepdim=True)
    if not bool((norms > 0).any()):
        return 1.0
    unit = features / norms.clamp_min(torch.finfo(torch.float64).tiny)
    filled = int((norms > 0).sum())
    return (float(unit.sum(0).square().sum()) - filled) / (count * (count - 1))
