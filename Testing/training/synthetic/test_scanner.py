import numpy as np
import pytest

from training.synthetic.scanner import Protocol, draw_protocol, field_of_view, scan, thick_slices

QUIET = Protocol(kernel="medium", noise_hu=8, table="none", streaks=0.0)


@pytest.fixture(scope="module")
def cylinder():
    """A water cylinder of 24 cm in air, RAS, 4 mm, with room behind."""
    x, y = np.meshgrid((np.arange(90) - 45) * 4.0, (np.arange(80) - 48) * 4.0, indexing="ij")
    disc = np.where(np.hypot(x, y) < 120, 0.0, -1000.0).astype(np.float32)
    return np.repeat(disc[:, :, None], 12, axis=2), np.diag([4.0, 4.0, 4.0, 1.0])


def test_a_scan_is_whole_numbers_and_repeatable(cylinder):
    hu, matrix = cylinder
    first = scan(hu, matrix, 3)
    assert first.dtype == np.int16
    np.testing.assert_array_equal(first, scan(hu, matrix, 3))
    assert (first != scan(hu, matrix, 4)).any()


def test_noise_is_as_asked_and_grows_with_the_patient(cylinder):
    hu, matrix = cylinder
    inside = hu[:, :, 0] == 0
    noise = scan(hu, matrix, 0, QUIET)[inside].std()
    assert 4 < noise < 12
    wide = scan(hu, matrix * np.array([1.6, 1.6, 1, 1]), 0, QUIET)[inside].std()
    assert wide > 1.4 * noise
    low, high = (scan(hu, matrix, 0, Protocol("medium", s, "none", streaks=0.0))[inside].std() for s in (4, 16))
    assert high / low == pytest.approx(4, rel=0.1)


def test_a_table_lies_behind_and_cloth_in_front(cylinder):
    hu, matrix = cylinder
    for table in ("curved", "flat"):
        image = scan(hu, matrix, 1, Protocol("medium", 3, table, streaks=0.0))
        behind, before = image[:, :17], image[:, 79:]
        assert behind.max() > -850 > before.max()
    cloth = scan(hu, matrix, 1, Protocol("medium", 3, "none", blanket=True, streaks=0.0))
    assert (cloth[40:50, 78:] > -930).any()


def test_the_circle_is_filled_with_padding(cylinder):
    hu, matrix = cylinder
    image = scan(hu, matrix, 0, Protocol("medium", 3, "none", streaks=0.0, fov_mm=200, padding=-2048))
    circle = field_of_view(hu.shape, matrix, 200)
    assert (image[~circle] == -2048).all()
    assert (image[circle] >= -1024).all()
    assert circle.mean() * 90 * 80 * 16 == pytest.approx(np.pi * 100**2, rel=0.03)


def test_thick_slices_average_and_keep_their_place():
    image = np.arange(10, dtype=np.int16)[None, None, :] * np.ones((2, 2, 1), np.int16) * 10
    labels = np.arange(10, dtype=np.uint8)[None, None, :] * np.ones((2, 2, 1), np.uint8)
    matrix = np.diag([1.0, 1.0, 2.0, 1.0])
    matrix[2, 3] = 100
    thick, (picked,), moved = thick_slices(image, [labels], matrix, 6.0)
    assert thick.shape == (2, 2, 3)
    assert thick[0, 0].tolist() == [10, 40, 70]
    assert picked[0, 0].tolist() == [1, 4, 7]
    assert (moved @ [0, 0, 0, 1])[2] == 102
    assert (moved @ [0, 0, 1, 1])[2] == 108
    same, _, _ = thick_slices(image, [labels], matrix, 2.0)
    assert same is image


def test_protocols_vary():
    drawn = [draw_protocol(seed) for seed in range(50)]
    assert {p.kernel for p in drawn} == {"soft", "medium", "sharp"}
    assert {p.table for p in drawn} == {"curved", "flat", "none"}
    assert draw_protocol(1, fov_mm=300, thickness_mm=5).thickness_mm == 5
