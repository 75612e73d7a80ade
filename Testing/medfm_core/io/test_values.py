"""Slope and intercept, compact types and padding, against plain float64 arithmetic."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from medfm_core.errors import InputError
from medfm_core.geometry import Affine
from medfm_core.io import clamp_air
from medfm_core.io.values import as_labels, fill_non_finite, rescale, rescaled_type
from medfm_core.volume import Volume

DTYPES = [">u2", ">i2", ">f4", "uint8", "int8", "uint16", "int16", "uint32", "int32", "int64", "float32", "float64"]


@given(
    st.sampled_from(DTYPES),
    st.integers(0, 99),
    st.sampled_from([1, 2, -1, 3, 100, 0.5, 1.25, 70000]),
    st.sampled_from([0, -1024, 1024, 0.5, -40000, 32768, 3e9]),
    st.sampled_from([100, 5000, 60000]),
)
@settings(max_examples=300, deadline=None)
def test_rescale_equals_plain_arithmetic(dtype: str, seed: int, slope: float, intercept: float, high: int) -> None:
    info = np.iinfo(dtype) if np.dtype(dtype).kind in "iu" else None
    low, top = (max(info.min, -high), min(info.max, high)) if info else (-high, high)
    stored = np.random.default_rng(seed).integers(low, top, 50, endpoint=True).astype(dtype)
    before = stored.copy()
    scaled = rescale(stored, slope, intercept)
    expected = stored.astype(np.float64) * slope + intercept
    assert scaled.dtype in (np.uint8, np.int16, np.float32)
    assert scaled.dtype.itemsize <= rescaled_type(stored.dtype, slope, intercept).itemsize
    if scaled.dtype.kind == "f":
        np.testing.assert_allclose(scaled, expected, rtol=1e-6, atol=1e-6 * abs(intercept) + 1e-3)
    else:
        np.testing.assert_array_equal(scaled, expected)
    np.testing.assert_array_equal(stored, before)


def test_what_needs_nothing_is_not_copied() -> None:
    for dtype in ("uint8", "int16", "float32"):
        stored = np.arange(5).astype(dtype)
        assert rescale(stored, 1, 0) is stored


@pytest.mark.parametrize(
    ("values", "dtype"), [([0, 5], np.uint8), ([0, 300], np.uint16), ([-1, 3], np.int32), ([0, 70000], np.int32)]
)
def test_labels_take_the_smallest_type(values: list, dtype: type) -> None:
    for source in ("int64", "float32"):
        assert as_labels(np.array(values).astype(source), "it").dtype == dtype


@pytest.mark.parametrize("values", [[0.5, 1], [np.nan, 1], [np.inf, 1], [0, 1e12]])
def test_what_is_no_label_is_refused(values: list) -> None:
    with pytest.raises(InputError, match="no label map"):
        as_labels(np.array(values), "it")


def test_non_finite() -> None:
    voxels = np.array([1.0, np.nan, -3, np.inf], np.float32)
    voxels.flags.writeable = False
    filled, count = fill_non_finite(voxels, None, "it")
    assert count == 2
    assert filled.tolist() == [1, -3, -3, -3]
    assert fill_non_finite(voxels, -1024, "it")[0].tolist() == [1, -1024, -3, -1024]
    huge = np.full(4, 3e38, np.float32)
    assert fill_non_finite(huge, None, "it")[1] == 0


@pytest.mark.parametrize("dtype", ["int16", "float32"])
def test_clamp_air(dtype: str) -> None:
    voxels = np.zeros((3, 4, 5), dtype)
    voxels[0, 0, :2] = -2000, -3024
    volume = Volume(voxels, Affine(np.eye(4)), meta={"warnings": ("first",)})
    clamped = clamp_air(volume)
    assert clamped.voxels.min() == -1024
    assert clamped.voxels.dtype == dtype
    assert volume.voxels.min() == -3024
    assert clamped.meta["padding_voxels"] == 2
    assert clamped.meta["padding_value"] == -3024
    assert clamped.meta["warnings"] == ("first",)  # scanners pad every scan: no reason to warn
    assert clamp_air(clamped) is clamped
    assert clamp_air(volume.with_voxels(np.zeros((3, 4, 5), np.uint8))).voxels.dtype == np.uint8
