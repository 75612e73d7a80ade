"""Fixtures of the runtime's tests."""

from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture
def fake_model(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Resources with one model that tells the organs of `fake_organs.make_ct` by their HU; the Resources folder."""
    import fake_organs

    from medfm_core import segmentation

    folder = tmp_path_factory.mktemp("resources")
    fake_organs.install(folder, monkeypatch.setenv)
    monkeypatch.setattr(segmentation, "LoadingPredictor", fake_organs.LoadingPredictor)
    return folder
