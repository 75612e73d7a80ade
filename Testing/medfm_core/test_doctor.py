"""What the doctor says of a good machine, of a broken installation and of a broken environment."""

from __future__ import annotations

import io
import json
import shutil
import socket

import pytest

from medfm_core import doctor
from medfm_core.doctor import STATES, Check, as_dict, run_checks, table, worst
from medfm_core.settings import VARIABLES, read_settings

CARD = {
    "id": "tiny.v1",
    "task": "embedding",
    "architecture": {"name": "vit"},
    "weights": [{"file": "tiny.safetensors", "sha256": "0" * 64, "bytes": 10}],
    "source": {"kind": "shipped"},
    "input": {"modality": ["CT"], "spacing_mm": [3, 3, 3], "intensity": {"kind": "zscore"}},
    "licence": "Apache-2.0",
    "trained_on": ["nothing"],
    "intended_use": "research only",
}


@pytest.fixture
def resources(tmp_path, monkeypatch):
    """A copy of the vocabulary with room for cards, which the environment points to."""
    shutil.copytree(read_settings().resources / "vocabulary", tmp_path / "vocabulary")
    for name in ("cards", "weights"):
        (tmp_path / name).mkdir()
    monkeypatch.setenv("MEDFM_RESOURCES", str(tmp_path))
    return tmp_path


def named(checks) -> dict[str, Check]:
    return {check.name: check for check in checks}


def test_looks_at_everything_without_network(monkeypatch):
    pytest.importorskip("torch")

    def refuse(*_args, **_kwargs):
        raise AssertionError("the doctor must not touch the network")

    monkeypatch.setattr(socket, "socket", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    checks = named(run_checks())
    expected = {"medfm", "python", "torch", "cores", "processor", "memory", "working folder", "temporary folder"}
    assert expected | {"compressed DICOM", "vocabulary", "settings"} | set(VARIABLES) <= set(checks)
    for check in checks.values():
        assert check.state in STATES
        assert check.detail
        assert "could not be looked at" not in check.detail, check


def test_missing_package_and_models(resources, monkeypatch):
    real = doctor._version
    monkeypatch.setattr(doctor, "_version", lambda name: None if name in ("nibabel", "monai") else real(name))
    checks = named(run_checks())
    assert checks["nibabel"] == Check("nibabel", "missing", "not installed", "pip install nibabel")
    assert checks["monai"].state == "ok"  # only training would need it
    assert checks["models"].state == "missing"
    assert worst(checks.values()) == "missing"


def test_cards_are_verified(resources):
    (resources / "cards" / "tiny.v1.json").write_text(json.dumps(CARD))
    missing = named(doctor._resources())["tiny.v1"]
    assert (missing.state, "is missing" in missing.detail) == ("missing", True)
    (resources / "weights" / "tiny.safetensors").write_bytes(b"0123456789")
    assert "is not the one that the card" in named(doctor._resources())["tiny.v1"].detail
    (resources / "cards" / "tiny.v1.json").write_text("{")
    broken = named(doctor._resources())["resources"]
    assert broken.state == "missing"
    assert "tiny.v1.json" in broken.detail


def test_broken_environment_is_shown(monkeypatch):
    monkeypatch.setenv("MEDFM_THREADS", "many")
    checks = named(doctor._environment())
    assert checks["settings"].state == "missing"
    assert "MEDFM_THREADS" in checks["settings"].detail
    monkeypatch.setenv("MEDFM_THREADS", "2")
    monkeypatch.setenv("MEDFM_RESOURCES", "/nowhere")
    assert named(doctor._environment())["MEDFM_THREADS"].detail == "'2'"
    assert named(doctor._resources())["resources"].state == "missing"


def test_a_check_that_fails_is_a_warning():
    def _bad_part():
        yield Check("first", "ok", "x")
        raise OSError("disk gone")

    first, second = doctor._guarded(_bad_part)
    assert first.state == "ok"
    assert second == Check("bad part", "warn", "could not be looked at: OSError: disk gone")


def test_worst():
    assert worst([]) == "ok"
    assert worst([Check("a", "warn", "x"), Check("b", "ok", "x")]) == "warn"


def test_table_and_json():
    console_module = pytest.importorskip("rich.console")
    checks = [Check("a", "ok", "[bold]as it is[/bold]"), Check("b", "missing", "gone", "pip install b")]
    stream = io.StringIO()
    console_module.Console(file=stream, width=100).print(table(checks))
    for text in ("[bold]as it is[/bold]", "pip install b", "missing"):
        assert text in stream.getvalue()
    data = json.loads(json.dumps(as_dict(iter(checks))))
    assert data["state"] == "missing"
    assert data["checks"][1] == {"name": "b", "state": "missing", "detail": "gone", "fix": "pip install b"}
