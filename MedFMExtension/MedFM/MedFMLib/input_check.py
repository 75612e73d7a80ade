"""What is said of the chosen volume before anything is computed; the worker looks closer once it has the voxels."""

from __future__ import annotations

from dataclasses import dataclass

from .host import VolumeFacts

_THICK_MM, _ANISOTROPIC, _FEW_SLICES = 5.0, 8.0, 16
_AIR_HU = -500.0
_MOST_VOXELS = 2**31


@dataclass(frozen=True)
class InputCheck:
    """The verdict on a volume.

    Attributes:
        can_run: whether it can be analyzed.
        headline: name and size, or what is missing.
        problems: why it cannot be analyzed.
        warnings: what the user should know.
    """

    can_run: bool
    headline: str
    problems: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()


def check_input(facts: VolumeFacts | None, modalities: tuple[str, ...] = ("CT",)) -> InputCheck:
    """Look at what is known of a volume.

    Args:
        facts: None where no volume is chosen.
        modalities: those that the chosen model takes, DICOM's words.
    """
    if facts is None:
        return InputCheck(False, "Choose an input volume.")
    size = " x ".join(str(n) for n in facts.shape)
    steps = " x ".join(f"{mm:.3g}" for mm in facts.spacing_mm)
    problems, warnings = _problems(facts, modalities), _warnings(facts, modalities)
    return InputCheck(not problems, f"{facts.name}: {size} voxels of {steps} mm", problems, warnings)


def _problems(facts: VolumeFacts, modalities: tuple[str, ...]) -> tuple[str, ...]:
    found = []
    if facts.is_labels:
        found.append("This is a label map, not a scan.")
    if facts.components != 1:
        found.append(f"Every voxel holds {facts.components} values; a scan in grey values is needed.")
    if min(facts.shape) < 2:
        found.append("This is a single slice; a volume of at least 2 slices is needed.")
    if min(facts.spacing_mm) <= 0:
        found.append("The voxel size is not positive; import the scan again.")
    if facts.modality and facts.modality not in modalities:
        found.append(f"The scan says that it is {facts.modality}; the model is for {' or '.join(modalities)}.")
    voxels = 1
    for n in facts.shape:
        voxels *= n
    if voxels > _MOST_VOXELS:
        found.append("The volume has more than 2 billion voxels; crop it first (module Crop Volume).")
    return tuple(found)


def _warnings(facts: VolumeFacts, modalities: tuple[str, ...]) -> tuple[str, ...]:
    found = []
    low, high = facts.value_range
    if "CT" in modalities and facts.modality in ("", "CT") and low < high and low > _AIR_HU:
        found.append(f"The lowest value is {low:g}: a CT in Hounsfield units has air near -1000. Check the input.")
    if facts.frames > 1:
        found.append(f"This is a sequence of {facts.frames} time points; the one that is shown is analyzed.")
    if max(facts.spacing_mm) > _THICK_MM:
        found.append(f"Slices are {max(facts.spacing_mm):.3g} mm thick; small structures between them are lost.")
    if min(facts.spacing_mm) > 0 and max(facts.spacing_mm) / min(facts.spacing_mm) > _ANISOTROPIC:
        found.append("The voxels are far from cubes; what is found will be ragged along the long side.")
    if min(facts.shape) < _FEW_SLICES:
        cut = "organs will be cut" if "CT" in modalities else "much of the brain may be outside"
        found.append(f"The volume has only {min(facts.shape)} slices in one direction; {cut}.")
    if facts.has_result:
        found.append("This volume has a result already; a new one will replace it.")
    return tuple(found)
