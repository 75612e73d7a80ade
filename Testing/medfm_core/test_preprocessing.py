"""The one preprocessing path: pinned by golden numbers, and true to geometry."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from medfm_core.body import body_box
from medfm_core.card_inputs import InputSpec, Intensity, Window
from medfm_core.errors import InputError
from medfm_core.geometry import Affine
from medfm_core.preprocessing import to_channels, to_model_grid
from medfm_core.volume import Volume, reorient

WINDOWS = Intensity("windows", to=(-1.0, 1.0), windows=(Window(0.0, 2000.0), Window(40.0, 400.0)))
SPEC = InputSpec(("CT",), WINDOWS, spacing_mm=(3.0, 3.0, 3.0))


def phantom(table: bool = True) -> Volume:
    """An oval body with a bright ball on a thin table, 2 x 2 x 2.5 mm, LPS."""
    x, y, z = np.meshgrid(np.arange(90), np.arange(80), np.arange(40), indexing="ij")
    voxels = np.full(x.shape, -1000, np.int16)
    voxels[((x - 40) / 30) ** 2 + ((y - 35) / 22) ** 2 < 1] = 40
    voxels[(x - 50) ** 2 + (y - 30) ** 2 + (1.25 * (z - 20)) ** 2 < 64] = 300
    if table:
        voxels[5:85, 70:72] = 200
    matrix = np.diag([-2.0, -2.0, 2.5, 1.0])
    matrix[:3, 3] = 90, 70, -50
    return Volume(voxels, Affine(matrix), modality="CT")


def test_golden_numbers_of_the_model_grid_and_channels():
    region, grid = to_model_grid(phantom(), SPEC)
    assert region.shape == (80, 64, 40)
    assert grid.shape == (53, 43, 33)
    np.testing.assert_allclose(grid.affine.origin, [85.0, 58.0, -49.25], atol=1e-4)
    channels = to_channels(torch.from_numpy(np.ascontiguousarray(grid.voxels.transpose(2, 1, 0))), WINDOWS)
    assert channels.shape == (2, 33, 43, 53)
    np.testing.assert_allclose(channels.mean((1, 2, 3)), [-0.5812, -0.6000], atol=2e-4)


def test_the_body_box_leaves_the_table_out_and_the_body_in():
    start, stop = body_box(phantom(), margin_mm=0.0)
    assert start[0] <= 10
    assert 71 <= stop[0] <= 80
    assert start[1] <= 13
    assert 57 <= stop[1] <= 70  # the table begins at 70
    assert (start[2], stop[2]) == (0, 40)


def test_a_scan_of_air_keeps_its_full_box():
    air = Volume(np.full((9, 8, 7), -1000, np.int16), phantom().affine)
    assert body_box(air, margin_mm=12.0) == ((0, 0, 0), (9, 8, 7))


@given(codes=st.sampled_from(["RAS", "LPS", "PIR", "SAL", "IRA"]))
@settings(max_examples=5, deadline=None)
def test_a_point_keeps_its_value_and_place_however_the_scan_is_stored(codes):
    plain = to_model_grid(phantom(), SPEC)[1]
    _, grid = to_model_grid(reorient(phantom(), codes), SPEC)
    assert grid.affine.codes == "LPS"
    ball = np.argwhere(grid.voxels > 250).mean(0)
    want = phantom().affine.to_world(np.array([[50.0, 30.0, 20.0]]))[0]
    np.testing.assert_allclose(grid.affine.to_world(ball[None])[0], want, atol=1.0)
    assert abs(float(grid.voxels.mean()) - float(plain.voxels.mean())) < 40


def test_windows_scale_and_clip():
    hu = torch.tensor([[[-2000.0, -1000.0, 0.0, 40.0, 240.0, 5000.0]]])
    wide, soft = to_channels(hu, WINDOWS)
    torch.testing.assert_close(wide.flatten(), torch.tensor([-1.0, -1.0, 0.0, 0.04, 0.24, 1.0]))
    torch.testing.assert_close(soft.flatten(), torch.tensor([-1.0, -1.0, -0.2, 0.0, 1.0, 1.0]))
    one = to_channels(hu, Intensity("clip_scale", hu=(-1000.0, 1000.0), to=(0.0, 1.0)))
    assert one.shape == (1, 1, 1, 6)
    assert one.flatten()[2] == 0.5


def test_rules_of_other_models_are_refused():
    with pytest.raises(InputError, match="'zscore' is not one of the volume models'"):
        to_channels(torch.zeros(1, 1, 1), Intensity("zscore"))
