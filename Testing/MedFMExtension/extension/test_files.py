"""What Slicer's build and the Extensions Index read: lists, addresses, the catalogue entry, the icon."""

from __future__ import annotations

import ast
import importlib.util
import json
import re
from pathlib import Path

import pytest
from PIL import Image

ROOT = Path(__file__).parents[3]
MODULE = ROOT / "MedFMExtension" / "MedFM"
TIERS = (1, 3, 5)
REQUIRED = {"$schema", "category", "scm_url"}
OPTIONAL = {
    "build_dependencies", "build_subdirectory", "dicom_support_rule", "enabled", "scm_revision", "scm_type", "tier"
}  # fmt: skip
SCHEMA = (
    "https://raw.githubusercontent.com/Slicer/Slicer/main/Schemas/slicer-extension-catalog-entry-schema-v1.0.2.json#"
)


@pytest.fixture(scope="module")
def lister():
    spec = importlib.util.spec_from_file_location("list_files", ROOT / "MedFMExtension" / "list_files.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def cmake() -> dict[str, str]:
    text = (ROOT / "CMakeLists.txt").read_text(encoding="utf-8")
    return dict(re.findall(r"^set\((EXTENSION_\w+) \"?(.*?)\"?\)$", text, re.MULTILINE))


@pytest.fixture(scope="module")
def entry() -> dict:
    return json.loads((ROOT / "MedFM.json").read_text(encoding="utf-8"))


def test_every_file_of_the_module_is_listed_for_installation(lister):
    assert lister.LIST.read_text(encoding="utf-8") == lister.text(), "run: python MedFMExtension/list_files.py"


def test_the_list_leaves_out_what_a_build_makes(lister, tmp_path, monkeypatch):
    for name in ("MedFM.py", "MedFMLib/a.py", "Resources/UI/MedFM.ui", "CMakeLists.txt", "files.cmake", ".hidden",
                 "MedFMLib/__pycache__/a.pyc"):  # fmt: skip
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    monkeypatch.setattr(lister, "MODULE", tmp_path)
    assert lister.listed() == (["MedFM.py", "MedFMLib/a.py"], ["Resources/UI/MedFM.ui"])
    assert "set(MODULE_PYTHON_SCRIPTS\n  MedFM.py\n  MedFMLib/a.py\n  )" in lister.text()


def test_the_catalogue_entry_follows_the_schema(entry):
    assert set(entry) >= REQUIRED
    assert set(entry) <= REQUIRED | OPTIONAL
    assert entry["$schema"] == SCHEMA
    assert entry["tier"] in TIERS
    assert all(isinstance(name, str) for name in entry["build_dependencies"])
    assert entry["scm_url"].startswith("https://github.com/")
    assert entry["scm_url"].endswith(".git")


def test_entry_and_cmake_say_the_same(entry, cmake):
    text = (ROOT / "CMakeLists.txt").read_text(encoding="utf-8")
    assert re.search(r"^project\((\w+)\)$", text, re.MULTILINE)[1] == "MedFM"  # as the entry's file name
    repository = entry["scm_url"].removesuffix(".git")
    name = repository.removeprefix("https://github.com/")
    raw = f"https://raw.githubusercontent.com/{name}/{entry['scm_revision']}/"
    assert cmake["EXTENSION_HOMEPAGE"].startswith(repository)
    assert cmake["EXTENSION_CATEGORY"] == entry["category"]
    assert cmake["EXTENSION_DEPENDS"].split() == entry["build_dependencies"]
    assert int(cmake["EXTENSION_TIER"]) == entry["tier"]
    pictures = [cmake["EXTENSION_ICONURL"], *cmake["EXTENSION_SCREENSHOTURLS"].split()]
    assert len(pictures) >= 2
    for address in pictures:
        assert address.startswith(raw)
        assert Image.open(ROOT / address.removeprefix(raw)).format == "PNG"
    assert "not a medical device" in cmake["EXTENSION_DESCRIPTION"]


def test_the_index_finds_a_licence_and_a_name_of_slicer(entry):
    """It takes one of a few names in the root of the repository, and asks for Slicer in the repository's name."""
    names = {"LICENSE", "LICENCE", "LICENSE.txt", "License.txt", "license.txt", "COPYING", "COPYING.txt"}
    found = [path for path in ROOT.iterdir() if path.name in names]
    assert len(found) == 1
    assert "Apache License" in found[0].read_text(encoding="utf-8")[:200]
    assert "slicer" in entry["scm_url"].rpartition("/")[2].lower()


def test_the_runtime_is_installed_where_the_worker_looks_for_it():
    text = (MODULE.parent / "CMakeLists.txt").read_text(encoding="utf-8")
    assert "install(DIRECTORY ${_runtime}" in text
    assert "install(DIRECTORY ${_resources}" in text


def test_icons_have_the_size_that_slicer_wants():
    for path in (ROOT / "MedFM.png", MODULE / "Resources" / "Icons" / "MedFM.png"):
        with Image.open(path) as icon:
            assert icon.size == (128, 128)


def test_no_file_of_the_module_imports_torch():
    for path in MODULE.rglob("*.py"):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        names = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
        names |= {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) and node.level == 0}
        assert not {name.split(".")[0] for name in names} & {"torch", "torchvision", "medfm_core", "training"}, path
