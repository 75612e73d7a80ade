"""SNOMED CT codes as Slicer writes them on a segment, where its DICOM export looks for them."""

from __future__ import annotations

from collections.abc import Mapping

from .results import Label

_TYPES = "Segmentation category and type - DICOM master list"
_REGIONS = "Anatomic codes - DICOM master list"
_ANATOMY = ("SCT", "123037004", "Anatomical Structure")  # Slicer's lists know it by this code; DICOM prefers 91723000
_ALTERED = ("SCT", "49755003", "Morphologically Altered Structure")
_TISSUE = ("SCT", "85756007", "Tissue")  # Slicer's own default: right for every structure without a code of its own
_CATEGORIES = {"91723000": _ANATOMY, "49755003": _ALTERED}
_NONE = ("", "", "")


def terminology(label: Label) -> str:
    """The seven parts of Slicer's terminology entry, joined by `~`.

    The laterality modifies the structure, or the region that a lesion or part lies in where one is named. A structure
    whose code is not known is called tissue, which DICOM export accepts and which claims nothing.

    Args:
        label: one value of the label map.
    """
    if not label.code:
        return _joined(_TISSUE, _TISSUE, _NONE, _NONE, _NONE)
    given = _triple(label.category)
    category = _CATEGORIES.get(given[1], given) if label.category else _ANATOMY
    side, region = _triple(label.laterality), _triple(label.region)
    if label.region:
        return _joined(category, _triple(label.code), _NONE, region, side)
    return _joined(category, _triple(label.code), side, _NONE, _NONE)


def _joined(category: tuple, kind: tuple, modifier: tuple, region: tuple, region_modifier: tuple) -> str:
    parts = ("^".join(triple) for triple in (category, kind, modifier))
    regions = ("^".join(triple) for triple in (region, region_modifier))
    return "~".join((_TYPES, *parts, _REGIONS, *regions)) + "|"


def _triple(code: Mapping[str, str] | None) -> tuple[str, str, str]:
    return (code["scheme"], code["value"], code["meaning"]) if code else _NONE
