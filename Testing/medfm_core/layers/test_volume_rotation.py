"""Rotary positions: the published frequencies, Theorem 1, and EVA-02's for a single slice."""

from __future__ import annotations

import math

import pytest
import torch

from medfm_core.layers.volume_rotation import rotate, rotation_angles, rotation_frequencies, rotation_of

GAPS = [6.8e-2, 7.9e-2, 1.9e-2, 5.5e-3, 1.3e-2, 3.0e-3, 2.0e-3, 5.9e-4, 1.3e-3, 6.6e-4, 1.6e-4, 2.4e-4, 1.4e-5, 6.8e-5,
        6.2e-5, 1.3e-5]  # fmt: skip


def smallest_gap(plane, through, columns=10, slices=5):
    """Smallest angle between the places of a grid, on the circle."""
    places = (torch.arange(columns).double()[:, None] * plane + torch.arange(slices).double() * through).flatten()
    turned = (places % (2 * math.pi)).sort().values
    return float(torch.cat([turned, turned[:1] + 2 * math.pi]).diff().min())


def test_the_published_frequencies():
    through, plane = rotation_frequencies(64)
    expected = torch.tensor([0.78479, 0.48335, 0.29769, 0.18334, 0.11292, 0.06955], dtype=torch.float64)
    torch.testing.assert_close(through[:6], expected, atol=6e-6, rtol=0)
    steps = torch.arange(16).double()
    torch.testing.assert_close(plane, 10_000 ** (-2 * steps / 32))
    torch.testing.assert_close(through, 2333 ** (-(2 * steps + 1) / 32))


def test_the_published_gaps():
    through, plane = rotation_frequencies(64)
    assert [f"{smallest_gap(p, t):.1e}" for p, t in zip(plane, through, strict=True)] == [f"{g:.1e}" for g in GAPS]


def test_other_bases_would_do_worse():
    through, plane = rotation_frequencies(64, through_plane=10_000.0)
    gaps = [smallest_gap(p, t) for p, t in zip(plane, through, strict=True)]
    assert f"{gaps[0]:.1e}" == "4.2e-04"
    assert f"{gaps[-1]:.1e}" == "7.5e-08"
    assert max(smallest_gap(p, p) for p in plane) < 1e-12  # the same frequencies for all axes: places coincide


def test_theorem_1_no_two_places_are_turned_alike():
    """Its conditions, and what follows for every pair of frequencies on a grid far larger than any of ours.

    2333 ** ((2 i + 1) / 32) over a rational power of 10 is rational only if the exponent of the prime is whole.
    """
    assert all(2333 % divisor for divisor in range(2, math.isqrt(2333) + 1))
    assert all((2 * i + 1) % 32 for i in range(16))
    for plane, through in zip(*reversed(rotation_frequencies(64)), strict=True):
        assert smallest_gap(plane, through, 64, 32) > 1e-9


def test_all_tokens_of_a_crop_have_angles_of_their_own():
    angles = rotation_angles((5, 10, 10), 64) % (2 * math.pi)
    apart = torch.cdist(angles, angles) + 9 * torch.eye(500)
    assert apart.min() > 0.1


def test_a_single_slice_has_the_two_dimensional_rotation_of_eva_02():
    frequencies = 1 / 10_000 ** (torch.arange(0, 32, 2).float() / 32)
    steps = torch.arange(7).float()[:, None] * frequencies
    rows, columns = steps[:6, None].expand(6, 7, -1), steps[None].expand(6, 7, -1)
    theirs = torch.cat([rows, columns], dim=-1).repeat_interleave(2, dim=-1).flatten(0, 1)
    features = torch.randn(2, 3, 42, 64)
    swapped = torch.stack([-features[..., 1::2], features[..., ::2]], dim=-1).flatten(-2)
    expected = features * theirs.cos() + swapped * theirs.sin()
    torch.testing.assert_close(rotate(features, rotation_of(rotation_angles((1, 6, 7), 64))), expected)


def test_scores_depend_on_how_far_tokens_lie_apart_only():
    angles = rotation_angles((4, 5, 6), 16).view(4, 5, 6, 8)
    query, key = torch.randn(1, 1, 1, 16), torch.randn(1, 1, 1, 16)

    def score(one, other):
        at_one, at_other = (rotate(x, rotation_of(angles[p][None])) for x, p in ((query, one), (key, other)))
        return (at_one * at_other).sum()

    torch.testing.assert_close(score((0, 1, 2), (1, 3, 0)), score((2, 2, 4), (3, 4, 2)))
    assert abs(score((0, 1, 2), (1, 3, 0)) - score((0, 1, 2), (2, 3, 0))) > 1e-4


def test_types_and_batches():
    angles = rotation_angles((1, 2, 2), 8)
    assert rotation_of(angles[None].expand(3, -1, -1)).cosine.shape == (3, 1, 4, 4)
    features = torch.randn(3, 2, 4, 8, dtype=torch.bfloat16)
    assert rotate(features, rotation_of(angles)).dtype == torch.bfloat16
    with pytest.raises(ValueError, match="multiple of 4"):
        rotation_angles((1, 1, 1), 6)
