"""The brightest value of each share is what torch's adaptive pooling finds."""

import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from medfm_core.brightest import brightest

SIDES = st.tuples(*[st.integers(1, 23)] * 3)


@settings(deadline=None, max_examples=60)
@given(SIDES, SIDES, st.integers(0, 2**31))
def test_it_is_adaptive_pooling(shape, size, seed):
    volume = torch.randn(shape, generator=torch.Generator().manual_seed(seed))
    assert torch.equal(brightest(volume, size), torch.nn.functional.adaptive_max_pool3d(volume[None], size)[0])


def test_one_bright_voxel_is_never_lost():
    volume = torch.zeros(31, 77, 90)
    volume[17, 33, 60] = 900.0
    assert brightest(volume, (24, 48, 48)).max() == 900.0
