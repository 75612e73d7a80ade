"""What a model card says of a run's network and input, by objective."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from medfm_core.card_library import load_card
from medfm_core.errors import InputError
from medfm_core.strict import to_dict
from training.engine.config import Recipe
from training.engine.objective import Objective


def card_entries(objective: Objective, recipe: Recipe) -> dict[str, Any]:
    """The card's `task`, `architecture`, `input` and, for a segmenter, `labels`.

    Raises:
        InputError: weights of this objective have no card.
    """
    name = recipe.names["objective"]
    if name not in _ENTRIES:
        raise InputError(f"weights of the objective {name!r} have no card", f"export one of {', '.join(_ENTRIES)}")
    return _ENTRIES[name](recipe)


def _organ_segmentation(recipe: Recipe) -> dict[str, Any]:
    from medfm_core.models.segmenter import ARCHITECTURE

    data, model = recipe.data, recipe.model
    return {
        "task": "organ_segmentation",
        "architecture": {"name": ARCHITECTURE, **to_dict(model), "out_channels": model.out_channels},
        "input": to_dict(replace(data.input, spacing_mm=(data.spacing_mm,) * 3)),
        "labels": {str(channel): name for channel, name in enumerate(data.classes, start=1)},
    }


def _videomae(recipe: Recipe) -> dict[str, Any]:
    from dataclasses import fields

    from medfm_core.models.vit import VolumeTransformerConfig

    if recipe.names["model"] == "neuro_jepa":  # the same network, learnt from voxels
        return _neuro_jepa(recipe)
    # Of a design with more around it, such as TotalFM, the transformer alone is trained and exported.
    values = {f.name: getattr(recipe.model, f.name) for f in fields(VolumeTransformerConfig)}
    spec = load_card(recipe.data.card).input if recipe.data.card else recipe.data.input
    return {
        "task": "embedding",
        "architecture": {"name": "volume_transformer", **to_dict(values)},
        "input": to_dict(replace(spec, size=recipe.data.crop)),
    }


def _contrastive(recipe: Recipe) -> dict[str, Any]:
    from training.data.organ_studies import read_spec

    text = {"text_width": recipe.objective.text_width, "text_tower": recipe.objective.text_tower}
    return {
        "task": "findings",
        "architecture": {"name": "totalfm", **to_dict(recipe.model, defaults=True), **text},
        "input": to_dict(read_spec(recipe.data.card, recipe.data.input_file)),
    }


def _neuro_jepa(recipe: Recipe) -> dict[str, Any]:
    from medfm_core.brain_sequence import SEQUENCES
    from medfm_core.models.neuro_jepa import ARCHITECTURE

    data = recipe.data
    if getattr(data, "preparation", None) != "brain_mr" or data.spec.size is None:
        what = f"the data source {recipe.names['data']!r} does not prepare brains as the runtime does"
        raise InputError(what, "export a run on volumes of the preparation brain_mr, whose input has a size")
    if tuple(data.crop) != tuple(recipe.model.image_size):
        raise InputError(
            f"the run saw crops of {tuple(data.crop)}, the model is for {recipe.model.image_size}",
            "train it on crops of the model's image_size",
        )
    spec = replace(data.spec, sequences=data.spec.sequences or SEQUENCES, regions=data.spec.regions or ("head",))
    return {
        "task": "brain_embedding",
        "architecture": {"name": ARCHITECTURE, **to_dict(recipe.model, defaults=True)},
        "input": to_dict(spec),
    }


def _pan_fm(recipe: Recipe) -> dict[str, Any]:
    from training.body_entries import body_entries

    return body_entries(recipe)


def _spad_mim(recipe: Recipe) -> dict[str, Any]:
    from medfm_core.models.spad_vit import ARCHITECTURE

    return {"task": "embedding", **_spad(recipe, ARCHITECTURE, recipe.model.patch)}


def _spad_tokenizer(recipe: Recipe) -> dict[str, Any]:
    from medfm_core.models.spad_tokenizer import ARCHITECTURE

    return {"task": "reconstruction", **_spad(recipe, ARCHITECTURE, recipe.model.stride)}


def _spad(recipe: Recipe, architecture: str, patch: int) -> dict[str, Any]:
    """Tiles are as large as the crops of the training, in tokens; their sides are told for cubic voxels."""
    data = recipe.data
    spec = load_card(data.card).input if getattr(data, "card", None) else getattr(data, "input", None)
    if spec is None:
        what = f"the data source {recipe.names['data']!r} says not how images are prepared"
        raise InputError(what, "export a run on spacing_buckets or volumes")
    tokens = getattr(data, "tokens", None)
    tile = [n * patch for n in tokens] if tokens else list(data.crop)
    return {
        "architecture": {"name": architecture, **to_dict(recipe.model, defaults=True)},
        "input": to_dict(spec),
        "inference": {"tile": tile},
    }


_ENTRIES: dict[str, Callable[[Recipe], dict[str, Any]]] = {
    "contrastive": _contrastive,
    "neuro_jepa": _neuro_jepa,
    "organ_segmentation": _organ_segmentation,
    "pan_fm": _pan_fm,
    "spad_mim": _spad_mim,
    "spad_tokenizer": _spad_tokenizer,
    "videomae": _videomae,
}
