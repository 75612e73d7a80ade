"""What a published findings model's checkpoint must hold, file by file: names and shapes for its conversion.

A card names the published checkpoint once per file that is made of it; each gets its part under these names.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from medfm_core.card_parts import WeightFile
from medfm_core.cards import ModelCard
from medfm_core.errors import WeightsError
from medfm_core.findings_model import architecture_of
from medfm_core.text_towers import text_encoder_of

if TYPE_CHECKING:
    from medfm_core.findings_model import TextSide

Shapes = Mapping[str, tuple[int, ...]]


def totalfm_shapes(card: ModelCard, file: WeightFile) -> Shapes:
    """Tensors of TotalFM's release under its own names, which `totalfm_weights` reads.

    Args:
        card: the card.
        file: of role weights, text or text_encoder.

    Raises:
        WeightsError: a file of another role, or a card that is not usable.
    """
    from medfm_core.models.totalfm_weights import published_shapes

    config, text = architecture_of(card)
    if file.role == "weights":
        return published_shapes(config)
    if file.role == "text":
        width = config.embedding_width
        projection = {"text_proj.weight": (width, text.text_width), "text_proj.bias": (width,)}
        return projection | {"logit_scale": (1,), "logit_bias": (1,)}
    return _text_encoder(card, file, text)


def merlin_shapes(card: ModelCard, file: WeightFile) -> Shapes:
    """Tensors of Merlin's release under our names; arguments and errors as of `totalfm_shapes`."""
    from medfm_core.models.merlin import encoder_shapes

    config, text = architecture_of(card)
    if file.role == "weights":
        return encoder_shapes(config)
    if file.role == "text":
        width = config.embedding_width
        linear = {"weight": (width, text.text_width), "bias": (width,)}
        return {f"text_projection.linear.{name}": shape for name, shape in linear.items()} | {"logits.scale": ()}
    return _text_encoder(card, file, text)


def ct_clip_shapes(card: ModelCard, file: WeightFile) -> Shapes:
    """Tensors of CT-CLIP's release under our names; arguments and errors as of `totalfm_shapes`."""
    from medfm_core.models.ct_clip import encoder_shapes

    config, text = architecture_of(card)
    if file.role == "weights":
        return encoder_shapes(config)
    if file.role == "text":
        return {"text_projection.linear.weight": (config.embedding_width, text.text_width), "logits.scale": ()}
    return _text_encoder(card, file, text)


def _text_encoder(card: ModelCard, file: WeightFile, text: TextSide) -> Shapes:
    from medfm_core.models.published_text import text_encoder_shapes

    config = text_encoder_of(card)
    if file.role != "text_encoder" or config is None:
        raise WeightsError(f"{card.id}: nothing is known of the file {file.file} of role {file.role!r}")
    if config.width != text.text_width:
        raise WeightsError(f"{card.id}: text_width {text.text_width} is not the text encoder's {config.width}")
    return text_encoder_shapes(config)
