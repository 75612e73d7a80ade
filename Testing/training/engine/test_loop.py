"""The loop: it learns, it resumes bit for bit wherever it was stopped, and several processes do as one does."""

from __future__ import annotations

import csv
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
import yaml
from engine_toys import TOY, environment
from safetensors.torch import load_file

from medfm_core.errors import InputError, MedFMError
from training.engine.config import recipe_from_data
from training.engine.loop import train
from training.engine.retention import last
from training.engine.runs import load_run

QUIET = {"terminal": "none", "tensorboard": False, "measure_peak": False, "log_every": 1}


def recipe(steps=12, **sections):
    run = {"steps": steps, "batch_size": 4, "workers": 0, "checkpoint_every": 4, "ema": 0.9, "precision": "fp32"}
    data = TOY | {"run": run | sections.pop("run", {}), "monitor": QUIET, "optim": {"lr": 0.05, "warmup_steps": 2}}
    return recipe_from_data(data | sections)


def tensors(folder: Path) -> dict[str, torch.Tensor]:
    """Everything that a run ends with: weights, average, moments."""
    found = {}
    for file in sorted(last(folder / "checkpoints").path.glob("*.safetensors")):
        found |= {f"{file.name}:{name}": value for name, value in load_file(file).items()}
    return found


def same(one: Path, other: Path) -> bool:
    a, b = tensors(one), tensors(other)
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A run of 12 steps without a stop: 10 items and batches of 4, so that epochs end within batches."""
    folder = tmp_path_factory.mktemp("whole")
    train(recipe(), folder)
    return folder


def test_a_run_learns_and_logs(tmp_path):
    outcome = train(recipe(150, run={"checkpoint_every": 150}), tmp_path)
    assert outcome.step == 150
    with (tmp_path / "log.csv").open() as file:
        losses = [float(row["loss"]) for row in csv.DictReader(file) if row["loss"]]
    assert len(losses) == 150
    assert losses[-1] < 0.1 * losses[0]
    assert yaml.safe_load((tmp_path / "recipe.yaml").read_text())["run"]["steps"] == 150


@pytest.mark.parametrize("stop", range(1, 12))
def test_a_run_goes_on_bit_for_bit_at_every_phase_of_an_epoch(whole, tmp_path, stop, monkeypatch):
    from training.engine.loop import Training

    class StoppedError(Exception):
        pass

    original = Training._one_step

    def until(self, *arguments):
        original(self, *arguments)
        if self.step == stop:
            self._save(arguments[1])
            raise StoppedError

    monkeypatch.setattr(Training, "_one_step", until)
    with pytest.raises(StoppedError):
        train(recipe(), tmp_path)
    monkeypatch.setattr(Training, "_one_step", original)
    train(recipe(), tmp_path)
    assert same(tmp_path, whole)


def test_parts_of_a_batch_add_up_to_the_batch(tmp_path):
    plain = {"model": {"name": "toy", "dropout": 0.0}}
    train(recipe(**plain), tmp_path / "one")
    train(recipe(run={"accumulate": 2}, **plain), tmp_path / "two")
    a, b = tensors(tmp_path / "one"), tensors(tmp_path / "two")
    assert all(torch.allclose(a[name], b[name], atol=1e-5) for name in a)


def test_averaged_weights_are_what_others_load(whole):
    objective, _, step = load_run(whole)
    stored = tensors(whole)
    assert step == 12
    weight = objective.state_dict()["net.0.weight"]
    assert torch.equal(weight, stored["model.safetensors:average.net.0.weight"])
    assert not torch.equal(weight, stored["model.safetensors:model.net.0.weight"])


def test_a_run_starts_from_another(whole, tmp_path):
    train(recipe(1, run={"start_from": str(whole)}, optim={"lr": 1e-9}), tmp_path)
    a, b = tensors(tmp_path), tensors(whole)
    name = "model.safetensors:model.net.0.weight"
    assert torch.allclose(a[name], b[name.replace("model.net", "average.net")], atol=1e-6)


def test_a_folder_of_another_recipe_is_refused(whole):
    with pytest.raises(InputError, match=r"optim\.lr"):
        train(recipe(optim={"lr": 0.01, "warmup_steps": 2}), whole)
    with pytest.raises(InputError, match="holds a run"):
        train(recipe(), whole, resume="never")


def test_a_finished_run_is_left_as_it_is(whole):
    before = tensors(whole)
    assert train(recipe(), whole).step == 12
    assert all(torch.equal(before[name], value) for name, value in tensors(whole).items())


def test_a_loss_that_is_no_number_ends_the_run_and_keeps_what_was_good(tmp_path):
    with pytest.raises(MedFMError, match="finite"):
        train(recipe(200, optim={"lr": 1e30, "warmup_steps": 6, "grad_clip": 0.0, "name": "sgd"}), tmp_path)


def test_a_missing_key_of_the_batch_is_said(tmp_path, monkeypatch):
    import engine_toys

    monkeypatch.setattr(engine_toys.Toy, "needs", ("x", "mask"))
    with pytest.raises(InputError, match="'mask'"):
        train(recipe(), tmp_path)


def command(tmp_path: Path, steps: int = 12, **run) -> list[str]:
    plain = recipe(steps, run=run).plain
    path = tmp_path / "toy.yaml"
    path.write_text(yaml.safe_dump(plain))
    return ["--config", str(path), "--out", str(tmp_path / "run")]


def start(arguments: list[str], processes: int = 1) -> subprocess.Popen:
    toys = str(Path(__file__).parents[2] / "engine_toys.py")
    many = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(processes)]
    launcher = many if processes > 1 else []
    return subprocess.Popen(
        [sys.executable, *launcher, toys, *arguments], env=environment(), stderr=subprocess.PIPE, text=True,
        start_new_session=True,
    )  # fmt: skip


def test_two_processes_take_the_batches_of_one_and_reach_its_loss(tmp_path):
    """Equal within 1e-5: sums are taken in another order. Dropout draws per process, so it is off."""
    logs, seen = [], []
    for processes in (1, 2):
        folder = tmp_path / str(processes)
        folder.mkdir()
        arguments = command(folder, run_best := 12)
        extra = ["--data.seen", str(folder / "seen"), "--model.dropout", "0"]
        process = start([*arguments, *extra], processes)
        assert process.wait(180) == 0, process.stderr.read()
        assert run_best == 12
        with (folder / "run" / "log.csv").open() as file:
            logs.append([float(row["loss"]) for row in csv.DictReader(file) if row["loss"]])
        seen.append({tuple(map(int, line.split())) for line in (folder / "seen").read_text().splitlines()})
    assert logs[0] == pytest.approx(logs[1], abs=1e-5)
    in_run = [{pair for pair in pairs if pair[0] < 48} for pairs in seen]
    assert in_run[0] == in_run[1]
    a, b = tensors(tmp_path / "1" / "run"), tensors(tmp_path / "2" / "run")
    assert all(torch.allclose(a[name], b[name], atol=1e-5) for name in a)


def test_a_shared_model_gives_the_same_files(tmp_path):
    """FSDP over two processes against one; the checkpoint of the two goes on in one."""
    arguments = command(tmp_path, 8)
    shared = [*arguments, "--run.strategy", "fsdp", "--model.dropout", "0"]
    process = start(shared, 2)
    assert process.wait(180) == 0, process.stderr.read()
    lone = tmp_path / "lone"
    lone.mkdir()
    process = start([*command(lone, 8), "--model.dropout", "0"])
    assert process.wait(180) == 0, process.stderr.read()
    a, b = tensors(tmp_path / "run"), tensors(lone / "run")
    assert a.keys() == b.keys()
    assert all(torch.allclose(a[name], b[name], atol=1e-5) for name in a)


@pytest.mark.parametrize("send", [os.kill, os.killpg], ids=["the command", "its whole group"])
def test_sigterm_writes_a_checkpoint_and_the_same_command_goes_on(tmp_path, send):
    """A scheduler signals the workers that make samples too."""
    arguments = command(tmp_path, 4000, checkpoint_every=4000)
    process = start([*arguments, "--run.workers", "1"])
    log = tmp_path / "run" / "log.csv"
    for _ in range(600):
        if log.exists() and len(log.read_text().splitlines()) > 5:
            break
        time.sleep(0.1)
    send(process.pid, signal.SIGTERM)
    assert process.wait(60) == 128 + signal.SIGTERM
    assert 0 < last(tmp_path / "run" / "checkpoints").step < 4000
    assert os.listdir(tmp_path / "run" / "checkpoints")


def test_a_wrong_key_is_one_sentence_and_exit_code_2(tmp_path):
    process = start([*command(tmp_path), "--optim.lrr", "1"])
    assert process.wait(60) == 2
    assert "optim.lr" in process.stderr.read().strip().splitlines()[-1]
