"""What a probe starts from: an encoder, the volumes that it sees, and what is to be told of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import nn

from medfm_core.errors import InputError
from medfm_core.strict import from_dict
from training.evaluation.cohort import Cohort
from training.evaluation.features import Source
from training.evaluation.targets import cohort_of

NEEDS = {  # what is wrong with a command, by whether it names no target
    True: ("no target is named", "add --target NAME, a column target.NAME of the manifest"),
    False: ("--save-labels is for a segmentation", "leave it out, or add --task segmentation"),
}


@dataclass(frozen=True)
class ProbeRequest:
    """What the user names.

    Attributes:
        run: folder of a run or of one of its checkpoints; None where a card is given.
        card: id or path of a model card; None where a run is given.
        manifest: list of the volumes.
        store: where `training.prepare` put them.
        targets: names or patterns of target columns.
        task: see `training.evaluation.targets`; None lets the columns decide.
        which: checkpoint of the run, `last` or `best`.
        crop: voxels that the encoder sees, `(D, H, W)`; None for those it was trained on.
        prepared_for: card whose preparation the store holds, where the run or card does not say.
    """

    run: Path | None
    card: str | None
    manifest: Path
    store: str
    targets: tuple[str, ...]
    task: str | None = None
    which: str = "last"
    crop: tuple[int, int, int] | None = None
    prepared_for: str | None = None


@dataclass(frozen=True, eq=False)
class ProbeInputs:
    """What was found.

    Attributes:
        encoder: in evaluation mode.
        source: the volumes, one item each.
        cohort: of the items.
        described: the encoder, as plain data.
        sequences: of the items, or their modality where no sequence is given.
    """

    encoder: nn.Module
    source: Source
    cohort: Cohort
    described: Mapping[str, Any]
    sequences: tuple[str, ...] = ()


def open_inputs(request: ProbeRequest) -> ProbeInputs:
    """Load the encoder and open the volumes: of each the centre, not augmented.

    Raises:
        InputError: something is not there, or the run does not say how its volumes are prepared.
        WeightsError: weights are damaged or of another network.
    """
    from training.data.volumes import Volumes, VolumesConfig
    from training.engine.runs import load_encoder
    from training.evaluation.card_encoder import load_card_encoder

    if (request.run is None) == (request.card is None):
        raise InputError("a probe needs a run or a card", "give one of --run and --card")
    if request.run is not None:
        encoder, described = load_encoder(request.run, request.which)
    else:
        encoder, described = load_card_encoder(request.card)
    data = volumes_data(request, described)
    source = Volumes(from_dict(VolumesConfig, data, "the data to probe on"))
    cohort = cohort_of(source.rows, source.targets, request.targets, request.task)
    return ProbeInputs(encoder, source, cohort, described, tuple(row.sequence or row.modality for row in source.rows))


def volumes_data(request: ProbeRequest, described: Mapping[str, Any]) -> dict[str, Any]:
    """The configuration of the volumes: the run's own, but whole, central and not augmented.

    Raises:
        InputError: neither the run nor the request says how volumes are prepared, or how large a crop is.
    """
    trained_on = dict(described.get("recipe", {}).get("data", {}))
    data = {}
    if trained_on.pop("name", None) in ("volumes", "spacing_buckets"):  # whose crops are told in tokens
        kept = ("card", "input", "preparation", "crop", "split_seed", "train", "val", "skip_failed")
        data = {name: trained_on[name] for name in kept if name in trained_on}
    card = request.prepared_for or request.card
    if card is not None:
        data = {**data, "card": card, "input": None, **_preparation_of(card)}
    if not (data.get("card") or data.get("input")):
        raise InputError("the run does not say how volumes are prepared", "add --prepared-for CARD")
    crop = request.crop or data.get("crop") or _size_of(card)
    if crop is None:
        raise InputError("it is not known how large a crop the encoder sees", "add --crop D H W, in voxels")
    whole = {"split": "all", "place": "centre", "augment": "none", "crops_per_volume": 1}
    return {**data, **whole, "manifest": str(request.manifest), "store": str(request.store), "crop": list(crop)}


def _preparation_of(card: str) -> dict[str, str]:
    """The preparation that a card needs, where it is not the usual one of its modality."""
    from medfm_core.card_library import load_card

    return {"preparation": "brain_mr"} if load_card(card).task == "brain_embedding" else {}


def _size_of(card: str | None) -> tuple[int, int, int] | None:
    from medfm_core.card_library import load_card

    if card is None:
        return None
    found = load_card(card)
    if found.task == "brain_embedding":  # its input is the whole box, of which the network sees the middle
        return tuple(found.architecture.options["image_size"])
    return found.input.size
