"""The memory plan: it grows with the scan, shrinks its tile under pressure and refuses with a sentence."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from medfm_core.card_library import load_card
from medfm_core.card_parts import InferenceSettings
from medfm_core.errors import ResourceError
from medfm_core.geometry import Affine, Grid
from medfm_core.inference.memory import plan_memory


def grid(*shape, spacing=(0.7, 0.7, 2.5)):
    return Grid(shape, Affine(np.diag([*spacing, 1.0])))


CARD = SimpleNamespace(
    inference=InferenceSettings(tile=(64, 96, 128)),
    input=SimpleNamespace(spacing_mm=(3.0, 3.0, 3.0), intensity=SimpleNamespace(windows=(1, 2))),
    channels=dict.fromkeys(range(1, 40), "liver"),
    architecture=SimpleNamespace(name="half_resolution_unet"),
    source=SimpleNamespace(kind="shipped"),
    needs=SimpleNamespace(disk_gb=None),
    weights=(),
)


def test_a_usual_chest_is_planned_below_three_gigabytes(monkeypatch):
    monkeypatch.setenv("MEDFM_MEMORY_GB", "8")
    plan = plan_memory(grid(512, 512, 133), 2, CARD)
    assert plan.tile == (64, 96, 128)
    assert plan.expected_bytes < 3e9


def test_less_memory_takes_smaller_tiles_and_then_a_sentence(monkeypatch):
    monkeypatch.setenv("MEDFM_MEMORY_GB", "8")
    full = plan_memory(grid(512, 512, 133), 2, CARD)
    monkeypatch.setenv("MEDFM_MEMORY_GB", str(full.expected_bytes * 0.8e-9))
    smaller = plan_memory(grid(512, 512, 133), 2, CARD)
    assert np.prod(smaller.tile) < np.prod(full.tile)
    assert all(side % 16 == 0 for side in smaller.tile)
    monkeypatch.setenv("MEDFM_MEMORY_GB", "0.3")
    with pytest.raises(ResourceError, match=r"512 x 512 x 133 voxels needs about .* GB"):
        plan_memory(grid(512, 512, 133), 2, CARD)


def test_the_plan_grows_with_the_scan(monkeypatch):
    monkeypatch.setenv("MEDFM_MEMORY_GB", "100")
    sizes = [plan_memory(grid(512, 512, n), 2, CARD).expected_bytes for n in (50, 500, 2000)]
    assert sizes == sorted(sizes)
    assert plan_memory(grid(1024, 1024, 2000, spacing=(0.35, 0.35, 0.5)), 2, CARD).expected_bytes > 8e9


@pytest.mark.parametrize(("name", "least", "most"), [
    ("monai-wholebody-3mm.v1", 2.76e9, 3.2e9),  # measured on this grid: 2.76 GB
    ("monai-wholebody-1.5mm.v1", 4e9, 6e9),
    ("monai-vista3d.v1", 8e9, 18e9),
    ("nv-segment-ct.v1", 8e9, 18e9),
])  # fmt: skip
def test_published_segmenters_are_planned_at_their_published_tile_and_shrink_it(monkeypatch, name, least, most):
    card = load_card(name)
    monkeypatch.setenv("MEDFM_MEMORY_GB", "100")
    full = plan_memory(grid(512, 512, 133, spacing=(0.703125, 0.703125, 2.5)), 2, card)
    assert full.tile == card.inference.tile
    assert least < full.expected_bytes < most
    monkeypatch.setenv("MEDFM_MEMORY_GB", str(full.expected_bytes * 0.7e-9))
    smaller = plan_memory(grid(512, 512, 133, spacing=(0.703125, 0.703125, 2.5)), 2, card)
    assert np.prod(smaller.tile) < np.prod(full.tile)
    assert min(smaller.tile) >= 48
