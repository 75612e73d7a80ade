"""Virtual anatomy: determinism, presence, volumes, sides, order and adjacency."""

from __future__ import annotations

import functools
import time

import numpy as np
import pytest
from scipy import ndimage

from medfm_core.errors import InputError
from training.synthetic.anatomy import build_anatomy
from training.synthetic.physique import draw_physique
from training.synthetic.tissue import Tissue

SPACING = 5.0
SEEDS = (3, 21, 42)
# millilitres; wide, as patients are, with room for 5 mm voxels
VOLUMES = {
    1: (70, 450), 2: (80, 260), 3: (80, 270), 4: (4, 90), 5: (850, 2300), 6: (70, 700), 7: (22, 150), 18: (150, 1100),
    20: (200, 2500), 21: (40, 700), 51: (350, 950), 52: (90, 450), 63: (30, 170), 25: (90, 330), 77: (180, 520),
    78: (180, 520), 75: (90, 330), 76: (90, 330), 86: (200, 1100), 87: (200, 1100), 88: (120, 560),
    89: (120, 560), 116: (25, 90), 117: (70, 260),
}  # fmt: skip
RIGHT_LEFT = [(2, 3), (8, 9), (14, 11), (66, 65), (74, 73), (76, 75), (78, 77)]
RIGHT_LEFT += [(81, 80), (83, 82), (85, 84), (87, 86), (89, 88), (72, 71)]
ALWAYS = [*range(1, 22), 25, *range(26, 45), *range(51, 57), 59, 60, *range(62, 90), *range(92, 118)]
SOLID = [1, 2, 3, 5, 51, 25, 78, 76]


@functools.cache
def _torso(seed: int):
    start = time.perf_counter()
    out = build_anatomy(seed, SPACING)
    print(f"seed {seed}: {time.perf_counter() - start:.1f} s at {SPACING:g} mm")
    return out


@pytest.fixture(params=SEEDS)
def patient(request):
    return _torso(request.param)


def _centres(anatomy) -> dict[int, np.ndarray]:
    labels = anatomy.labels.voxels
    ids = [int(i) for i in np.unique(labels) if i]
    centres = np.array(ndimage.center_of_mass(labels > 0, labels, ids))
    return dict(zip(ids, anatomy.labels.affine.to_world(centres), strict=True))


def _gap_mm(anatomy, a: np.ndarray, b: np.ndarray) -> float:
    return float(ndimage.distance_transform_edt(~a, sampling=anatomy.labels.spacing)[b].min())


def test_structures_present(patient):
    present = set(np.unique(patient.labels.voxels).tolist())
    missing = set(ALWAYS) - present
    assert missing <= {17, 57, 61, 8, 9}, missing  # thin or at the upper edge of a 5 mm grid
    assert 23 not in present
    assert 24 not in present
    assert (22 in present) == (patient.physique.sex == "male")


def test_volumes_in_range(patient):
    volumes = np.bincount(patient.labels.voxels.ravel(), minlength=118) * SPACING**3 / 1000
    wrong = {i: round(float(volumes[i])) for i, (low, high) in VOLUMES.items() if not low <= volumes[i] <= high}
    assert not wrong
    assert 2000 <= volumes[10:15].sum() <= 8200
    assert all(volumes[10:15] > 60)


def test_asked_volume_is_made():
    asked = {"liver_ml": 1500.0, "spleen_ml": 180.0, "kidney_left_ml": 150.0}
    patient = build_anatomy(5, SPACING, **asked)
    volumes = np.bincount(patient.labels.voxels.ravel(), minlength=118) * SPACING**3 / 1000
    assert volumes[[5, 1, 3]] == pytest.approx(list(asked.values()), rel=0.12)


def test_right_is_right(patient):
    centres = _centres(patient)
    for right, left in RIGHT_LEFT:
        if right in centres and left in centres:
            assert centres[right][0] > centres[left][0] + 10, (right, left)
    assert centres[5][0] > centres[1][0] + 60
    assert centres[51][0] < centres[39][0] + 5


