"""Low-rank additions: nothing at the start, the same merged, and the network comes back as it was."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn

from medfm_core.errors import InputError
from medfm_core.models.lora import LoraConfig, LowRankAdditions


class Conv1D(nn.Module):
    """A linear layer as GPT-2 has it."""

    def __init__(self, outputs: int, inputs: int) -> None:
        super().__init__()
        self.weight, self.bias = nn.Parameter(torch.randn(inputs, outputs)), nn.Parameter(torch.randn(outputs))

    def forward(self, x):
        return x @ self.weight + self.bias


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.inner = nn.ModuleList(nn.ModuleDict({"q_proj": nn.Linear(6, 4), "c_attn": Conv1D(6, 4)}) for _ in range(2))
        self.seq_proj = nn.Linear(6, 6)

    def forward(self, x):
        for block in self.inner:
            x = block["c_attn"](torch.tanh(block["q_proj"](x)))
        return self.seq_proj(x)


@pytest.fixture
def parts():
    torch.manual_seed(0)
    net = Net().double()
    plain = copy.deepcopy(net)
    additions = LowRankAdditions(net, LoraConfig(2, 6.0, 0.0, ("q_proj", "c_attn"))).double()
    return net, plain, additions, torch.randn(3, 5, 6, dtype=torch.float64)


def move(additions: LowRankAdditions) -> None:
    with torch.no_grad():
        for addition in additions.values():
            addition.up.normal_()


def test_it_begins_as_nothing_and_then_adds_the_product(parts):
    net, plain, additions, x = parts
    assert torch.equal(net(x), plain(x))
    move(additions)
    moved = copy.deepcopy(plain)
    with torch.no_grad():
        for number, block in enumerate(moved.inner):
            q, c = (additions[f"inner/{number}/{name}"] for name in ("q_proj", "c_attn"))
            block["q_proj"].weight += 3 * q.up @ q.down
            block["c_attn"].weight += 3 * (c.up @ c.down).T
    assert not torch.allclose(net(x), plain(x))
    torch.testing.assert_close(net(x), moved(x))


def test_merged_is_the_same_and_unmerged_the_network_is_as_before(parts):
    net, plain, additions, x = parts
    move(additions)
    before = net(x)
    additions.merge()
    additions.merge()
    assert additions.is_merged
    torch.testing.assert_close(net(x), before)
    additions.unmerge()
    assert torch.equal(net(x), before)
    assert all(torch.equal(a, b) for a, b in zip(net.parameters(), plain.parameters(), strict=True))
    additions.merge()
    additions.remove()
    assert torch.equal(net(x), plain(x))


def test_only_additions_learn_and_only_they_are_in_the_state(parts):
    net, _, additions, x = parts
    net(x).square().sum().backward()
    assert all(value.grad is None for value in net.parameters())
    assert all(addition.up.grad.abs().sum() > 0 for addition in additions.values())
    assert {name.rsplit(".", 1)[1] for name in additions.state_dict()} == {"up", "down"}
    assert len(additions) == 4  # seq_proj ends in "q_proj" only as a part of a word


def test_a_copy_has_hooks_of_its_own(parts):
    net, _, additions, x = parts
    other_net, other = copy.deepcopy((net, additions))
    move(other)
    assert not torch.allclose(other_net(x), net(x))
    additions.merge()
    assert not other.is_merged


def test_a_layer_that_is_not_there_is_named(parts):
    with pytest.raises(InputError, match=r"'v_projj'.*nearest: q_proj"):
        LowRankAdditions(parts[1], LoraConfig(targets=("v_projj",)))
    with pytest.raises(ValueError, match="rank"):
        LoraConfig(rank=0)
