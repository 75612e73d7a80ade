"""Where organs usually lie along the body, to tell "not in the scan" from "not found although its region is there".

Heights are millimetres above the lower edge of the twelfth thoracic vertebra in an adult of ordinary size, rounded to
half centimetres, after textbook vertebral levels and two labelled CTs. They are good to about 3 cm, and are used for
nothing but the sentence that explains why an organ was not found.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from statistics import median

_THORACIC_TOP = dict(enumerate((275, 265, 250, 230, 210, 190, 165, 140, 120, 95, 75, 50), start=1))
_LUMBAR_TOP = {1: 20, 2: -15, 3: -45, 4: -80, 5: -115}

SPANS_MM: dict[str, tuple[float, float]] = {
    "brain": (545, 415), "skull": (560, 370), "thyroid_gland": (290, 240), "esophagus": (300, 50),
    "trachea": (295, 155),
    "lung_upper_lobe_left": (265, 80), "lung_lower_lobe_left": (210, 15), "lung_upper_lobe_right": (265, 120),
    "lung_middle_lobe_right": (145, 60), "lung_lower_lobe_right": (200, 5), "heart": (185, 70), "aorta": (215, -100),
    "pulmonary_vein": (170, 105), "brachiocephalic_trunk": (235, 200), "subclavian_artery": (260, 210),
    "common_carotid_artery": (340, 200), "brachiocephalic_vein": (245, 195), "atrial_appendage_left": (155, 130),
    "superior_vena_cava": (200, 120), "inferior_vena_cava": (100, -115), "portal_vein_and_splenic_vein": (45, -20),
    "liver": (110, -60), "spleen": (75, -25), "stomach": (65, -55), "gallbladder": (5, -50), "pancreas": (25, -50),
    "duodenum": (10, -80), "small_bowel": (-20, -220), "colon": (55, -270), "adrenal_gland": (35, -5),
    "kidney_right": (15, -95), "kidney_left": (25, -85), "urinary_bladder": (-205, -280), "prostate": (-270, -300),
    "sacrum": (-135, -260), "hip": (-110, -310), "femur": (-235, -650), "iliac_artery": (-105, -280),
    "iliac_vena": (-115, -280), "gluteus_maximus": (-145, -330), "gluteus_medius": (-120, -265),
    "gluteus_minimus": (-160, -255), "gluteal_muscles": (-120, -330), "iliopsoas": (0, -310), "autochthon": (300, -185),
    "spinal_cord": (370, -20), "humerus": (265, -50), "scapula": (275, 115), "clavicula": (285, 230),
    "shoulder_girdle": (285, 115), "sternum": (245, 95), "costal_cartilages": (235, -40), "ribs": (275, -35),
    "vertebrae": (400, -165), "vertebrae_S1": (-135, -180),
    **{f"vertebrae_T{n}": (top, top - 50) for n, top in _THORACIC_TOP.items()},
    **{f"vertebrae_L{n}": (top, top - 50) for n, top in _LUMBAR_TOP.items()},
    **{f"vertebrae_C{n}": (290 + 18 * (7 - n), 260 + 18 * (7 - n)) for n in range(1, 8)},
    **{f"rib_{n}": (top, top - 70 - 3 * n) for n, top in _THORACIC_TOP.items()},
}  # fmt: skip

_MOBILE = frozenset(
    {"colon", "small_bowel", "stomach", "costal_cartilages", "gallbladder", "urinary_bladder", "duodenum"}
)


def usual_span(name: str) -> tuple[float, float] | None:
    """Usual (top, bottom) of an organ in the scale above, in mm; None for an organ without an entry."""
    if name in SPANS_MM:
        return SPANS_MM[name]
    bare = name.replace("_left", "").replace("_right", "")
    return SPANS_MM.get(bare)


def locate(found: Mapping[str, tuple[float | None, float | None]]) -> float | None:
    """Estimate where the scale's zero lies in the patient from the organs that were found.

    Args:
        found: per organ the head-foot world coordinates of its top and bottom in mm, None for an end that is cut.

    Returns:
        World coordinate of the zero in mm (the median over all ends), or None where no end of a known organ is visible.
    """
    return _median(
        seen - usual
        for name, ends in found.items()
        if name not in _MOBILE and (span := usual_span(name)) is not None
        for seen, usual in zip(ends, span, strict=True)
        if seen is not None
    )


def share_in_scan(name: str, zero_mm: float, top_mm: float, bottom_mm: float) -> float | None:
    """Share (0..1) of an organ's usual height that a scan from `bottom_mm` to `top_mm` shows; None if unknown."""
    span = usual_span(name)
    if span is None:
        return None
    top, bottom = span[0] + zero_mm, span[1] + zero_mm
    return max(0.0, min(top, top_mm) - max(bottom, bottom_mm)) / (top - bottom)


def _median(values: Iterable[float]) -> float | None:
    values = list(values)
    return float(median(values)) if values else None