def test_order_along_the_body(patient):
    centres = _centres(patient)
    heights = [centres[i][2] for i in range(25, 45)]
    assert np.all(np.diff(heights) > 5)
    for first in (92, 104):
        assert np.all(np.diff([centres[first + k][2] for k in range(12)]) < 0)
    assert centres[10][2] > centres[11][2]
    assert centres[12][2] > centres[13][2]
    assert centres[51][2] > centres[5][2] > centres[20][2] > centres[21][2]
    assert centres[52][1] > centres[32][1]  # the aorta lies in front of the spine
    assert patient.landmarks["carina"][2] == pytest.approx(centres[39][2], abs=30)
    assert patient.landmarks["aortic_bifurcation"][2] == pytest.approx(centres[28][2], abs=35)


def test_neighbours_touch(patient):
    labels = patient.labels.voxels
    pairs = {
        (5, 14): 10,
        (2, 89): 12,
        (3, 88): 12,
        (1, 11): 12,
        (4, 5): 11,
        (6, 1): 25,
        (51, 52): 8,
        (7, 19): 8,
        (76, 78): 9,
    }
    for (a, b), limit in pairs.items():
        assert _gap_mm(patient, labels == a, labels == b) <= limit, (a, b)


def test_nothing_in_the_air(patient):
    tissues, labels = patient.tissues.voxels, patient.labels.voxels
    assert not np.any(labels[tissues == Tissue.AIR_OUTSIDE])
    assert tissues.max() <= max(Tissue)
    lung = np.isin(labels, range(10, 15))
    inside = np.isin(tissues[lung], (Tissue.LUNG, Tissue.LUNG_VESSEL, Tissue.AIRWAY, Tissue.AIRWAY_WALL))
    assert inside.mean() > 0.999
    assert np.all(labels[tissues == Tissue.LIVER] == 5)


def test_solid_organs_are_whole(patient):
    labels = patient.labels.voxels
    for organ in SOLID:
        parts, count = ndimage.label(labels == organ, np.ones((3, 3, 3)))
        sizes = np.bincount(parts.ravel())[1:]
        assert count >= 1
        assert sizes.max() >= 0.93 * sizes.sum(), (organ, sizes)


def test_same_seed_same_patient():
    first, again, other = _torso(SEEDS[0]), build_anatomy(SEEDS[0], SPACING), _torso(SEEDS[1])
    assert np.array_equal(first.labels.voxels, again.labels.voxels)
    assert np.array_equal(first.tissues.voxels, again.tissues.voxels)
    assert np.array_equal(first.labels.affine.matrix, again.labels.affine.matrix)
    same_shape = first.labels.shape == other.labels.shape
    assert not (same_shape and np.array_equal(first.labels.voxels, other.labels.voxels))


def test_a_region_is_a_cut_of_the_torso():
    whole, part = _torso(SEEDS[1]), build_anatomy(SEEDS[1], SPACING, "abdomen")
    a, b = _centres(whole), _centres(part)
    assert 44 not in b
    for organ in (2, 3, 7, 29):
        assert np.linalg.norm(a[organ] - b[organ]) < 4
    assert part.labels.shape[2] < whole.labels.shape[2]
    for name, place in whole.landmarks.items():
        assert np.allclose(place, part.landmarks[name])


@pytest.mark.parametrize("region", ["chest", "abdomen_pelvis", "pelvis"])
def test_regions_build(region):
    out = build_anatomy(12, (7.0, 7.0, 8.0), region)
    assert out.region == region
    assert out.labels.grid.same_as(out.tissues.grid)
    wanted = {"chest": (51, 12), "pelvis": (21, 77), "abdomen_pelvis": (5, 2, 21)}.get(region, (5,))
    assert set(wanted) <= set(np.unique(out.labels.voxels).tolist())


def test_physique_is_drawn_and_overridden():
    assert draw_physique(1) == draw_physique(1)
    assert draw_physique(1) != draw_physique(2)
    assert draw_physique(1, sex="female", subcutaneous_fat_mm=40.0).subcutaneous_fat_mm == 40.0
    fat, thin = (build_anatomy(6, 7.0, "pelvis", subcutaneous_fat_mm=f, arms="up") for f in (50.0, 6.0))
    area = [np.mean((a.tissues.voxels == Tissue.FAT_SUBCUTANEOUS).sum((0, 1))) for a in (fat, thin)]
    assert area[0] > 2 * area[1]


@pytest.mark.parametrize("wrong", [{"region": "head"}, {"spacing_mm": 0.01}, {"livr_ml": 3.0}])
def test_wrong_arguments_are_refused(wrong):
    with pytest.raises(InputError):
        build_anatomy(1, **wrong)
