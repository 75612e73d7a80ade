"""Slicer's own process stays free of torch and of every package that Slicer does not bring."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

LIBRARY = Path(__file__).parents[3] / "MedFMExtension" / "MedFM" / "MedFMLib"
ALLOWED = {"numpy", "slicer", "vtk", "vtkmodules", "MedFMLib"}
MRML = {"scene.py", *(path.name for path in LIBRARY.glob("scene_*.py"))}


def imported(path: Path) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {name.name.split(".")[0] for name in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            found.add(node.module.split(".")[0])
    return found - set(sys.stdlib_module_names)


@pytest.mark.parametrize("name", sorted(MRML))
def test_the_bridge_imports_nothing_that_slicer_lacks(name):
    assert imported(LIBRARY / name) <= ALLOWED


def test_no_other_file_touches_mrml():
    for path in LIBRARY.glob("*.py"):
        widgets = {"slicer"} if path.name.startswith("panel") else set()  # for slicer.util and its widgets
        if path.name not in MRML:
            assert not imported(path) & ({"slicer", "vtk", "vtkmodules"} - widgets), path.name


def test_showing_a_result_loads_no_torch(case):
    code = """
import sys
sys.path[:0] = sys.argv[2:]
from scene_offscreen import OffscreenScene
from MedFMLib.results import read_result
from MedFMLib.scene import SlicerScene
import numpy as np
result = read_result(sys.argv[1])
shape, affine = result.manifest["input"]["shape"], np.array(result.manifest["input"]["affine_ras"])
space = OffscreenScene()
volume = space.volume(np.zeros(shape[::-1], np.int16), affine)
bridge = SlicerScene(space.scene)
bridge.import_result(volume, result)
bridge.show_saliency(volume, next(iter(result.saliency.values())), "Renal mass")
bridge.close()
print(sorted({name.split(".")[0] for name in sys.modules} & {"torch", "medfm_core", "nibabel", "SimpleITK", "pydicom"}))
"""
    paths = [str(LIBRARY.parent), str(Path(__file__).parents[2])]
    command = [sys.executable, "-c", code, str(case.folder), *paths]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "[]"
