"""Ways to train faster or with less memory that must not change what comes out, nor what is written."""

from __future__ import annotations

import csv
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from engine_toys import TOY, TOY_IMAGES
from safetensors.torch import load_file
from torch.utils import checkpoint as torch_checkpoint

from medfm_core.errors import InputError
from training.engine.config import recipe_from_data
from training.engine.loop import train
from training.engine.retention import last
from training.engine.runs import load_run

MONITOR = {"terminal": "none", "tensorboard": False, "measure_peak": False, "count_flops": False, "health_every": 0,
           "probe_every": 0}  # fmt: skip
COMPILER = next((found for name in ("c++", "g++", "clang++") if (found := shutil.which(name))), None)
needs_compiler = pytest.mark.skipif(
    COMPILER is None, reason="torch.compile on a CPU needs a C++ compiler, none is here"
)


@pytest.fixture(autouse=True)
def no_pictures(monkeypatch):
    """Pictures take longer to draw than these runs."""
    monkeypatch.setattr("training.engine.monitors.pictures.Pictures.draw", lambda self: None)


def recipe(parts=TOY_IMAGES, **run):
    plain = {"steps": 6, "batch_size": 4, "workers": 0, "checkpoint_every": 3, "ema": 0.9, "precision": "fp32",
             "device": "cpu", "keep_last": 9}  # fmt: skip
    optim = {"lr": 0.01, "warmup_steps": 2}
    return recipe_from_data(parts | {"run": plain | run, "monitor": MONITOR, "optim": optim})


def tensors(folder: Path, step: int | None = None) -> dict[str, torch.Tensor]:
    path = last(folder / "checkpoints").path if step is None else folder / "checkpoints" / f"step_{step:08d}"
    found = {}
    for file in sorted(path.glob("*.safetensors")):
        found |= {f"{file.name}:{name}": value for name, value in load_file(file).items()}
    return found


def largest_difference(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> float:
    assert one.keys() == other.keys()
    return max(float((one[name].double() - other[name].double()).abs().max()) for name in one)


@pytest.fixture(scope="module")
def plain(tmp_path_factory):
    folder = tmp_path_factory.mktemp("plain")
    train(recipe(), folder)
    return folder


def test_activation_checkpointing_gives_the_same_weights(plain, tmp_path, monkeypatch):
    """To the bit on a CPU, dropout included; and the activations are indeed computed twice."""
    calls = []
    original = torch_checkpoint.checkpoint

    def counted(*arguments, **keywords):
        calls.append(1)
        return original(*arguments, **keywords)

    monkeypatch.setattr("medfm_core.layers.block_stack.checkpoint", counted)
    train(recipe(activation_checkpointing=True), tmp_path)
    assert len(calls) == 6 * 3  # two blocks of the encoder and one of the decoder at every step
    assert largest_difference(tensors(tmp_path), tensors(plain)) < 1e-6


def test_what_cannot_compute_activations_twice_is_refused_in_a_sentence(tmp_path):
    with pytest.raises(InputError, match="activation_checkpointing"):
        train(recipe(TOY, activation_checkpointing=True), tmp_path)


STILL = TOY | {"model": {"name": "toy", "dropout": 0.0}}


@pytest.fixture(scope="module")
def toy(tmp_path_factory):
    """A plain run of the toy, without dropout, which a compiled pass draws in another order."""
    folder = tmp_path_factory.mktemp("toy")
    train(recipe(STILL), folder)
    return folder


@pytest.fixture(scope="module")
def compiled(tmp_path_factory):
    """The same compiled, and how many graphs were made of it."""
    folder = tmp_path_factory.mktemp("compiled")
    torch._dynamo.reset()
    graphs = torch._dynamo.utils.counters["stats"]
    before = graphs["unique_graphs"]
    train(recipe(STILL, compile=True), folder)
    return folder, graphs["unique_graphs"] - before


@needs_compiler
def test_a_compiled_run_reaches_the_weights_of_a_plain_one(toy, compiled):
    folder, graphs = compiled
    assert graphs >= 1, "nothing was compiled"
    assert graphs <= 3, "a number that changes from step to step must not be compiled anew each time"
    assert largest_difference(tensors(folder), tensors(toy)) < 1e-4
    assert not [name for name in tensors(folder) if "_orig_mod" in name]


@needs_compiler
@pytest.mark.parametrize("first", ["compiled", "plain"])
def test_a_run_goes_on_compiled_or_not(toy, compiled, tmp_path, first):
    """Half of a run in one way and half in the other; `compile` says how, not what, so the recipe's hash stays."""
    begun = compiled[0] if first == "compiled" else toy
    shutil.copytree(begun / "checkpoints" / "step_00000003", tmp_path / "checkpoints" / "step_00000003")
    assert train(recipe(STILL, compile=first == "plain"), tmp_path).step == 6
    assert largest_difference(tensors(tmp_path, 3), tensors(begun, 3)) == 0
    assert largest_difference(tensors(tmp_path), tensors(toy)) < 1e-4
    objective, _, step = load_run(tmp_path)
    assert step == 6
    assert not [name for name, _ in objective.named_parameters() if "_orig_mod" in name]


@needs_compiler
@pytest.mark.skipif(not os.environ.get("MEDFM_TEST_SLOW"), reason="compiles for minutes; set MEDFM_TEST_SLOW=1")
def test_a_transformer_compiled_with_activations_computed_twice(tmp_path):
    """Losses are compared: Adam turns the rounding of gradients that are nearly 0 into steps of full size."""
    still = TOY_IMAGES | {"model": TOY_IMAGES["model"] | {"dropout": 0.0}}
    train(recipe(still), tmp_path / "plain")
    train(recipe(still, compile=True, activation_checkpointing=True), tmp_path / "both")
    np.testing.assert_allclose(losses(tmp_path / "both"), losses(tmp_path / "plain"), rtol=1e-4)


def losses(folder):
    with (folder / "log.csv").open(encoding="utf-8") as file:
        return [float(row["loss"]) for row in csv.DictReader(file) if row["loss"]]
