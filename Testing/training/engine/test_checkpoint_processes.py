"""Checkpoints of several processes: the same files as one process writes, and each loads what the other wrote."""

from __future__ import annotations

import json
import shutil

import checkpoint_processes
import pytest
import torch
from checkpoint_processes import Net, adamw, train
from safetensors.torch import load_file

from training.engine.checkpoint import RunState, load_checkpoint, save_checkpoint
from training.engine.checkpoint_files import read_manifest

pytestmark = pytest.mark.skipif(not torch.distributed.is_available(), reason="needs torch.distributed")
STATE = RunState(2, "abc", metric=0.5)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """What two processes leave; see `checkpoint_processes.two_processes`."""
    folder = tmp_path_factory.mktemp("processes")
    net = Net(1)
    optimiser = adamw(net)
    train(net, optimiser, 0, 2)
    one = save_checkpoint(folder / "one", {"net": net}, {"all": optimiser}, STATE)
    shutil.copytree(one, folder / "damaged")
    data = bytearray((one / "optimiser.safetensors").read_bytes())
    data[-1] ^= 1
    (folder / "damaged" / "optimiser.safetensors").write_bytes(data)
    torch.multiprocessing.spawn(checkpoint_processes.two_processes, (folder,), nprocs=2)
    return folder


@pytest.fixture(scope="module")
def seen(folder):
    return [json.loads((folder / f"seen-{rank}.json").read_text()) for rank in (0, 1)]


def files(path):
    return read_manifest(path / "step_00000002").files


@pytest.mark.parametrize("kind", ["plain", "ddp", "fsdp", "hsdp"])
def test_two_processes_load_what_one_wrote_and_write_the_same_files(folder, seen, kind):
    assert [found[f"{kind} step"] for found in seen] == [2, 2]
    assert files(folder / kind) == files(folder / "one")


@pytest.mark.parametrize("kind", ["ddp", "fsdp"])
def test_one_process_loads_what_two_wrote_and_writes_the_same_files(folder, kind):
    net = Net(9)
    optimiser = adamw(net)
    load_checkpoint(folder / f"{kind}-trained" / "step_00000002", {"net": net}, {"all": optimiser}, "abc")
    save_checkpoint(folder / f"{kind}-back", {"net": net}, {"all": optimiser}, STATE)
    assert files(folder / f"{kind}-back") == files(folder / f"{kind}-trained")
    assert files(folder / f"{kind}-trained") != files(folder / "one")


@pytest.mark.parametrize("kind", ["ddp", "fsdp"])
def test_two_processes_resume_to_the_bit(folder, seen, kind):
    assert files(folder / f"{kind}-again") == files(folder / f"{kind}-trained")
    assert all(found[f"{kind} goes on"] for found in seen)


@pytest.mark.parametrize("kind", ["ddp", "fsdp"])
def test_two_processes_train_on_as_one_would(folder, seen, kind):
    net = Net(9)
    optimiser = adamw(net)
    load_checkpoint(folder / "one" / "step_00000002", {"net": net}, {"all": optimiser})
    losses = train(net, optimiser, 2, 5)
    for found in seen:
        assert found[f"{kind} losses"] == pytest.approx(losses, rel=1e-5)
    trained = load_file(folder / f"{kind}-trained" / "step_00000002" / "model.safetensors")
    for name, value in net.state_dict().items():
        if f"net.{name}" in trained:
            # Where a gradient is nearly nothing, Adam makes steps of nearly full size of its rounding.
            torch.testing.assert_close(trained[f"net.{name}"], value, rtol=1e-4, atol=5e-3)


def test_moments_are_split_as_their_parameters_are(seen):
    assert all(found["moments are split"] for found in seen)


def test_all_processes_get_the_error_of_the_one_that_reads_and_writes(folder, seen):
    for found in seen:
        assert found["refused"].startswith("WeightsError: the checkpoint")
        assert "another recipe" in found["refused"]
        assert "optimiser.safetensors has changed" in found["damaged"]
        assert found["full"].startswith("ResourceError")
        assert "no space is left" in found["full"]
    assert files(folder / "fsdp") == files(folder / "one")
    assert [path.name for path in (folder / "fsdp").iterdir()] == ["step_00000002"]
