"""Pan-FM from a model card: the architecture that the card names, and its weights, strictly."""

from __future__ import annotations

from pathlib import Path

import torch

from medfm_core.cards import ModelCard
from medfm_core.errors import WeightsError
from medfm_core.hub.present import require_files
from medfm_core.models.pan_fm import ARCHITECTURE, PanFM, PanFMConfig
from medfm_core.strict import from_dict
from medfm_core.weights import load_weights

TASK = "whole_body_embedding"


def load_pan_fm(card: ModelCard, device: torch.device | str = "cpu", root: str | Path | None = None) -> PanFM:
    """Load a whole-body model.

    Args:
        card: of the task "whole_body_embedding".
        device: where it goes.
        root: the folder of the files, where it is not the card's own.

    Returns:
        The network in fp32 and evaluation mode.

    Raises:
        WeightsError: the card is of another kind, or its file is missing, damaged or of another network.
    """
    if card.task != TASK or card.architecture.name != ARCHITECTURE:
        what = (
            f"the model {card.id} is a {card.architecture.name} for {card.task}, not a {ARCHITECTURE} of whole bodies"
        )
        raise WeightsError(what, "choose another model, or update MedFM")
    require_files(card, None if root is None else Path(root))
    options = dict(card.architecture.options)
    net = PanFM(from_dict(PanFMConfig, options, f"{card.id}: architecture", WeightsError))
    path = card.files(root)[card.file_of("weights")]
    state = load_weights(path, {name: tuple(value.shape) for name, value in net.state_dict().items()})
    net.load_state_dict({name: value.float() for name, value in state.items()}, strict=True)
    if not all(torch.isfinite(value).all() for value in net.state_dict().values()):
        raise WeightsError(f"the weights of {card.id} hold values that are not numbers", "use the original file")
    return net.to(device).eval().requires_grad_(False)
