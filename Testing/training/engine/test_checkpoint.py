"""Checkpoints of one process: whole or not there, back to the bit, and refused with a sentence if they do not fit."""

from __future__ import annotations

import hashlib
import json
import shutil
import stat

import pytest
import torch
from bad_files import file_size_limit
from checkpoint_processes import Net, adamw, train
from safetensors import safe_open
from torch import nn

from medfm_core.errors import InputError, ResourceError, WeightsError
from training.engine.checkpoint import RunState, load_checkpoint, load_module, read_state, save_checkpoint
from training.engine.checkpoint_files import MODEL, OPTIMISER, STATE
from training.engine.retention import find_checkpoints, last

RUN = RunState(3, "abc", {"optim": {"lr": 0.1}}, 0.25, {"seen": [1, 2], "bad": float("inf")})
OPTIMISERS = {
    "adamw": adamw,
    "adamw fused": lambda net: adamw(net, fused=True),
    "amsgrad": lambda net: adamw(net, amsgrad=True),
    "sgd": lambda net: torch.optim.SGD(net.parameters(), 0.01),
    "momentum": lambda net: torch.optim.SGD(net.parameters(), 0.01, momentum=0.9, nesterov=True),
    "centred": lambda net: torch.optim.RMSprop(net.parameters(), 0.01, centered=True, momentum=0.5),
    "nadam": lambda net: torch.optim.NAdam(net.parameters(), 0.01),
    "factored": lambda net: torch.optim.Adafactor(net.parameters(), 0.01),
    "rprop": lambda net: torch.optim.Rprop(net.parameters(), 0.01),
    "tensor rate": lambda net: torch.optim.AdamW(net.parameters(), torch.tensor(0.01), foreach=False),
}


def trained(make=adamw, seed=1, steps=3):
    net = Net(seed)
    optimiser = make(net)
    train(net, optimiser, 0, steps)
    return net, optimiser


def saved(folder, state=RUN, seed=1):
    net, optimiser = trained(seed=seed)
    return save_checkpoint(folder, {"net": net}, {"all": optimiser}, state)


def same(one, other):
    """Whether two values are equal to the bit, tensors also in type and memory layout."""
    if isinstance(one, torch.Tensor):
        alike = one.dtype == other.dtype and one.shape == other.shape and one.stride() == other.stride()
        return alike and torch.equal(one, other)
    if isinstance(one, dict):
        return list(one) == list(other) and all(same(one[key], other[key]) for key in one)
    if isinstance(one, (list, tuple)):
        return type(one) is type(other) and len(one) == len(other) and all(map(same, one, other))
    return type(one) is type(other) and one == other


@pytest.mark.parametrize("make", OPTIMISERS.values(), ids=OPTIMISERS)
def test_a_run_goes_on_to_the_bit(tmp_path, make):
    net, optimiser = trained(make)
    path = save_checkpoint(tmp_path, {"net": net}, {"all": optimiser}, RUN)
    again, again_optimiser = trained(make, seed=2, steps=1)
    assert load_checkpoint(path, {"net": again}, {"all": again_optimiser}, "abc") == RUN
    assert same(net.state_dict(), again.state_dict())
    assert same(optimiser.state_dict(), again_optimiser.state_dict())
    assert train(net, optimiser, 3, 6) == train(again, again_optimiser, 3, 6)
    assert same(net.state_dict(), again.state_dict())
    assert same(optimiser.state_dict(), again_optimiser.state_dict())


def test_an_optimiser_that_took_no_step_stays_so(tmp_path):
    net = Net(1)
    optimiser = adamw(net)
    path = save_checkpoint(tmp_path, {"net": net}, {"all": optimiser}, RUN)
    assert not optimiser.state
    again, again_optimiser = trained(seed=2)
    load_checkpoint(path, {"net": again}, {"all": again_optimiser})
    assert not again_optimiser.state
    assert train(net, optimiser, 0, 3) == train(again, again_optimiser, 0, 3)


def test_only_parameters_that_moved_have_a_state(tmp_path):
    _, optimiser = trained()
    state = json.loads((saved(tmp_path) / STATE).read_text())["optimisers"]["all"]["state"]
    assert len(state) == len(optimiser.state) < sum(len(group["params"]) for group in optimiser.param_groups)
    assert not any("unused" in name or "frozen" in name for name in state)


