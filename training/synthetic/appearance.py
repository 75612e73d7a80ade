"""From tissues to Hounsfield units: contrast phase, texture, bowel content, lung vessels and partial volume.

Every voxel takes its tissue's mean from a table; a few correlated random fields, shared by all tissues and weighted by
per-tissue tables, give texture. Noise, table and slice thickness belong to `scanner`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from training.synthetic.contrast import Contrast, draw_contrast, draw_phase
from training.synthetic.physique import stream
from training.synthetic.texture import axis_towards, smooth_field, soften, white
from training.synthetic.tissue import Tissue

_POOLS = (  # organ id, tissue, the pool whose value it takes instead
    (62, "BLOOD_VENOUS", "SVC"),
    (59, "BLOOD_VENOUS", "SVC"),
    (60, "BLOOD_VENOUS", "SVC"),
    (53, None, "PULMONARY_VEIN"),
    (21, "URINE", "URINE_BLADDER"),
    (86, "MUSCLE", "MUSCLE_BACK"),
    (87, "MUSCLE", "MUSCLE_BACK"),
    (80, "MUSCLE", "MUSCLE_BACK"),
    (81, "MUSCLE", "MUSCLE_BACK"),
)
_TEXTURE = {  # HU of: fine grain, 7 mm lumps, 28 mm drift, streaks along the body
    "FAT_SUBCUTANEOUS": (3, 2, 3, 5), "FAT_VISCERAL": (4, 6, 4, 5), "MUSCLE": (3, 2, 4, 9),
    "CORTICAL_BONE": (60, 70, 50, 0), "CANCELLOUS_BONE": (26, 30, 25, 14), "CARTILAGE": (6, 14, 8, 0),
    "DISC": (4, 6, 3, 0), "LUNG": (10, 11, 14, 0), "AIRWAY_WALL": (40, 20, 0, 0), "LIVER": (3, 3, 3, 0),
    "SPLEEN": (3, 3, 2, 0), "KIDNEY_CORTEX": (5, 6, 3, 0), "KIDNEY_MEDULLA": (5, 10, 3, 0), "PANCREAS": (7, 9, 4, 0),
    "MYOCARDIUM": (3, 4, 5, 0), "BLOOD_RIGHT_HEART": (2, 8, 12, 0), "BLOOD_VENOUS": (2, 4, 6, 0),
    "STOOL": (30, 55, 25, 0), "BOWEL_CONTENT": (4, 8, 10, 0), "STOMACH_CONTENT": (8, 12, 12, 0),
    "BOWEL_WALL": (5, 7, 4, 0), "STOMACH_WALL": (5, 7, 4, 0), "THYROID": (8, 10, 5, 0), "PROSTATE": (4, 6, 4, 0),
    "UTERUS": (4, 8, 6, 0), "BREAST": (8, 20, 20, 10), "MARROW_FAT": (15, 20, 25, 0), "SVC": (5, 25, 40, 0),
    "SKIN": (8, 8, 0, 0), "URINE": (1, 1, 1, 0), "BILE": (1, 1, 1, 0), "MUSCLE_BACK": (3, 3, 6, 14),
}  # fmt: skip


@dataclass(frozen=True)
class Fields:
    """The random fields of one patient on one grid, unit deviation, float32.

    Args:
        grain: independent from voxel to voxel, slightly blurred.
        lump: structures of about 7 mm.
        drift: structures of about 28 mm.
        streak: in-plane 5 mm, 24 mm along the body.
        tube: 1 on the axis of randomly winding tubes, falling to 0 around them.
    """

    grain: np.ndarray
    lump: np.ndarray
    drift: np.ndarray
    streak: np.ndarray
    tube: np.ndarray


def render(
    anatomy, seed: int, phase: str | None = None, *, contrast: Contrast | None = None, edits: Sequence = ()
) -> np.ndarray:
    """Render an anatomy as a noise-free CT.

    Args:
        anatomy: has `labels` and `tissues`, volumes of one grid with organ ids and `Tissue` codes.
        seed: the same seed gives the same picture.
        phase: contrast phase, one of `contrast.PHASES`; None draws one.
        contrast: drawn tissue values to use instead of drawing them.
        edits: changes by lesions (`lesions.Edit`: box, weight, value, lumps, add), applied in order.

    Returns:
        `(I, J, K)` float32, HU.

    Raises:
        InputError: no such phase.
    """
    if contrast is None:
        contrast = draw_contrast(stream(seed, "contrast"), phase or draw_phase(stream(seed, "phase")))
    tissues, labels = anatomy.tissues.voxels, anatomy.labels.voxels
    matrix, spacing = np.asarray(anatomy.tissues.affine.matrix), anatomy.tissues.spacing
    rng = stream(seed, "texture")
    fields = draw_fields(rng, tissues.shape, spacing, matrix)
    codes, table = pool_codes(tissues, labels, contrast)
    hu = table[codes]
    _add_texture(hu, codes, fields, rng)
    _lungs(hu, tissues, fields, matrix, contrast)
    _contents(hu, tissues, fields, contrast, rng)
    _mixing(hu, tissues, labels, fields, matrix, contrast)
    _strands(hu, tissues, fields, contrast)
    for edit in edits:
        _apply(hu, edit, fields)
    width = [max(1.1 * size, 1.0) for size in spacing]
    return soften(hu, spacing, width)


def draw_fields(rng: np.random.Generator, shape: tuple, spacing: tuple, matrix: np.ndarray) -> Fields:
    """Draw the random fields of a grid.

    Args:
        rng: source.
        shape: voxels per axis.
        spacing: mm per axis.
        matrix: 4x4 voxel-to-RAS+ matrix; says which axis runs along the body.
    """
    axis, _ = axis_towards(matrix, "S")
    lengths = [5.0, 5.0, 5.0]
    lengths[axis] = 24.0
    a, b = (smooth_field(rng, shape, spacing, 11.0) for _ in range(2))
    a *= a
    b *= b
    a += b
    a *= np.float32(-1 / 0.16)
    return Fields(
        grain=white(rng, shape, 0.12),
        lump=smooth_field(rng, shape, spacing, 4.5),
        drift=smooth_field(rng, shape, spacing, 18.0),
        streak=smooth_field(rng, shape, spacing, tuple(lengths)),
        tube=np.exp(a, out=a),
    )


def pool_codes(tissues: np.ndarray, labels: np.ndarray, contrast: Contrast) -> tuple[np.ndarray, np.ndarray]:
    """Split tissues whose value depends on the organ they lie in.

    Args:
        tissues: `Tissue` codes.
        labels: organ ids on the same grid.
        contrast: the patient's values.

    Returns:
        Codes (uint8, tissue codes and 200 + pool number) and the table of HU that they index, `(256,)` float32.
    """
    codes = tissues.astype(np.uint8, copy=True)
    table = contrast.table()
    table[int(Tissue.URINE)] = contrast.hu["URINE_PELVIS"]
    for number, (organ, tissue, pool) in enumerate(_POOLS):
        inside = labels == organ
        if tissue is not None:
            inside &= tissues == Tissue[tissue]
        codes[inside] = 200 + number
        table[200 + number] = contrast.hu[pool]
    return codes, table


def texture_tables() -> np.ndarray:
    """Amplitudes `(4, 256)` float32 of grain, lump, drift and streak per code."""
    out = np.zeros((4, 256), np.float32)
    out[:, :200] = np.array([[2], [2], [2], [0]])
    out[:, [int(Tissue.AIR_OUTSIDE), int(Tissue.AIRWAY)]] = np.array([[1], [0], [0], [0]])
    for name, amplitudes in _TEXTURE.items():
        if name in Tissue.__members__:
            out[:, int(Tissue[name])] = amplitudes
    for number, (_, _, pool) in enumerate(_POOLS):
        out[:, 200 + number] = _TEXTURE.get(pool, (2, 2, 2, 0))
    return out


def _add_texture(hu: np.ndarray, codes: np.ndarray, fields: Fields, rng: np.random.Generator) -> None:
    """Add the four fields, weighted per tissue; fat grows into muscle where its streaks are strong."""
    tables = texture_tables()
    for table, field in zip(tables, (fields.grain, fields.lump, fields.drift, fields.streak), strict=True):
        table *= np.float32(rng.uniform(0.6, 1.35))
        hu += table[codes] * field
    marbling = np.float32(rng.uniform(4, 40))  # from an athlete to an old patient
    muscle = np.flatnonzero((codes == Tissue.MUSCLE) | (codes >= 200 + len(_POOLS) - 4))
    streak = fields.streak.ravel()[muscle] - np.float32(1.0)
    hu.ravel()[muscle] -= np.clip(streak, 0, 1.6) * marbling


def _lungs(hu: np.ndarray, tissues: np.ndarray, fields: Fields, matrix: np.ndarray, contrast: Contrast) -> None:
    """Lung gets denser towards the table, and vessels too thin for the anatomy wind through it."""
    inside = tissues == Tissue.LUNG
    where = np.flatnonzero(inside)
    if not where.size:
        return
    axis, sign = axis_towards(matrix, "P")
    rows = np.unravel_index(where, tissues.shape)[axis]
    low, high = rows.min(), rows.max()
    depth = (rows - low) / max(high - low, 1) if sign > 0 else (high - rows) / max(high - low, 1)
    vessel = np.float32(0.62 * (contrast.hu["LUNG_VESSEL"] + 850))
    hu.ravel()[where] += (depth * 70 - 30 + vessel * fields.tube.ravel()[where] ** 2).astype(np.float32)


def _contents(
    hu: np.ndarray, tissues: np.ndarray, fields: Fields, contrast: Contrast, rng: np.random.Generator
) -> None:
    """Bubbles in stool, food in the stomach, positive oral contrast."""
    flat, lump, drift = hu.ravel(), fields.lump.ravel(), fields.drift.ravel()
    stool = np.flatnonzero(tissues == Tissue.STOOL)
    bubbles = np.clip(lump[stool] + 0.5 * fields.grain.ravel()[stool] - 0.9, 0, 1.2)
    flat[stool] -= bubbles * np.float32(rng.uniform(250, 650))
    food = np.flatnonzero(tissues == Tissue.STOMACH_CONTENT)
    if rng.random() < 0.45:
        flat[food] -= np.clip(lump[food] - 0.5, 0, 1.5) * np.float32(rng.uniform(20, 260))
    if contrast.oral is not None:
        for tissue, threshold in ((Tissue.STOMACH_CONTENT, -2.0), (Tissue.BOWEL_CONTENT, -0.4), (Tissue.STOOL, 1.0)):
            where = np.flatnonzero(tissues == tissue)
            share = np.clip(2 * (drift[where] - np.float32(threshold)), 0, 1)
            flat[where] += share * np.float32(contrast.oral * rng.uniform(0.7, 1.1))


def _mixing(
    hu: np.ndarray, tissues: np.ndarray, labels: np.ndarray, fields: Fields, matrix: np.ndarray, contrast: Contrast
) -> None:
    """Unmixed blood: streaming in the superior vena cava and the heart, an enhanced renal stream in the cava."""
    flat, lump = hu.ravel(), fields.lump.ravel()
    if contrast.phase in ("arterial", "ctpa"):
        svc = np.flatnonzero((labels == 62) & (tissues == Tissue.BLOOD_VENOUS))
        flat[svc] += lump[svc] * np.float32(0.3 * contrast.enhancement["SVC"])
        right = np.flatnonzero(tissues == Tissue.BLOOD_RIGHT_HEART)
        flat[right] += lump[right] * np.float32(0.15 * contrast.enhancement["BLOOD_RIGHT_HEART"])
    if contrast.phase == "arterial":
        spleen = np.flatnonzero(tissues == Tissue.SPLEEN)
        moire = np.sin(4 * fields.drift.ravel()[spleen])
        flat[spleen] += moire * np.float32(0.28 * contrast.enhancement["SPLEEN"])
    if contrast.phase in ("arterial", "portal_venous"):
        cava = np.flatnonzero((labels == 63) & (tissues == Tissue.BLOOD_VENOUS))
        axis, sign = axis_towards(matrix, "S")
        kidneys = np.flatnonzero((labels == 2) | (labels == 3))
        if cava.size and kidneys.size:
            level = np.median(np.unravel_index(kidneys, labels.shape)[axis])
            height = sign * (np.unravel_index(cava, labels.shape)[axis] - level) * _size(matrix, axis)
            renal = 0.35 * contrast.enhancement["KIDNEY_CORTEX"] / (1 + np.exp(-height / 12))
            flat[cava] += (renal - 0.25 * contrast.enhancement["KIDNEY_CORTEX"]) * (contrast.phase == "portal_venous")
            flat[cava] += renal * (contrast.phase == "arterial")


def _strands(hu: np.ndarray, tissues: np.ndarray, fields: Fields, contrast: Contrast) -> None:
    """Small vessels and nodes in the visceral fat."""
    fat = np.flatnonzero(tissues == Tissue.FAT_VISCERAL)
    rise = np.float32(0.75 * (contrast.hu["BLOOD_PORTAL"] + 98))
    hu.ravel()[fat] += fields.tube.ravel()[fat] ** 3 * rise


def _apply(hu: np.ndarray, edit, fields: Fields) -> None:
    """Blend a lesion in: towards its value and texture, or on top of what is there."""
    part = hu[edit.box]
    change = np.float32(edit.value)
    if edit.lumps:
        change = change + np.float32(edit.lumps) * (0.8 * fields.lump[edit.box] + 0.4 * fields.grain[edit.box])
    part += edit.weight * (change if edit.add else change - part)


def _size(matrix: np.ndarray, axis: int) -> float:
    return float(np.linalg.norm(matrix[:3, axis]))
