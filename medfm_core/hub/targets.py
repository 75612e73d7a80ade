"""The tensors that a network has, by the name of its architecture: what a converted checkpoint must fill exactly.

A network is registered by where a function lies that takes the card and the file's entry and returns name to shape; it
is imported when a checkpoint is converted, and no sooner.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping

from medfm_core.card_parts import WeightFile
from medfm_core.cards import ModelCard
from medfm_core.errors import WeightsError
from medfm_core.strict import nearest

Shapes = Mapping[str, Mapping[str, tuple[int, ...]]]
# Architecture to "module:function".
TARGETS: dict[str, str] = {
    "brainiac": "medfm_core.models.brainiac_weights:tensor_shapes",
    "ct_clip": "medfm_core.published_findings:ct_clip_shapes",
    "merlin": "medfm_core.published_findings:merlin_shapes",
    "monai_segresnet": "medfm_core.models.monai_segresnet:tensor_shapes",
    "monai_vista3d": "medfm_core.models.monai_vista3d:tensor_shapes",
    "spad_tokenizer": "medfm_core.published_spad:tokenizer_shapes",
    "spad_vit": "medfm_core.published_spad:encoder_shapes",
    "totalfm": "medfm_core.published_findings:totalfm_shapes",
}


def expected_shapes(card: ModelCard, file: WeightFile) -> Mapping[str, tuple[int, ...]]:
    """Name to shape of the tensors that a file of a card must have after conversion.

    Args:
        card: the card.
        file: its entry.

    Raises:
        WeightsError: the architecture is not registered.
    """
    name = card.architecture.name
    if name not in TARGETS:
        raise WeightsError(f"checkpoints of the architecture {name!r} cannot be converted{nearest(name, TARGETS)}")
    module, function = TARGETS[name].split(":")
    return getattr(importlib.import_module(module), function)(card, file)