def test_moments_have_the_memory_layout_of_their_parameter(tmp_path):
    def make():
        net = nn.Conv3d(3, 4, 3).to(memory_format=torch.channels_last_3d)
        return net, torch.optim.AdamW(net.parameters(), 0.1, fused=True)

    def move(net, optimiser):
        net(torch.ones(1, 3, 4, 4, 4).to(memory_format=torch.channels_last_3d)).square().sum().backward()
        optimiser.step()
        optimiser.zero_grad()

    (net, optimiser), (again, again_optimiser) = make(), make()
    move(net, optimiser)
    path = save_checkpoint(tmp_path, {"net": net}, {"all": optimiser}, RUN)
    load_checkpoint(path, {"net": again}, {"all": again_optimiser})
    moment = again_optimiser.state[again.weight]["exp_avg"]
    assert moment.stride() == again.weight.stride() != moment.contiguous().stride()
    move(net, optimiser)
    move(again, again_optimiser)
    assert same(net.state_dict(), again.state_dict())
    assert same(optimiser.state_dict(), again_optimiser.state_dict())


class Odd(nn.Module):
    """Tensors that files find hard."""

    def __init__(self, seed):
        super().__init__()
        torch.manual_seed(seed)
        base = torch.randn(4, 6)
        self.short = nn.Parameter(torch.randn(3, 2).to(torch.bfloat16))
        self.empty = nn.Parameter(torch.zeros(0, 5))
        self.scalar = nn.Parameter(torch.randn(()))
        self.register_buffer("whole", base)
        self.register_buffer("view", base[1:3])
        self.register_buffer("turned", torch.randn(5, 3).t())
        self.register_buffer("count", torch.tensor(seed))
        self.register_buffer("special", torch.tensor([float("nan"), -0.0, float("inf"), 1e-45]))


def test_odd_tensors_come_back(tmp_path):
    net, again = Odd(1), Odd(2)
    path = save_checkpoint(tmp_path, {"net": net}, {}, RUN)
    load_checkpoint(path, {"net": again}, {})
    for name, value in net.state_dict().items():
        other = again.state_dict()[name]
        assert (value.dtype, value.stride()) == (other.dtype, other.stride())
        assert bits(value) == bits(other)


def bits(value):
    return value.contiguous().reshape(-1).view(torch.uint8).numpy().tobytes()


def test_tied_tensors_are_stored_once_and_stay_tied(tmp_path):
    path = saved(tmp_path)
    with safe_open(path / MODEL, "pt") as file:
        names = set(file.keys())
    assert "net.mix.weight" in names
    assert not names & {"net.mix_again.weight", "net.tied.weight", "net.scratch"}
    net = Net(5)
    load_module(path, "net", net)
    assert net.mix.weight is net.tied.weight
    assert torch.equal(net.tied.weight, trained()[0].mix.weight)


class WideMoments(torch.optim.Optimizer):
    """Keeps a moment in fp32 beside bf16 parameters, and plain numbers."""

    def __init__(self, parameters):
        super().__init__(parameters, {"lr": 0.1})

    @torch.no_grad()
    def step(self):
        for group in self.param_groups:
            for value in group["params"]:
                own = self.state[value]
                own["moment"] = own.get("moment", torch.zeros(value.shape)) + value.grad.float() * 1.001
                own["count"] = own.get("count", 0) + 1
                own["note"] = None
                value -= group["lr"] * own["moment"].to(value.dtype)


def test_moments_keep_their_own_type(tmp_path):
    def make(seed):
        torch.manual_seed(seed)
        net = nn.Linear(3, 2).to(torch.bfloat16)
        return net, WideMoments(net.parameters())

    (net, optimiser), (again, again_optimiser) = make(1), make(2)
    net(torch.ones(1, 3, dtype=torch.bfloat16)).sum().backward()
    optimiser.step()
    path = save_checkpoint(tmp_path, {"net": net}, {"all": optimiser}, RUN)
    load_checkpoint(path, {"net": again}, {"all": again_optimiser})
    assert again_optimiser.state[again.weight]["moment"].dtype == torch.float32
    assert same(optimiser.state_dict(), again_optimiser.state_dict())


