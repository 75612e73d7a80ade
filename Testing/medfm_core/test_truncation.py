"""Which borders cut a structure: against balls, tubes and virtual patients whose whole is known."""

from __future__ import annotations

import numpy as np
import pytest

from medfm_core.field_of_view import FACE_NAMES, Circle, face_codes
from medfm_core.geometry import Affine
from medfm_core.label_statistics import label_statistics
from medfm_core.truncation import CIRCLE, cut_faces, lacking
from medfm_core.volume import Kind, Volume, crop

OBLIQUE = np.array([[0.96, -0.28, 0], [0.28, 0.96, 0], [0, 0, 1.0]])


def faces(voxels, spacing=(2.0, 2.0, 2.0), rotation=None, circle=None, label=1):
    matrix = np.eye(4)
    matrix[:3, :3] = (np.eye(3) if rotation is None else rotation) * spacing
    labels = Volume(voxels.astype(np.uint8), Affine(matrix), Kind.LABEL)
    statistics = label_statistics(Volume(voxels.astype(np.int16), labels.affine), labels)
    return cut_faces(label, labels, statistics, circle)


def places(spacing, size_mm=(100, 100, 120)):
    """Millimetres from the middle of the bottom border, `(3, I, J, K)`."""
    counts = [round(n / s) for n, s in zip(size_mm, spacing, strict=True)]
    mm = [(np.arange(n) + 0.5) * s for n, s in zip(counts, spacing, strict=True)]
    return np.stack(np.meshgrid(mm[0] - size_mm[0] / 2, mm[1] - size_mm[1] / 2, mm[2], indexing="ij"))


def ball(spacing, radius, share_of_height):
    x, y, z = places(spacing)
    return x**2 + y**2 + (z - radius + 2 * radius * share_of_height) ** 2 < radius**2


@pytest.mark.parametrize("rotation", [None, OBLIQUE])
@pytest.mark.parametrize("spacing", [(1, 1, 1), (2, 2, 2), (0.8, 0.8, 5), (3, 3, 1.25)])
@pytest.mark.parametrize("radius", [30, 40])
@pytest.mark.parametrize(
    ("share", "cut"), [(-0.02, False), (0, False), (0.01, False), (0.1, True), (0.5, True), (0.9, True)]
)
def test_a_ball_is_cut_once_a_share_of_its_volume_is_missing(spacing, radius, share, cut, rotation):
    """1 % of a ball's height holds 0.03 % of its volume, 10 % of it 2.8 %."""
    assert faces(ball(spacing, radius, share), spacing, rotation) == (("bottom of the scan",) if cut else ())


@pytest.mark.parametrize("share", [0.02, 0.05, 0.1])
def test_the_missing_cap_of_a_ball_is_estimated(share):
    voxels, height = ball((1, 1, 1), 40, share), 80 * share
    sections = voxels.sum(axis=(0, 1)).astype(float)
    cap = np.pi * height**2 * (40 - height / 3)
    assert 0.7 < lacking(sections[:10], 1.0) / cap < 2


def test_a_tube_that_crosses_a_border_is_cut_at_both_ends():
    x, y, z = places((1, 1, 3))
    tube = (x - 0.2 * z) ** 2 + y**2 < 36
    assert faces(tube, (1, 1, 3)) == ("top of the scan", "bottom of the scan")
    assert faces(tube & (z > 4), (1, 1, 3)) == ("top of the scan",)
    wide_elsewhere = tube | ((np.abs(z - 60) < 15) & (np.hypot(x, y) < 40))
    assert faces(wide_elsewhere, (1, 1, 3)) == ("top of the scan", "bottom of the scan")


def test_one_loop_of_many_is_judged_by_itself():
    """The other loops end near the border, so all sections together shrink although this one does not."""
    x, y, z = places((2, 2, 2))
    loop = (x + 35) ** 2 + y**2 < 100
    others = ((x - 12) ** 2 + y**2 < 900) & (z > 4) & (z < 60)
    assert faces(loop | others) == ("top of the scan", "bottom of the scan")


def test_a_tip_and_stray_pieces_cut_nothing():
    x, y, z = places((2, 2, 2))
    cone = np.hypot(x, y) < z * 0.4
    assert faces(cone & (z < 100)) == ()
    organ = x**2 + y**2 + (z - 60) ** 2 < 900
    assert faces(organ | ((np.hypot(x - 20, y) < 5) & (z < 5))) == ()
    assert faces(organ | ((np.hypot(x, y) < 5) & (z < 40))) == ("bottom of the scan",)
    single = organ.copy()
    single[3, 3, 0] = single[40, 40, -1] = single[0, 20, 20] = True
    assert faces(single) == ()


@pytest.mark.parametrize(("centre", "cut"), [(22, True), (10, False), (0, False)])
def test_the_circle_cuts_what_crosses_it(centre, cut):
    index = np.indices((80, 80)) - 39.5
    circle = Circle(2, (np.hypot(*index) - 30).astype(np.float32), -1024.0)
    i, j, k = np.indices((80, 80, 30)) - np.reshape([39.5 + centre, 39.5, 14.5], (3, 1, 1, 1))
    organ = (i**2 + j**2 + k**2 < 12**2) & (circle.distance < 0)[:, :, None]
    assert faces(organ, circle=circle) == ((CIRCLE,) if cut else ())


@pytest.mark.parametrize("spacing", [3.0, (2.0, 2.0, 5.0)])
def test_organs_of_a_virtual_patient_lack_what_the_border_takes(spacing):
    """Cut at several heights: what lacks over 5 % is nearly always called cut, what lacks nothing hardly ever."""
    anatomy = pytest.importorskip("training.synthetic.anatomy")
    whole = anatomy.build_anatomy(1, spacing, "torso").labels
    counts = np.bincount(whole.voxels.ravel(), minlength=256)
    said = {"whole": [], "cut": []}
    for share in (0.2, 0.35, 0.5, 0.65):
        for last in (0, 1):
            start, stop = [0, 0, 0], list(whole.shape)
            (stop if last else start)[2] = round(whole.shape[2] * share)
            part = crop(whole, start, stop)
            statistics = label_statistics(Volume(part.voxels, part.affine), part)
            face = f"{FACE_NAMES[face_codes(part.affine.codes, 2)[last]]} of the scan"
            for label in np.flatnonzero(statistics.counts > 50):
                lost = 1 - statistics.counts[label] / counts[label]
                touches = statistics.profiles[2][label][-last] > 0
                if lost == 0 or (lost > 0.05 and touches):
                    answer = touches and face in cut_faces(int(label), part, statistics, None)
                    said["cut" if lost else "whole"].append(answer)
    assert np.mean(said["cut"]) > 0.95
    assert np.mean(said["whole"]) < 0.02
