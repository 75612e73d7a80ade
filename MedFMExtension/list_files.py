"""Write `MedFM/files.cmake`: every file of the module that Slicer must install. Run it after adding a file.

python MedFMExtension/list_files.py
"""

from __future__ import annotations

from pathlib import Path

MODULE = Path(__file__).resolve().parent / "MedFM"
LIST = MODULE / "files.cmake"
_BUILD_FILES = ("CMakeLists.txt", "files.cmake")


def listed() -> tuple[list[str], list[str]]:
    """The scripts and the other files, relative to the module, sorted."""
    files = sorted(path.relative_to(MODULE) for path in MODULE.rglob("*") if path.is_file() and _counts(path))
    scripts = [path.as_posix() for path in files if path.suffix == ".py"]
    return scripts, [path.as_posix() for path in files if path.suffix != ".py"]


def text() -> str:
    """What the list must say."""
    scripts, resources = listed()
    parts = ["# Written by list_files.py; do not edit."]
    for name, entries in (("MODULE_PYTHON_SCRIPTS", scripts), ("MODULE_PYTHON_RESOURCES", resources)):
        parts += [f"set({name}", *(f"  {entry}" for entry in entries), "  )"]
    return "\n".join(parts) + "\n"


def _counts(path: Path) -> bool:
    hidden = any(part.startswith(".") or part == "__pycache__" for part in path.relative_to(MODULE).parts)
    return not hidden and path.name not in _BUILD_FILES


if __name__ == "__main__":
    LIST.write_text(text(), encoding="utf-8")