def test_several_modules_and_optimisers_that_share_weights(tmp_path):
    def make(seed):
        net, critic = Net(seed), nn.Linear(3, 3)
        return {"net": net, "part": net.enter, "critic": critic}, {
            "net": adamw(net),
            "critic": torch.optim.SGD([*critic.parameters(), net.frozen], 0.1),
        }

    (modules, optimisers), (again, again_optimisers) = make(1), make(2)
    train(modules["net"], optimisers["net"], 0, 2)
    path = save_checkpoint(tmp_path, modules, optimisers, RUN)
    load_checkpoint(path, again, again_optimisers)
    assert all(same(modules[key].state_dict(), again[key].state_dict()) for key in modules)
    assert all(same(optimisers[key].state_dict(), again_optimisers[key].state_dict()) for key in optimisers)
    alone = nn.Linear(5, 7)
    load_module(path, "part", alone)
    assert same(alone.state_dict(), modules["net"].enter.state_dict())


def compiled(net):
    return torch.compile(net, backend="eager")


def recomputing(net):
    from torch.distributed.algorithms._checkpoint.checkpoint_wrapper import checkpoint_wrapper

    net.enter = checkpoint_wrapper(net.enter)
    return net


def in_fabric(net):
    fabric = pytest.importorskip("lightning_fabric").Fabric(accelerator="cpu", devices=1)
    return fabric.setup_module(net)


@pytest.mark.parametrize("wrap", [compiled, recomputing, in_fabric])
def test_what_is_put_around_a_module_does_not_show(tmp_path, wrap):
    path = saved(tmp_path / "plain")
    net = wrap(Net(2))
    optimiser = adamw(net)
    load_checkpoint(path, {"net": net}, {"all": optimiser})
    again = save_checkpoint(tmp_path / "wrapped", {"net": net}, {"all": optimiser}, RUN)
    assert contents(again) == contents(path)


def contents(path):
    return {file.name: file.read_bytes() for file in path.iterdir()}


def test_the_same_state_makes_the_same_files(tmp_path):
    one, other = saved(tmp_path / "one"), saved(tmp_path / "other")
    assert contents(one) == contents(other)
    assert set(contents(one)) == {MODEL, OPTIMISER, STATE, "manifest.json"}
    assert len({stat.S_IMODE(file.stat().st_mode) for file in one.iterdir()}) == 1


def test_the_state_can_be_read_alone(tmp_path):
    path = saved(tmp_path)
    assert path.name == "step_00000003"
    assert read_state(path) == RUN
    assert last(tmp_path).metric == 0.25


def test_a_metric_that_is_not_finite_is_none(tmp_path):
    path = saved(tmp_path, RunState(3, "abc", metric=float("nan")))
    assert read_state(path).metric is None
    assert last(tmp_path).metric is None


def flip(path):
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def cut(path):
    path.write_bytes(path.read_bytes()[:-1])


@pytest.mark.parametrize("name", [MODEL, OPTIMISER, STATE])
@pytest.mark.parametrize(
    ("harm", "words"),
    [(flip, "has changed"), (cut, "bytes instead of"), (lambda path: path.unlink(), "is missing")],
    ids=["flipped", "cut", "missing"],
)
def test_a_damaged_file_is_named_and_nothing_is_loaded(tmp_path, name, harm, words):
    path = saved(tmp_path)
    harm(path / name)
    net, optimiser = trained(seed=2)
    before = [value.clone() for value in net.state_dict().values()]
    with pytest.raises(WeightsError, match=f"{name}.*{words}.*; remove it and resume from the one before") as caught:
        load_checkpoint(path, {"net": net}, {"all": optimiser})
    assert "\n" not in str(caught.value)
    assert same(before, list(net.state_dict().values()))
    assert len(find_checkpoints(tmp_path)) == (harm is flip)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (None, "no readable manifest"),
        ("", "no readable manifest"),
        ("\udcff", "no readable manifest"),
        ("[" * 100_000, "no readable manifest"),
        ("[]", "layout version None"),
        ('{"schema": 99}', "layout version 99"),
        ('{"schema": 1, "step": 3}', "lacks the entry"),
        ('{"schema": 1, "step": 3, "metric": null, "recipe_hash": "abc", "files": {}}', "lists no files"),
        ('{"schema": 1, "step": 3, "metric": null, "recipe_hash": "a", "files": {}, "x": 1}', "'x' is not known"),
    ],
)
def test_a_folder_without_a_valid_manifest_is_no_checkpoint(tmp_path, text, words):
    path = saved(tmp_path)
    (path / "manifest.json").unlink()
    if text is not None:
        (path / "manifest.json").write_text(text, errors="surrogateescape")
    with pytest.raises(WeightsError, match=words):
        load_module(path, "net", Net(1))
    with pytest.raises(WeightsError, match=words):
        read_state(path)
    assert find_checkpoints(tmp_path) == []


