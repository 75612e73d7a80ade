"""The window for published models: MONAI's tiles and sums, without its memory; and the nearest painter."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from medfm_core.inference.devices import Precision
from medfm_core.inference.logit_window import LabelRows, LogitWindow
from medfm_core.inference.nearest_painting import NearestPainter

CPU = torch.device("cpu")


class Mixing(torch.nn.Module):
    """A net whose answer depends on where in the tile a voxel lies, as a convolutional one's does at borders."""

    def __init__(self):
        super().__init__()
        self.net = torch.nn.Conv3d(1, 6, 3, padding=1)
        torch.manual_seed(3)
        torch.nn.init.normal_(self.net.weight)

    def forward(self, x):
        return self.net(x)


def run(window, net, image):
    rows = list(window.run(net, image, 6, Precision(), CPU, lambda n: None))
    assert [r.start for r in rows] == list(np.cumsum([0, *(len(r.channels) for r in rows[:-1])]))
    return torch.cat([r.channels for r in rows])


@settings(max_examples=15, deadline=None)
@given(
    shape=st.tuples(*[st.integers(3, 21)] * 3),
    overlap=st.sampled_from([0.0, 0.25, 0.3, 0.5]),
    batch=st.integers(1, 3),
)
def test_the_best_classes_are_those_of_monai_s_inferer(shape, overlap, batch):
    inferers = pytest.importorskip("monai.inferers")
    net, image = Mixing(), torch.randn(1, *shape, generator=torch.Generator().manual_seed(1))
    tile = (8, 8, 8)
    with torch.no_grad():
        want = inferers.sliding_window_inference(
            image[None], tile, batch, net, overlap=overlap, mode="gaussian", padding_mode="replicate"
        )[0].argmax(0)
    found = run(LogitWindow(tile, overlap, batch), net, image)
    assert found.shape == image.shape[1:]
    assert (found == want).float().mean() > 0.999


def test_tiles_are_counted_and_told():
    told = []
    window = LogitWindow((8, 8, 8), 0.25)
    image = torch.zeros(1, 20, 8, 5)
    list(window.run(Mixing(), image, 6, Precision(), CPU, told.append))
    assert sum(told) == window.tile_count((20, 8, 5)) == 3


def test_memory_does_not_grow_with_the_length_of_the_scan():
    class Watched(Mixing):
        largest = 0

        def forward(self, x):
            return super().forward(x)

    image = torch.zeros(1, 64, 8, 8)
    for rows in LogitWindow((8, 8, 8), 0.25).run(Watched(), image, 6, Precision(), CPU, lambda n: None):
        assert len(rows.channels) <= 8


@settings(max_examples=30, deadline=None)
@given(scale=st.floats(0.3, 2.5), offset=st.floats(-0.4, 3.0), cut=st.integers(1, 6))
def test_every_voxel_takes_the_nearest_one_s_label(scale, offset, cut):
    """Slab by slab or at once, and nothing outside the model's grid."""
    rng = np.random.default_rng(0)
    model = rng.integers(0, 5, (7, 6, 5)).astype(np.uint8)
    ids = np.array([0, 10, 20, 30, 40], np.uint8)
    axes = tuple(np.arange(9) * scale - offset for _ in range(3))
    canvas = np.full((9, 9, 9), 99, np.uint8)
    painter = NearestPainter(canvas, axes, model.shape, ids)
    for start in range(0, 7, cut):
        painter.add(LabelRows(start, torch.from_numpy(model[start : start + cut])))
    for index in np.ndindex(canvas.shape):
        place = [axis[i] for axis, i in zip(axes, index, strict=True)]
        if any(abs(p - np.floor(p) - 0.5) < 1e-3 for p in place):
            continue  # as near to the one as to the other
        inside = all(-0.5 <= p <= n - 0.5 for p, n in zip(place, model.shape, strict=True))
        nearest = tuple(int(np.clip(np.rint(p), 0, n - 1)) for p, n in zip(place, model.shape, strict=True))
        assert canvas[index] == (ids[model[nearest]] if inside else 99)
