"""How a volume is prepared before it is stored: by a function with a name, for what a model card's `input` says.

A preparation gets the volume as read and returns it as the network takes it: array axes in the network's order
(D, H, W), on the model's grid, in the values that are stored. What is done to values after that (windows, scaling)
belongs to the card's intensity rule and happens when a crop is used, so it can change without preparing anything anew.
More preparations are added to `PREPARATIONS`; each says which entries of the `input` decide its result.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from medfm_core.brain_box import to_brain_box
from medfm_core.card_inputs import InputSpec
from medfm_core.card_library import load_card
from medfm_core.errors import InputError, ModalityError
from medfm_core.io import clamp_air, read_volume
from medfm_core.io.picture import read_image
from medfm_core.organ_volumes import to_organ_grid
from medfm_core.preprocessing import to_model_grid
from medfm_core.slices import to_slices
from medfm_core.strict import from_dict, to_dict, unknown_name
from medfm_core.volume import Volume, reorient, resample, resample_to

AUTO = "auto"


@dataclass(frozen=True)
class Preparation:
    """A named way to prepare volumes.

    Attributes:
        run: from the image as read and the card's `input` to the image as stored, array axes in the network's order.
        reads: entries of the `input` that decide the result: they, the name and the version identify it.
        version: raised whenever the same input gives another result.
        modalities: which it is for.
        scales: whether values are stored as they enter the network, the card's intensity rule applied.
        open: reads a file or folder, `(source, series=...)`.
    """

    run: Callable[[Volume, InputSpec], Volume]
    reads: tuple[str, ...]
    version: int
    modalities: tuple[str, ...]
    scales: bool = False
    open: Callable[..., Volume] = read_volume


def body_ct(image: Volume, spec: InputSpec) -> Volume:
    """CT as the volume models take it: HU, cropped to the body, on the card's grid."""
    _, on_grid = to_model_grid(clamp_air(image), spec)
    return network_order(on_grid)


def organ_ct(image: Volume, spec: InputSpec) -> Volume:
    """CT as models take it that look at one organ at a time: HU, nothing cut away, on the grid of the organs' boxes."""
    return network_order(to_organ_grid(clamp_air(image), spec))


def whole_image(image: Volume, spec: InputSpec) -> Volume:
    """Orientation and spacing of the card, nothing cut away, values as they are."""
    oriented = reorient(image, spec.orientation) if spec.orientation else image
    if spec.spacing_mm is None:
        return network_order(oriented)
    wanted = np.array(spec.spacing_mm)
    if spec.spacing_rule == "at_least":
        wanted = np.maximum(wanted, oriented.spacing)
    same = np.allclose(wanted, oriented.spacing, rtol=1e-3)
    return network_order(oriented if same else resample(oriented, wanted))


def brain_mr(image: Volume, spec: InputSpec) -> Volume:
    """A stripped brain MRI in the network's box, by the chain that the card asks for (`medfm_core.brain_box`)."""
    return to_brain_box(image, spec)


def network_order(volume: Volume) -> Volume:
    """Reverse the array axes, (I, J, K) to (D, H, W) = (K, J, I); the affine follows."""
    step = np.zeros((4, 4))
    step[[0, 1, 2, 3], [2, 1, 0, 3]] = 1.0
    return replace(volume, voxels=volume.voxels.transpose(2, 1, 0), affine=volume.affine @ step)


PREPARATIONS: dict[str, Preparation] = {
    "body_ct": Preparation(body_ct, ("orientation", "spacing_mm"), 1, ("CT",)),
    "organ_ct": Preparation(organ_ct, ("orientation", "spacing_mm", "spacing_rule", "resampling"), 1, ("CT",)),
    "whole_image": Preparation(
        whole_image, ("orientation", "spacing_mm", "spacing_rule"), 1, ("MR", "PT", "CT")
    ),
    "slices": Preparation(
        to_slices, ("spacing_mm", "crop"), 1, ("CT", "MR", "PT", "CR", "DX", "US", "OT"), open=read_image
    ),
    "brain_mr": Preparation(brain_mr, ("orientation", "spacing_mm", "size", "intensity"), 1, ("MR",), scales=True),
}  # fmt: skip


@dataclass(frozen=True)
class PreparationPlan:
    """What to prepare volumes for, and how.

    Attributes:
        spec: the card's `input` entry.
        name: of `PREPARATIONS`, or "auto": the first one that is for a volume's modality.
    """

    spec: InputSpec
    name: str = AUTO

    def __post_init__(self) -> None:
        if self.name != AUTO and self.name not in PREPARATIONS:
            raise InputError(unknown_name("preparation", self.name, (AUTO, *PREPARATIONS)))

    def choose(self, modality: str) -> str:
        """The preparation for volumes of a modality.

        Raises:
            ModalityError: the card does not take this modality, or no preparation does.
        """
        if modality not in self.spec.modality:
            taken = " or ".join(self.spec.modality)
            raise ModalityError(f"the model takes {taken}, not {modality}", "use another card, or leave the row out")
        known = (name for name, way in PREPARATIONS.items() if modality in way.modalities)
        name = next(known, None) if self.name == AUTO else self.name
        if name is None or modality not in PREPARATIONS[name].modalities:
            raise ModalityError(f"the preparation {name or AUTO!r} is not for {modality}", "name another preparation")
        return name

    def canonical(self, modality: str) -> dict[str, Any]:
        """All that decides how a volume of a modality is stored, as plain data."""
        name = self.choose(modality)
        way = PREPARATIONS[name]
        entries = to_dict(self.spec, defaults=True)
        return {
            "name": name,
            "version": way.version,
            "modality": modality,
            "input": {key: entries[key] for key in way.reads if key in entries},
        }

    def open(self, source: str | Path, modality: str, series: str | None = None) -> Volume:
        """Read an image as its preparation wants it read: some take 2D images too."""
        return PREPARATIONS[self.choose(modality)].open(source, series=series)

    def run(self, image: Volume, labels: Volume | None) -> tuple[Volume, Volume | None]:
        """Prepare an image, and bring its label map onto the same grid.

        Args:
            image: as read, with its modality.
            labels: a label map of the same patient, on any grid.

        Returns:
            Both with array axes (D, H, W).
        """
        prepared = PREPARATIONS[self.choose(image.modality)].run(image, self.spec)
        return prepared, None if labels is None else resample_to(labels, prepared.grid)


def read_plan(card: str | None = None, input_file: str | Path | None = None, name: str = AUTO) -> PreparationPlan:
    """The plan for a model card, or for a YAML file that holds an `input` entry.

    Args:
        card: id of a card, or the path of one.
        input_file: YAML with the entries of `InputSpec`, at the top or under `input`.
        name: of a preparation.

    Raises:
        InputError: neither or both are given, or one cannot be used.
        WeightsError: the card cannot be used.
    """
    if (card is None) == (input_file is None):
        raise InputError("how to prepare the volumes is not clear", "give either a card or a file with its input entry")
    if card is not None:
        return PreparationPlan(load_card(card).input, name)
    try:
        data: Any = yaml.safe_load(Path(input_file).read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError, RecursionError) as error:
        raise InputError(f"the input file {input_file} cannot be read", "check its name and that it is YAML") from error
    if isinstance(data, Mapping) and set(data) == {"input"}:
        data = data["input"]
    return PreparationPlan(from_dict(InputSpec, data, f"the input file {input_file}"), name)
