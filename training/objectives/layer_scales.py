"""Layer-wise learning rates: what lies near the input changes least in fine-tuning."""

from __future__ import annotations

import re

from torch import nn

_BLOCK = re.compile(r"(?:^|\.)blocks\.(?:\w+\.)?(\d+)\.")


def set_layer_scales(encoder: nn.Module, decay: float) -> None:
    """Write `lr_scale` on every parameter: 1 behind the last block, a factor `decay` less with each block before.

    Parameters outside blocks and before them (patches, positions) count as one block more; a name after `blocks` such
    as a last norm counts as behind them.

    Args:
        encoder: its blocks are named `blocks.0`, `blocks.1`, ... somewhere.
        decay: in (0, 1].
    """
    named = [(value, _BLOCK.search(name)) for name, value in encoder.named_parameters()]
    depth = max((int(found[1]) + 1 for _, found in named if found), default=0)
    seen_block = False
    for value, found in named:
        seen_block = seen_block or found is not None
        level = int(found[1]) + 1 if found else (depth + 1 if seen_block else 0)
        value.lr_scale = decay ** (depth + 1 - level)
