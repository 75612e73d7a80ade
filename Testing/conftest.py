"""Fixtures shared by all tests."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder of real CT and MRI; tests that need it are skipped where it is not there."""
    folder = Path(os.environ.get("MEDFM_TEST_DATA") or ROOT.parent / "shared" / "data")
    if not folder.is_dir():
        pytest.skip("needs the real cases: set MEDFM_TEST_DATA to their folder")
    return folder
