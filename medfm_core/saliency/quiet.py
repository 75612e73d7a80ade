"""An encoder as it is while it is looked at: no dropout, nothing computed twice, and afterwards as it was."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from torch import nn

from medfm_core.layers.block_stack import BlockStack


@contextmanager
def quiet(encoder: object) -> Iterator[None]:
    """Put a module into evaluation without activation checkpointing, and put every part back at the end.

    Args:
        encoder: a module; anything else is left alone.
    """
    modules = list(encoder.modules()) if isinstance(encoder, nn.Module) else []
    training = [module for module in modules if module.training]
    checkpointing = [module for module in modules if isinstance(module, BlockStack) and module.checkpointing]
    try:
        for module in training:
            module.training = False
        for module in checkpointing:
            module.checkpointing = False
        yield
    finally:
        for module in training:
            module.training = True
        for module in checkpointing:
            module.checkpointing = True
