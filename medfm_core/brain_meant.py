"""Whether inputs are brain MRI or a CT, before their voxels are read. No torch here."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from medfm_core.brain_inputs import is_one_series, modality_of
from medfm_core.card_library import load_card
from medfm_core.errors import InputError

BRAIN_TASK = "brain_embedding"


@dataclass(frozen=True)
class Meant:
    """What tells the two apart, the first that says something first.

    Attributes:
        sources: files, DICOM folders, or the DICOM files of one scan.
        modality: "CT" or "MR", as the caller says; None where it does not.
        model: id or path of the card that was named; None for none.
        brain_options: names of options that were given and that brain MRI alone has.
        series: which series of a DICOM folder.
        nifti_form: which position of a NIfTI file counts.
    """

    sources: tuple[str | Path, ...]
    modality: str | None = None
    model: str | None = None
    brain_options: tuple[str, ...] = ()
    series: str | None = None
    nifti_form: str = "auto"


def is_brain(meant: Meant) -> bool:
    """Whether the inputs go to a brain model.

    They do where the caller or the named model says MR, where an option of brain MRI is given, where several scans are
    named, or where the file says MR (or is called T1w, T2w or FLAIR and says nothing).

    Raises:
        InputError: the options contradict each other, there is no such model, or the input cannot be read.
    """
    asked = meant.brain_options
    kind = meant.modality or modality_of_model(meant.model) or ("MR" if asked else None)
    if kind == "CT" and asked:
        raise InputError(f"{asked[0]} is for brain MRI, not for CT", "leave it out")
    if kind is None and meant.sources:
        several = len(meant.sources) > 1
        if several and not is_one_series(meant.sources):
            return True
        source = list(meant.sources) if several else meant.sources[0]
        kind = modality_of(source, meant.series, meant.nifti_form)
    return kind == "MR"


def modality_of_model(name: str | None) -> str | None:
    """What a named model takes, "MR" or "CT"; None where none is named.

    Raises:
        InputError: there is no such model.
    """
    return None if name is None else "MR" if load_card(name).task == BRAIN_TASK else "CT"
