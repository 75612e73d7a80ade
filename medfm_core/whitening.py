"""Vectors without what those of all images share, and with all that tells them apart counting the same."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional


@dataclass(frozen=True, eq=False)
class Whitening:
    """What is taken from vectors before they are compared.

    Vectors of any two images of an encoder point nearly the same way, and what differs lies nearly all in two or three
    directions, such as how bright an image is. The cosine of two so says little of what they show.

    Attributes:
        centre: mean direction of many images, `(W,)` float32.
        matrix: brings their spread to the same size in all directions, `(W, W)` float32, symmetric.

    Source: PCA-whitening as in image retrieval, arXiv:1604.02426, without learnt pairs.
    """

    centre: Tensor
    matrix: Tensor


def whitened(mean: Tensor, whitening: Whitening | None) -> Tensor:
    """The direction of a vector once it is whitened.

    Args:
        mean: of the tokens of an image, `(W,)`.
        whitening: of the encoder; None for the direction as it is.

    Returns:
        `(W,)`, of length 1.
    """
    unit = functional.normalize(mean, dim=0)
    if whitening is None:
        return unit
    return functional.normalize((unit - whitening.centre.to(unit)) @ whitening.matrix.to(unit), dim=0)


def fit_whitening(units: Tensor, ridge: float = 1e-4) -> Whitening:
    """Find the whitening of directions.

    Args:
        units: `(N, W)`, each of length 1; better many more than W.
        ridge: added to the variance of every direction, as a share of the largest, so that those in which the images
            hardly differ are not blown up.
    """
    values = units.double()
    centre = values.mean(dim=0)
    spread = (values - centre).T @ (values - centre) / len(values)
    variances, axes = torch.linalg.eigh(spread)
    scale = (variances.clamp(min=0) + ridge * variances[-1].clamp(min=1e-12)).rsqrt()
    return Whitening(centre.float(), (axes * scale @ axes.T).float())
