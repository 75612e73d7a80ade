"""How long an analysis is expected to take."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import fake_organs
import numpy as np
import pytest

from medfm_core import expected
from medfm_core.card_library import default_card
from medfm_core.expected import MEASURED, TYPICAL, UNKNOWN, expect, remember
from medfm_core.geometry import Affine, Grid
from medfm_core.volume import resample

SECONDS = {"plan": 0.1, "read": 2.0, "check": 1.0, "segment": 30.0, "measure": 1.0, "write": 3.0}


@pytest.fixture
def card(fake_model, tmp_path, monkeypatch):
    monkeypatch.setenv("MEDFM_CACHE", str(tmp_path / "cache"))
    return default_card("organ_segmentation")


def grid(shape, step=1.0):
    return Grid(shape, Affine(np.diag([step, step, step, 1.0])))


def finished(card, volume, device="cpu"):
    segmentation = SimpleNamespace(device=device)
    return SimpleNamespace(card=card, findings_card=None, segmentation=segmentation, image=volume, seconds=SECONDS)


def test_before_the_first_run_figures_are_typical_and_only_of_the_cpu(card):
    found = expect(grid((300, 300, 300)), card, None, "cpu")
    assert found.basis == TYPICAL
    assert found.seconds == pytest.approx(sum(found.stages.values()))
    assert "Encode the organs" not in found.stages
    gpu = expect(grid((300, 300, 300)), card, None, "cuda:0")
    assert (gpu.basis, gpu.seconds) == (UNKNOWN, None)
    assert gpu.stages  # shares of the work are known all the same


def test_after_a_run_its_seconds_are_scaled_to_the_scan(card):
    volume = fake_organs.make_ct()
    remember(finished(card, volume))
    again = expect(volume.grid, card, None, "cpu")
    assert again.basis == MEASURED
    assert again.seconds == pytest.approx(sum(SECONDS.values()))
    finer = expect(resample(volume, (2.5, 2.5, 2.5)).grid, card, None, "cpu")
    assert finer.stages["Outline the organs"] == pytest.approx(30.0, rel=0.1)  # its grid is its own
    assert finer.stages["Read the image"] == pytest.approx(16.0, rel=0.1)
    assert expect(volume.grid, card, None, "cuda").basis == UNKNOWN
    assert expect(volume.grid, replace(card, id="other"), None, "cpu").basis == TYPICAL


@pytest.mark.parametrize("data", [b"", b"[]", b"{", b'{"%s": {"seconds": 5}}', b'{"%s": {"seconds": {"read": -1}}}'])
def test_a_damaged_memory_is_no_memory(card, data):
    volume = fake_organs.make_ct()
    remember(finished(card, volume))
    path = expected._path()
    path.write_bytes(data.replace(b"%s", f"{card.id} - cpu".encode()))
    assert expect(volume.grid, card, None, "cpu").basis == TYPICAL


def test_a_cache_that_cannot_be_written_is_no_failure(card, tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("MEDFM_CACHE", str(tmp_path / "file" / "cache"))
    remember(finished(card, fake_organs.make_ct()))
