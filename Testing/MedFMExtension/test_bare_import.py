"""The library imports in a bare Python: no package beside Python's own, no torch, no Slicer."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import MedFMLib
import pytest

LIBRARY = Path(MedFMLib.__file__).parent
# What touches MRML, and the arrays that it holds; everything else must do without.
SCENE = {"voxel_grid", "result_image"}
# The panel is on the same side of them as the scene, and speaks Qt.
BARE = sorted(
    p.stem for p in LIBRARY.glob("*.py") if not p.stem.startswith(("scene", "panel", "__")) and p.stem not in SCENE
)


def test_all_of_it_imports_with_nothing_but_python_itself():
    script = (
        f"import sys; sys.path.insert(0, {str(LIBRARY.parent)!r})\n"
        f"import importlib\nfor name in {BARE!r}:\n    importlib.import_module('MedFMLib.' + name)\n"
        "foreign = {n.split('.')[0] for n in sys.modules} - set(sys.stdlib_module_names) - {'MedFMLib', '__main__'}\n"
        "assert not foreign, foreign"
    )
    done = subprocess.run([sys.executable, "-I", "-S", "-c", script], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("name", BARE)
def test_no_file_names_a_foreign_package_anywhere(name):
    """Not even within a function."""
    tree = ast.parse((LIBRARY / f"{name}.py").read_text(encoding="utf-8"))
    imported = {
        alias.name.split(".")[0] for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names
    } | {
        (node.module or "").split(".")[0]
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and node.level == 0
    }
    assert imported <= set(sys.stdlib_module_names)
