"""Heads by name."""

from __future__ import annotations

import math

from torch import nn

from medfm_core.errors import InputError
from medfm_core.strict import unknown_name
from training.heads.attentive import AttentiveHead
from training.heads.linear import LinearHead
from training.heads.mlp import MLPHead

HEADS = ("linear", "mlp", "attentive")


def build_head(name: str, width: int, outputs: int, depth: int = 1) -> nn.Module:
    """Build a head for vectors of numbers.

    Args:
        name: one of `HEADS`.
        width: channels of the features.
        outputs: how many numbers to give.
        depth: blocks of an attentive head.

    Raises:
        InputError: there is no such head.
    """
    if name == "linear":
        return LinearHead(width, outputs)
    if name == "mlp":
        return MLPHead(width, outputs)
    if name == "attentive":
        return AttentiveHead(width, outputs, heads=math.gcd(width, 8), depth=depth)
    raise InputError(unknown_name("head", name, HEADS), "choose one of them")
