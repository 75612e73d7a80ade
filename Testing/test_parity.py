"""The parity script: agreement, disagreement, what it has no comparison for, and broken fixtures."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import parity
import pytest
import torch
from safetensors.torch import load_file, save_file

FIXTURES = Path(__file__).parent / "data" / "parity"


@pytest.fixture
def folder(tmp_path):
    for path in FIXTURES.glob("totalfm_tiny_*"):
        shutil.copy(path, tmp_path)
    return tmp_path


def change(folder, **tensors):
    path = folder / "totalfm_tiny_io.safetensors"
    save_file(load_file(path) | tensors, path)


def test_the_shipped_fixtures_agree_when_run_as_a_script(tmp_path):
    script = Path(parity.__file__)
    done = subprocess.run([sys.executable, str(script), str(FIXTURES)], capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("ok") >= 3


def test_a_recorded_value_that_differs_is_found(folder, capsys):
    recorded = load_file(folder / "totalfm_tiny_io.safetensors")["embedding"]
    recorded[1, 3] += 5e-5
    change(folder, embedding=recorded)
    assert parity.main([str(folder)]) == 1
    assert "APART" in capsys.readouterr().out


@pytest.mark.parametrize("value", [torch.full((2, 40), float("nan")), torch.zeros(2, 41)])
def test_not_a_number_and_another_shape_count_as_apart(folder, value):
    change(folder, embedding=value)
    assert parity.main([str(folder)]) == 1


def test_an_output_without_counterpart_fails(folder, capsys):
    change(folder, attention=torch.zeros(3))
    assert parity.main([str(folder)]) == 1
    assert "no counterpart" in capsys.readouterr().out


def test_other_sizes_and_names_of_a_family_are_run(folder, capsys):
    for path in folder.glob("totalfm_tiny_*"):
        path.rename(folder / path.name.replace("tiny", "anything"))
    assert parity.main([str(folder)]) == 0
    assert "totalfm_anything" in capsys.readouterr().out


def test_families_without_comparison_are_listed(tmp_path, capsys):
    (tmp_path / "something_tiny_config.json").write_text("{}")
    assert parity.main([str(tmp_path)]) == 0
    assert "something_tiny           not yet covered" in capsys.readouterr().out


def test_broken_fixtures_are_said_to_be_so(folder, tmp_path_factory, capsys):
    assert parity.main([str(tmp_path_factory.mktemp("empty"))]) == 2
    config = folder / "totalfm_tiny_config.json"
    config.write_text(json.dumps(json.loads(config.read_text()) | {"depth": 3}))
    assert parity.main([str(folder)]) == 2
    assert "of another network" in capsys.readouterr().err
    (folder / "totalfm_tiny_io.safetensors").unlink()
    assert parity.main([str(folder)]) == 2
