"""The module in its stand-in for Slicer. The tests skip where the extra `panel` is not installed."""

from __future__ import annotations

import importlib
import os
import sys
from importlib.util import find_spec
from types import SimpleNamespace

import pytest

os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")


def _is_there() -> bool:
    if not all(map(find_spec, ("slicer", "PySide6", "Qt"))):
        return False
    try:
        importlib.import_module("PySide6.QtWidgets")
    except ImportError:  # a library of the system that Qt stands on is missing
        return False
    return True


collect_ignore_glob = [] if _is_there() else ["test_*.py"]


@pytest.fixture(scope="module")
def application():
    """Slicer, as far as a module sees it."""
    from slicer_stand_in import slicer_application

    with slicer_application() as slicer:
        yield slicer


@pytest.fixture
def space(application):
    """An empty scene, with what Slicer's modules bring."""
    from medfm_core.desktop.space import Space

    return Space()


@pytest.fixture
def module(application):
    """`MedFM.py`, as Slicer loads it."""
    from panel_desk import load_module

    yield load_module()
    sys.modules.pop("MedFM", None)


@pytest.fixture
def desk(module, space, monkeypatch, tmp_path):
    """The panel, made and not yet entered."""
    from panel_desk import Desk

    made = Desk(module, space, monkeypatch, tmp_path)
    yield made
    made.widget.cleanup()
    made.ui.inputSelector.setMRMLScene(None)


@pytest.fixture
def scan(tmp_path):
    """The phantom as a file, and its result."""
    import nibabel
    from panel_desk import phantom, write_result

    _, _, grey, affine = phantom()
    file = tmp_path / "chest.nii.gz"
    nibabel.Nifti1Image(grey, affine).to_filename(file)
    return SimpleNamespace(file=file, folder=write_result(tmp_path / "result"))
