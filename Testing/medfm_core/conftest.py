"""Fixtures of the runtime's tests, and access to the builders at the top of Testing."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

TESTING = str(Path(__file__).resolve().parents[1])
if TESTING not in sys.path:
    sys.path.insert(0, TESTING)


@pytest.fixture
def fake_model(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Resources with one model that tells the organs of `fake_organs.make_ct` by their HU; the Resources folder."""
    import fake_organs

    from medfm_core import segmentation

    folder = tmp_path_factory.mktemp("resources")
    fake_organs.install(folder, monkeypatch.setenv)
    monkeypatch.setattr(segmentation, "segment", fake_organs.segment)
    return folder
