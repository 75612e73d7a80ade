"""The painter against the plain way: enlarge every class to full resolution and take the argmax."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from medfm_core.inference.painting import LabelPainter
from medfm_core.inference.sliding import Slab


def reference(probabilities, positions, ids):
    """Linear interpolation of every class along each axis, then the winner."""
    full = probabilities.numpy().astype(np.float64)
    for axis, where in enumerate(positions, start=1):
        size = full.shape[axis]
        at = np.clip(where, 0, size - 1)
        low = np.minimum(at.astype(int), max(size - 2, 0))
        share = (at - low).reshape([-1 if a == axis else 1 for a in range(4)])
        full = np.take(full, low, axis) * (1 - share) + np.take(full, np.minimum(low + 1, size - 1), axis) * share
    return np.asarray(ids)[full.argmax(0)], np.sort(full, axis=0)


def smooth_probabilities(shape, classes, seed):
    noise = torch.randn(1, classes, *[max(2, n // 3) for n in shape], generator=torch.Generator().manual_seed(seed))
    logits = torch.nn.functional.interpolate(noise, size=shape, mode="trilinear", align_corners=False)[0]
    return (4 * logits).softmax(0)


@given(
    shape=st.tuples(*[st.integers(4, 14)] * 3),
    scale=st.tuples(*[st.floats(0.4, 3.5)] * 3),
    seed=st.integers(0, 99),
    cuts=st.integers(1, 4),
)
@settings(max_examples=40, deadline=None)
def test_painting_by_slabs_equals_the_full_tensor(shape, scale, seed, cuts):
    probabilities = smooth_probabilities(shape, 5, seed)
    ids = np.array([0, 7, 9, 2, 250], np.uint8)
    positions = tuple((np.arange(max(2, int(n * s))) + 0.5) / s - 0.5 for n, s in zip(shape, scale, strict=True))
    canvas = np.full([len(p) for p in positions], 99, np.uint8)
    painter = LabelPainter(canvas, positions, ids, rows_at_once=3)
    bounds = np.unique(np.linspace(0, shape[0], cuts + 1).astype(int))
    for first, stop in pairwise(bounds):
        painter.add(Slab(int(first), probabilities[:, first:stop]), last=stop == shape[0])
    want, ranked = reference(probabilities, positions, ids)
    clear = ranked[-1] - ranked[-2] > 1e-5
    assert (canvas == want)[clear].all()


@pytest.mark.parametrize("sharpness", [1, 8])
def test_many_classes_in_many_blocks_equal_the_full_tensor(sharpness):
    """Blocks of one class, of several, and of classes that win only between voxels."""
    shape, classes = (9, 50, 44), 30
    logits = torch.log(smooth_probabilities(shape, classes, seed=5)) * sharpness
    probabilities = logits.softmax(0)
    positions = tuple(np.linspace(-1.5, n + 0.4, round(n * scale)) for n, scale in zip(shape, (2, 4, 1), strict=True))
    canvas = np.zeros([len(p) for p in positions], np.uint8)
    ids = np.arange(classes).astype(np.uint8)
    LabelPainter(canvas, positions, ids).add(Slab(0, probabilities), last=True)
    want, ranked = reference(probabilities, positions, ids)
    clear = ranked[-1] - ranked[-2] > 1e-5
    assert len(np.unique(want)) > 10
    assert (canvas == want)[clear].all()


def test_a_class_that_wins_at_no_voxel_can_win_between_them():
    """The first two classes hold one voxel each; the third is second at both and best halfway."""
    probabilities = torch.zeros(3, 1, 1, 2)
    probabilities[:, 0, 0, 0] = torch.tensor([0.55, 0.0, 0.45])
    probabilities[:, 0, 0, 1] = torch.tensor([0.0, 0.55, 0.45])
    canvas = np.zeros((1, 1, 5), np.uint8)
    positions = (np.zeros(1), np.zeros(1), np.linspace(0, 1, 5))
    LabelPainter(canvas, positions, np.array([10, 20, 30])).add(Slab(0, probabilities), last=True)
    assert canvas.ravel().tolist() == [10, 30, 30, 30, 20]


def test_canvas_rows_beyond_the_model_take_its_edge():
    probabilities = torch.zeros(2, 4, 4, 4)
    probabilities[1] = 1.0
    canvas = np.zeros((12, 4, 4), np.uint8)
    positions = (np.linspace(-2, 5.5, 12), np.arange(4.0), np.arange(4.0))
    LabelPainter(canvas, positions, np.array([0, 5])).add(Slab(0, probabilities), last=True)
    assert (canvas == 5).all()
