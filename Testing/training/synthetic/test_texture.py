import numpy as np
import pytest

from training.synthetic.texture import axis_towards, smooth_field, soften, white


def test_axes_are_found_whatever_the_orientation():
    lps = np.diag([-1.0, -1.0, 3.0, 1.0])
    assert [axis_towards(lps, letter) for letter in "RLAPSI"] == [(0, -1), (0, 1), (1, -1), (1, 1), (2, 1), (2, -1)]
    turned = np.eye(4)[[1, 2, 0, 3]]
    assert axis_towards(turned, "R") == (1, 1)
    assert axis_towards(turned, "S") == (0, 1)


@pytest.mark.parametrize("length", [2.0, 9.0, 30.0])
def test_fields_have_unit_deviation_and_the_wanted_width(length):
    rng = np.random.default_rng(1)
    field = smooth_field(rng, (120, 90, 100), (2.0, 2.0, 2.0), length)
    assert field.dtype == np.float32
    assert abs(field.mean()) < 0.15 * max(1, length / 9)
    assert 0.8 < field.std() < 1.2
    step = max(1, round(length / 2))
    neighbours = np.corrcoef(field[:-step].ravel(), field[step:].ravel())[0, 1]
    assert neighbours < 0.6  # one length away
    if length > 4:
        assert np.corrcoef(field[:-1].ravel(), field[1:].ravel())[0, 1] > 0.85


def test_a_field_follows_one_axis_only_where_asked():
    field = smooth_field(np.random.default_rng(0), (40, 40, 40), (3.0, 3.0, 3.0), (3.0, 3.0, 40.0))
    along = np.corrcoef(field[:, :, :-1].ravel(), field[:, :, 1:].ravel())[0, 1]
    across = np.corrcoef(field[:-1].ravel(), field[1:].ravel())[0, 1]
    assert along > 0.9 > 0.2 > abs(across)


def test_noise_keeps_unit_deviation_when_blurred():
    for blur in (0.0, 0.12, 0.3):
        assert white(np.random.default_rng(0), (50, 50, 50), blur).std() == pytest.approx(1, abs=0.03)


def test_softening_keeps_the_sum_and_spares_narrow_axes():
    point = np.zeros((21, 21, 21), np.float32)
    point[10, 10, 10] = 1
    soft = soften(point, (1.0, 1.0, 5.0), 3.0)
    assert soft.sum() == pytest.approx(1, abs=1e-4)
    assert soft[10, 10, 12] < 1e-3 < soft[12, 10, 10]
    assert soften(point, (3.0, 3.0, 3.0), 0.5) is point
