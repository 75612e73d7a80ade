"""The sliding window against the plain formulation and against MONAI's, on nets whose answer is known."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from medfm_core.inference.devices import Precision
from medfm_core.inference.sliding import SlidingWindow
from medfm_core.inference.tiles import Tiling, fit_tile, gaussian_window

CPU = torch.device("cpu")


class Pointwise(nn.Module):
    """Two classes by the sign of the voxel: a net without context gives the same answer tiled or whole."""

    def forward(self, x):
        return torch.cat([-x, x], dim=1)


class Contextual(nn.Module):
    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.conv = nn.Conv3d(1, 3, 5, padding=2)

    def forward(self, x):
        return self.conv(x)


def run(net, image, size, overlap=0.5, classes=2, **options):
    window = SlidingWindow(Tiling(size, overlap), **options)
    done = []
    slabs = list(window.run(net, image, classes, Precision(), CPU, done.append))
    assert sum(done) == window.tile_count(tuple(image.shape[1:]))
    assert [s.start for s in slabs] == list(np.cumsum([0] + [s.probabilities.shape[1] for s in slabs[:-1]]))
    return torch.cat([s.probabilities for s in slabs], dim=1)


@given(
    shape=st.tuples(*[st.integers(3, 40)] * 3),
    size=st.tuples(*[st.sampled_from([8, 16, 24])] * 3),
    overlap=st.floats(0, 0.8),
    batch=st.integers(1, 3),
)
@settings(max_examples=40, deadline=None)
def test_a_pointwise_net_gives_the_same_tiled_and_whole(shape, size, overlap, batch):
    image = torch.randn(1, *shape, generator=torch.Generator().manual_seed(1)).clamp_(-0.9, 0.9)
    got = run(Pointwise(), image, size, overlap, batch_size=batch)
    want = Pointwise()(image[None]).softmax(1)[0]
    torch.testing.assert_close(got, want, atol=1e-5, rtol=0)


def test_it_agrees_with_monai_on_a_net_with_context():
    inferers = pytest.importorskip("monai.inferers")
    image = torch.randn(1, 40, 24, 32, generator=torch.Generator().manual_seed(2)).clamp_(-0.9, 0.9)
    net = Contextual()
    with torch.inference_mode():
        want = inferers.sliding_window_inference(
            image[None], (16, 16, 16), 1, lambda x: net(x).softmax(1), overlap=0.5, mode="gaussian", sigma_scale=0.125
        )[0]
    got = run(net, image, (16, 16, 16), classes=3)
    torch.testing.assert_close(got, want, atol=2e-3, rtol=0)
    assert (got.argmax(0) == want.argmax(0)).float().mean() > 0.999


def test_empty_tiles_are_background_and_never_reach_the_net():
    class Counting(Pointwise):
        calls = 0

        def forward(self, x):
            Counting.calls += len(x)
            return super().forward(x)

    image = torch.full((1, 48, 16, 16), -1.0)
    image[:, :4] = 0.5
    got = run(Counting(), image, (16, 16, 16), overlap=0.0)
    assert Counting.calls == 1
    assert (got[0, 20:] == 1).all()
    assert (got[1, :4] > 0.5).all()


def test_probabilities_sum_to_one_and_zooms_average():
    class Config:
        divisor = 8

    net = Contextual()
    net.config = Config()
    image = torch.randn(1, 20, 16, 16).clamp_(-0.9, 0.9)
    got = run(net, image, (16, 16, 16), classes=3, zooms=(1.0, 1.5))
    torch.testing.assert_close(got.sum(0), torch.ones(20, 16, 16), atol=1e-5, rtol=0)


@given(length=st.integers(1, 300), size=st.integers(1, 64), overlap=st.floats(0, 0.89))
def test_tiles_cover_every_voxel_and_stay_inside(length, size, overlap):
    starts = Tiling((size,) * 3, overlap)._starts(length, size)
    covered = np.zeros(max(length, size), bool)
    for start in starts:
        assert start >= 0
        assert start + size <= len(covered)
        covered[start : start + size] = True
    assert covered.all()


def test_tiles_fit_small_grids_and_windows_are_positive():
    assert fit_tile((20, 200, 90), (64, 96, 128), 16) == (32, 96, 96)
    window = gaussian_window((8, 9, 10))
    assert window.shape == (8, 9, 10)
    assert 0 < window.min() < window.max() <= 1