def test_a_place_without_a_checkpoint_is_said_to_be_none(tmp_path):
    with pytest.raises(WeightsError, match="is not a checkpoint"):
        load_module(tmp_path / "step_00000001", "net", Net(1))


def resealed(path, **changes):
    """Change the state and make the manifest agree, as another program could."""
    data = json.loads((path / STATE).read_text())
    for place, value in changes.items():
        *way, end = place.split("__")
        inner = data
        for key in way:
            inner = inner[key]
        inner[end] = value
    text = json.dumps(data).encode()
    (path / STATE).write_bytes(text)
    manifest = json.loads((path / "manifest.json").read_text())
    manifest["files"][STATE] = {"bytes": len(text), "sha256": hashlib.sha256(text).hexdigest()}
    (path / "manifest.json").write_text(json.dumps(manifest))


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"run__step": 4}, "belong to different runs"),
        ({"run__metric": 0.1}, "belong to different runs"),
        ({"run__recipe_hash": "x"}, "belong to different runs"),
        ({"optimisers": []}, "must be an object"),
        ({"optimisers__all__state": {"net.enter.weight": {"exp_avg": {"pickle": 1}}}}, "unknown kind"),
        ({"optimisers__all__state": {"net.enter.weight": {"exp_avg": {"tensor": [9, 9]}}}}, "of another shape"),
        ({"optimisers__all__state": {"net.enter.weight": {"exp_avg": {"tensor": "x"}}}}, "unknown kind"),
        ({"optimisers__all__state": {"net.enter.weight": {"step": {"scalar": 1, "dtype": "load"}}}}, "unknown kind"),
        ({"optimisers__all__state": {"net.enter.weight": {"step": {"scalar": [1], "dtype": "int64"}}}}, "unknown"),
        ({"optimisers__all__state": {"net.none": {"exp_avg": {"value": 1}}}}, "is in no group"),
        ({"optimisers__all__groups": []}, "parameter groups were others"),
    ],
)
def test_a_state_that_does_not_belong_there_is_refused(tmp_path, changes, words):
    path = saved(tmp_path)
    resealed(path, **changes)
    net, optimiser = trained(seed=2)
    with pytest.raises(WeightsError, match=words):
        load_checkpoint(path, {"net": net}, {"all": optimiser})


def test_another_recipe_is_refused(tmp_path):
    path = saved(tmp_path)
    with pytest.raises(WeightsError, match=r"another recipe \(abc instead of xyz\); resume with its own recipe"):
        load_checkpoint(path, {"net": Net(1)}, {}, "xyz")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda net: setattr(net, "enter", nn.Linear(5, 9)), r"net.enter.weight is F32 \[7, 5\] instead of F32 \[9"),
        (lambda net: delattr(net, "unused"), "also holds net.unused.bias, net.unused.weight"),
        (lambda net: setattr(net, "more", nn.Linear(1, 1)), "lacks net.more.weight, net.more.bias"),
        (lambda net: setattr(net, "more", nn.Sequential(*[nn.Linear(1, 1)] * 2)), "lacks"),
        (lambda net: net.norm.half(), "instead of F16"),
        (lambda net: setattr(net.tied, "weight", nn.Parameter(torch.zeros(7, 7))), "lacks net.tied.weight"),
    ],
)
def test_another_network_is_refused_and_keeps_its_values(tmp_path, change, words):
    path = saved(tmp_path)
    net = Net(2)
    change(net)
    before = [value.clone() for value in net.state_dict().values()]
    with pytest.raises(WeightsError, match=words):
        load_module(path, "net", net)
    assert same(before, list(net.state_dict().values()))


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda net: torch.optim.SGD(net.parameters()), "it was AdamW, not SGD"),
        (lambda net: torch.optim.AdamW(net.parameters()), "parameter groups were others"),
        (lambda net: torch.optim.AdamW(net.enter.parameters()), "parameter groups were others"),
    ],
)
def test_another_optimiser_is_refused(tmp_path, make, words):
    path = saved(tmp_path)
    net = Net(2)
    with pytest.raises(WeightsError, match=words):
        load_checkpoint(path, {"net": net}, {"all": make(net)})
    with pytest.raises(WeightsError, match="'other': it holds none of that name"):
        load_checkpoint(path, {"net": net}, {"other": adamw(net)})


