"""Is this a CT in Hounsfield units, whole, and the right way round? Each doubt is one sentence.

`check_image` looks at a volume before anything is computed, `check_result` at what was found in it. Both only look:
the caller decides what a doubt that `blocks` means for the run.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from medfm_core.field_of_view import find_circle, patient_axes
from medfm_core.measurements import OrganMeasurement
from medfm_core.volume import Volume

_SAMPLES = 1 << 21
_SOFT_TISSUE_HU = (-10, 110)
_KNOWN_OFFSETS = (-1024, -1000, 1000, 1024)
_ADULT_ML = {
    "liver": (500, 4000), "spleen": (30, 2500), "kidney_right": (40, 700), "kidney_left": (40, 700),
    "heart": (200, 1800), "pancreas": (15, 300), "lung_left": (300, 5000), "lung_right": (300, 5500),
    "stomach": (30, 3000), "aorta": (40, 900), "urinary_bladder": (5, 2000), "gallbladder": (2, 400),
}  # fmt: skip


@dataclass(frozen=True)
class Caution:
    """A doubt about an input or a result.

    Attributes:
        code: stable name for programs, such as "thick_slices".
        sentence: one sentence for people.
        blocks: the run should not go on without the user's word.
        fix: what to do about it, an imperative clause, for those that block.
        hu_offset: number to add to every voxel that would make it Hounsfield units, where that is the doubt.
    """

    code: str
    sentence: str
    blocks: bool = False
    fix: str = ""
    hu_offset: float | None = None


def check_image(volume: Volume) -> tuple[Caution, ...]:
    """Doubts about an image that is to be read as a CT.

    Args:
        volume: intensities `(I, J, K)`, HU expected.

    Returns:
        What is doubtful, the blocking first; empty for an ordinary CT.
    """
    sample = _sample(volume.voxels)
    finite = sample[np.isfinite(sample)]
    cautions = [*_check_numbers(volume, sample, finite)]
    if finite.size and finite.min() < finite.max():
        cautions += _check_modality(volume, finite)
    cautions += _check_geometry(volume)
    if not any(c.blocks for c in cautions):
        cautions += _check_truncation(volume)
    return tuple(sorted(cautions, key=lambda c: not c.blocks))


def check_result(measurements: Iterable[OrganMeasurement]) -> tuple[Caution, ...]:
    """Doubts about orientation and outcome, from where the organs were found relative to each other.

    Args:
        measurements: what `measure` returned.

    Returns:
        What is doubtful; empty where the organs lie as in most people.
    """
    seen = {m.name: m for m in measurements if m.is_seen}
    if not seen:
        return (
            Caution(
                "nothing_found",
                "No structure was found: this may not be the trunk, or its orientation in the file may be wrong.",
            ),
        )
    return (*_check_sides(seen), *_check_up_and_front(seen), *_check_size(seen))


def _sample(voxels: np.ndarray) -> np.ndarray:
    """At most about two million voxels on a regular sub-grid, float32."""
    step = max(1, round((voxels.size / _SAMPLES) ** (1 / 3)))
    return voxels[::step, ::step, ::step].astype(np.float32).ravel()


def _check_numbers(volume: Volume, sample: np.ndarray, finite: np.ndarray) -> Iterable[Caution]:
    if not finite.size:
        yield Caution("empty", "No voxel holds a number", blocks=True, fix="export the image again")
    elif finite.min() == finite.max() and volume.voxels.min() == volume.voxels.max():
        value = f"{finite[0]:g}"
        yield Caution(
            "constant", f"Every voxel holds the same value ({value})", blocks=True, fix="export the image again"
        )
    axis = patient_axes(volume.affine.codes)[2]
    slices = np.moveaxis(volume.voxels, axis, 0)
    coarse = slices[:, ::8, ::8].reshape(volume.shape[axis], -1)
    suspects = np.flatnonzero(coarse.min(axis=1) == coarse.max(axis=1))
    blank = sum(bool(slices[i].min() == slices[i].max()) for i in suspects)
    if 0 < blank < volume.shape[axis]:
        yield Caution("blank_slices", f"Blank slices: {blank} of {volume.shape[axis]} hold one value throughout.")


def _check_modality(volume: Volume, finite: np.ndarray) -> Iterable[Caution]:
    """A CT has soft tissue near 40 HU and, unless it was cropped inside the body, air near -1000 HU."""
    if volume.modality not in (None, "CT"):
        yield Caution("wrong_modality", f"The file says that it is {volume.modality}, not CT", True, "give a CT")
        return
    low, high = (float(v) for v in np.percentile(finite, (0.05, 99.95)))
    if high - low < 100:
        sentence = f"The intensities run from {low:.3g} to {high:.3g} only, so they are not Hounsfield units"
        yield Caution("not_hu", sentence, True, "give the CT before it was normalised or windowed")
        return
    soft = _share(finite, *_SOFT_TISSUE_HU)
    air = _share(finite, -1100, -700) + float(np.mean(finite < -1100))
    offset = _offset(finite, soft)
    if offset is not None:
        sentence = f"Air and soft tissue lie {abs(offset):g} HU too {'high' if offset < 0 else 'low'}"
        yield Caution("hu_offset", sentence, True, f"give --hu-offset {offset:g} to correct it", offset)
        return
    if air < 0.005:
        fat = _share(finite, -160, -30)
        if low >= -30 or fat < 0.02 or soft < 0.1:
            sentence = f"There is no air near -1000 HU (the intensities run from {low:.0f} to {high:.0f})"
            yield Caution(
                "not_ct", f"{sentence}, so this does not look like a CT in Hounsfield units", True, "give a CT"
            )
        else:
            yield Caution("no_air", "The image shows no air at all: it seems to be cropped inside the body.")
    elif soft < 0.005:
        sentence = "Hardly any voxel lies between -10 and 110 HU, where soft tissue belongs"
        yield Caution("not_ct", f"{sentence}, so this does not look like a CT of a patient", True, "give a CT")


def _offset(finite: np.ndarray, soft: float) -> float | None:
    """The number that, added to all voxels, brings air to -1000 and soft tissue to 40 HU where both lie elsewhere."""
    least = max(3 * soft, 0.02)
    if float(np.percentile(finite, 0.5)) > -120:  # too high: then air, not soft tissue, lies near zero
        least = 0.25 * float(np.mean(finite > 500))
    possible = {}
    for offset in _KNOWN_OFFSETS:
        low, high = np.array(_SOFT_TISSUE_HU) - offset
        tissue, fat = _share(finite, low, high), _share(finite, -160 - offset, -30 - offset)
        if tissue > least and fat > 0.01 and _share(finite, -1060 - offset, -930 - offset) > 0.01:
            possible[offset] = _share(finite, -1012 - offset, -988 - offset)
    lowest = float(finite.min())
    if -1024 - lowest in possible and float(np.mean(finite == lowest)) > 0.05:
        return -1024 - lowest  # air was clipped where scanners clip it
    return max(possible, key=possible.get, default=None)


def _share(values: np.ndarray, low: float, high: float) -> float:
    return float(np.count_nonzero((values >= low) & (values <= high))) / values.size


def _check_geometry(volume: Volume) -> Iterable[Caution]:
    spacing, affine = volume.spacing, volume.affine
    if max(spacing) > 5.05:
        yield Caution("thick_slices", f"Slices are {max(spacing):.3g} mm apart: small structures may be missed.")
    if affine.obliqueness_deg > 15:
        yield Caution(
            "oblique", f"The scan is turned by {affine.obliqueness_deg:.0f} degrees: views follow its own axes."
        )
    axis = patient_axes(affine.codes)[2]
    height = volume.shape[axis] * spacing[axis]
    if height < 100:
        yield Caution(
            "short_scan", f"The scan covers only {height:.0f} mm head to foot: most organs are cut or outside."
        )


def _check_truncation(volume: Volume) -> Iterable[Caution]:
    """Soft tissue on the side borders, or on the rim of the reconstructed circle, means that the body is cut there."""
    axis = patient_axes(volume.affine.codes)[2]
    planes = np.moveaxis(volume.voxels, axis, 0)[:: max(1, volume.shape[axis] // 24)]
    border = np.concatenate([planes[:, [0, -1]].ravel(), planes[:, :, [0, -1]].ravel()])
    circle = find_circle(volume)
    if circle is not None:
        border = planes[:, (circle.distance > -4) & (circle.distance < -1)].ravel()
    share = float(np.mean((border > -200) & (border < 3000))) if border.size else 0.0
    if share > 0.04:
        sentence = f"The body is cut at the sides by the field of view ({100 * share:.0f} % of its rim is tissue)"
        yield Caution("truncated_body", f"{sentence}: volumes of what lies there are too small.")


def _check_sides(seen: dict[str, OrganMeasurement]) -> Iterable[Caution]:
    """World x grows towards the right: the liver has a larger x than the spleen, right organs than left ones."""
    reasons = []
    if {"liver", "spleen"} <= seen.keys() and seen["liver"].centre_mm[0] < seen["spleen"].centre_mm[0]:
        reasons.append("the liver lies left of the spleen")
    crossed = [
        name.removesuffix("_right")
        for name, organ in seen.items()
        if name.endswith("_right")
        and (other := seen.get(name.removesuffix("_right") + "_left")) is not None
        and organ.centre_mm[0] < other.centre_mm[0]
    ]
    if len(crossed) > 1:
        names = ", ".join(name.replace("_", " ") for name in crossed[:3])
        reasons.append(f"right and left are exchanged for {names}")
    if reasons:
        sentence = "Left and right may be swapped in the file, or the organs mirrored (situs inversus)"
        yield Caution("left_right", f"{sentence}: {' and '.join(reasons)}.")


def _check_up_and_front(seen: dict[str, OrganMeasurement]) -> Iterable[Caution]:
    def along(axis: int, names: str) -> list[float]:
        return [seen[name].centre_mm[axis] for name in names.split() if name in seen]

    spine = along(1, "vertebrae vertebrae_L1 vertebrae_T12 spinal_cord")
    front = along(1, "liver heart stomach urinary_bladder sternum")
    if spine and front and np.median(front) < spine[0]:
        yield Caution("front_back", "Front and back may be swapped in the file: the spine lies in front of the organs.")
    chest = along(2, "heart trachea lung_upper_lobe_left lung_upper_lobe_right")
    abdomen = along(2, "liver kidney_right kidney_left urinary_bladder sacrum")
    if chest and abdomen and max(chest) < min(abdomen):
        yield Caution("head_foot", "Head and foot may be swapped in the file: the chest lies below the abdomen.")


def _check_size(seen: dict[str, OrganMeasurement]) -> Iterable[Caution]:
    """Whole organs far outside an adult's range; the ranges are wide, so what falls outside is worth a look."""
    odd = []
    for name, (least, most) in _ADULT_ML.items():
        organ = seen.get(name)
        if organ is not None and (organ.volume_ml > most or (organ.volume_ml < least and not organ.faces)):
            odd.append(f"{organ.title} {organ.volume_ml:,.0f} mL")
    if odd:
        yield Caution("unusual_size", f"Unusual size for an adult: {', '.join(odd)}; check the outlines.")
