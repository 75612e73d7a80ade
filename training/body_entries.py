"""What a model card says of a whole-body run: its organs, and where the values of each come from."""

from __future__ import annotations

from typing import Any

from torch import nn

from medfm_core.card_body import OrganSource
from medfm_core.errors import InputError
from medfm_core.models.pan_fm import ARCHITECTURE, PanFM
from medfm_core.models.pan_fm_organs import OrganSpec
from medfm_core.models.pan_fm_weights import TASK
from medfm_core.strict import to_dict
from training.data.manifest import read_manifest
from training.data.organ_making import read_making
from training.data.organ_sets import OrganSets
from training.data.vector_scales import with_scales
from training.engine.config import Recipe


def body_entries(recipe: Recipe) -> dict[str, Any]:
    """The card's `task`, `architecture` and `input`; the run's manifest is read for them.

    Raises:
        InputError: the manifest is not there, or its organs are not those of the run.
    """
    source = _source(recipe)
    making = read_making(recipe.data.manifest)
    body: dict[str, OrganSource] = {}
    for organ in recipe.model.organs:
        if organ.kind == "table":
            mean, deviation = (tuple(float(f"{n:.7g}") for n in row) for row in source.scales[organ.name])
            body[organ.name] = OrganSource(mean=mean, deviation=deviation)
        elif organ.kind == "vectors" and making is not None and making.source(organ.name) is not None:
            body[organ.name] = _checked(making.source(organ.name), organ)
    modalities = sorted({row.modality for row in read_manifest(recipe.data.manifest, "none").rows})
    return {
        "task": TASK,
        "architecture": {"name": ARCHITECTURE, **to_dict(recipe.model, defaults=True)},
        "input": {
            "modality": modalities,
            "orientation": None,
            "spacing_rule": "native",
            "intensity": {"kind": "none"},
            "body": to_dict(body),
        },
    }


def body_network(net: nn.Module, recipe: Recipe) -> nn.Module:
    """The network as it is shipped: it takes vectors as their encoder gives them, whatever training did to them.

    Args:
        net: of the run; anything but a whole-body model stays as it is.
        recipe: of the run.
    """
    if not isinstance(net, PanFM) or not recipe.data.standardise_vectors:
        return net
    return with_scales(net, _source(recipe).vector_scales)


def _source(recipe: Recipe) -> OrganSets:
    if not hasattr(recipe.data, "standardise_vectors") or recipe.data.specs != recipe.model.organs:
        what = f"the data source {recipe.names['data']!r} does not say where the organs of the run come from"
        raise InputError(what, "export a run on organ_sets whose organs are those of the model")
    return OrganSets(recipe.data)


def _checked(source: OrganSource, organ: OrganSpec) -> OrganSource:
    if source.width != organ.values or len(source.units) != organ.count:
        what = f"{len(source.units)} vectors of {source.width} numbers were made of the organ {organ.name}"
        raise InputError(f"{what}, and the run reads {organ.count} of {organ.values}", "use the manifest of the run")
    return source
