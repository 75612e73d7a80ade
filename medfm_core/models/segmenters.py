"""Which module builds the network of which architecture of organ segmenters. No torch here."""

from __future__ import annotations

import importlib
from importlib.util import find_spec
from typing import TYPE_CHECKING

from medfm_core.cards import ModelCard
from medfm_core.errors import ResourceError, WeightsError
from medfm_core.strict import nearest

if TYPE_CHECKING:
    import torch
    from torch import nn

# Architecture to the function that loads it ("module:function") and to the package that it needs besides ours.
LOADERS: dict[str, tuple[str, str | None]] = {
    "half_resolution_unet": ("medfm_core.models.segmenter:load_segmenter", None),
    "monai_segresnet": ("medfm_core.models.monai_segresnet:load", "monai"),
    "monai_vista3d": ("medfm_core.models.monai_vista3d:load", "monai"),
}


def check_architecture(card: ModelCard) -> None:
    """Refuse a segmenter that cannot be built here.

    Raises:
        WeightsError: the architecture is not known.
        ResourceError: it needs a package that is not installed.
    """
    name = card.architecture.name
    if name not in LOADERS:
        raise WeightsError(
            f"{card.id} needs the architecture {name!r}, which is not here{nearest(name, LOADERS)}", "update MedFM"
        )
    package = LOADERS[name][1]
    if package is not None and find_spec(package) is None:
        raise ResourceError(f"{card.id} needs the package {package}", f"run pip install 'medfm[{package}]'")


def load_network(card: ModelCard, device: torch.device | str = "cpu") -> nn.Module:
    """Build the net of a card and load its weights strictly.

    Args:
        card: an `organ_segmentation` card.
        device: where the net goes.

    Returns:
        A net from `(B, C, D, H, W)` to logits, with `config.divisor` and `config.out_channels`; where `numbers` is
        there, it names the card's channel of each output.

    Raises:
        WeightsError: another architecture, or weights missing, damaged or of other shapes.
        ResourceError: a package is missing.
    """
    check_architecture(card)
    module, function = LOADERS[card.architecture.name][0].split(":")
    return getattr(importlib.import_module(module), function)(card, device)