@pytest.mark.parametrize(("limit", "note"), [(1000, "x" * 2000), (6000, "")], ids=["state", "tensors"])
def test_a_full_disk_is_said_and_leaves_the_earlier_ones(tmp_path, limit, note):
    path = saved(tmp_path)
    before = contents(path)
    net = nn.Linear(100, 100)
    for step in (3, 4):
        with file_size_limit(limit), pytest.raises(ResourceError, match="no space is left"):
            save_checkpoint(tmp_path, {"net": net}, {}, RunState(step, "abc", {"note": note}))
    assert [entry.name for entry in tmp_path.iterdir()] == [path.name]
    assert contents(path) == before


class Strange(nn.Module):
    def get_extra_state(self):
        return {"a": 1}

    def set_extra_state(self, state):
        pass


class OwnState(torch.optim.SGD):
    def __init__(self, parameters):
        super().__init__(parameters, 0.1)
        self.state["steps"] = {"count": 1}


class Listing(torch.optim.SGD):
    def __init__(self, parameters):
        super().__init__(parameters, 0.1)
        self.state[self.param_groups[0]["params"][0]] = {"history": [1, 2]}


NET = nn.Linear(2, 2)


@pytest.mark.parametrize(
    ("modules", "optimisers", "state", "words"),
    [
        ({"net": Strange()}, {}, RUN, "neither a parameter nor a buffer"),
        ({"net": nn.Linear(2, 2, dtype=torch.complex64)}, {}, RUN, "complex64"),
        ({"net": nn.Linear(2, 2, device="meta")}, {}, RUN, "has no values yet"),
        ({"a.b": NET}, {}, RUN, "without dots"),
        ({}, {"all": torch.optim.SGD(NET.parameters(), 0.1)}, RUN, "in no module"),
        ({"net": NET}, {"all": OwnState(NET.parameters())}, RUN, "beside that of its parameters"),
        ({"net": NET}, {"all": Listing(NET.parameters())}, RUN, "is a list"),
        ({"net": NET}, {"all": torch.optim.SGD([{"params": NET.parameters(), "how": print}], 0.1)}, RUN, "'how'"),
        ({"net": NET}, {}, RunState(1, "a", extra={"a": object()}), "cannot be written as JSON"),
    ],
)
def test_what_cannot_be_stored_is_said_and_nothing_is_written(tmp_path, modules, optimisers, state, words):
    with pytest.raises(InputError, match=words):
        save_checkpoint(tmp_path, modules, optimisers, state)
    assert list(tmp_path.iterdir()) == []


def test_a_place_that_cannot_be_written_is_said(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="cannot write"):
        save_checkpoint(tmp_path / "file" / "checkpoints", {"net": Net(1)}, {}, RUN)
    (tmp_path / "step_00000003").write_text("someone's file")
    with pytest.raises(InputError, match="cannot write"):
        save_checkpoint(tmp_path, {"net": Net(1)}, {}, RUN)
    assert (tmp_path / "step_00000003").read_text() == "someone's file"


def test_how_an_optimiser_computes_is_not_taken_from_the_file(tmp_path):
    net, optimiser = trained(lambda net: adamw(net, fused=True))
    path = save_checkpoint(tmp_path, {"net": net}, {"all": optimiser}, RUN)
    again = Net(2)
    again_optimiser = adamw(again, foreach=True)
    load_checkpoint(path, {"net": again}, {"all": again_optimiser})
    assert {(group["fused"], group["foreach"]) for group in again_optimiser.param_groups} == {(None, True)}
    assert [group["lr_scale"] for group in again_optimiser.param_groups if "lr_scale" in group] == [0.5]


def test_a_copied_checkpoint_loads_from_anywhere(tmp_path):
    shutil.copytree(saved(tmp_path / "run"), tmp_path / "kept for later")
    assert load_module(tmp_path / "kept for later", "net", Net(2)) == RUN
