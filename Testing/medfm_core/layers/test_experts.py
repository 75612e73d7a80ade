"""Mixture of experts: equal to a plain loop, whoever is chosen, with a balance that evens out loads."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional

from medfm_core.layers import grouped_product
from medfm_core.layers.expert_balance import balanced, expert_counts
from medfm_core.layers.experts import Experts, seat
from medfm_core.layers.mixture_of_experts import MixtureConfig, MixtureOfExperts

CONFIG = MixtureConfig(experts=6, active=3, expert_width=12, shared_width=24, route_scale=4.0)


def plain_loop(experts, tokens, chosen, weights):
    out = torch.zeros_like(tokens)
    for expert in range(len(experts.widen_weight)):
        for slot in range(chosen.shape[1]):
            mine = (chosen[:, slot] == expert).nonzero()[:, 0]
            hidden = functional.gelu(tokens[mine] @ experts.widen_weight[expert].T + experts.widen_bias[expert])
            said = hidden @ experts.narrow_weight[expert].T + experts.narrow_bias[expert]
            out = out.index_add(0, mine, said * weights[mine, slot, None])
    return out


def make(seed=0):
    torch.manual_seed(seed)
    experts = Experts(16, 12, 6).double()
    for parameter in experts.parameters():
        torch.nn.init.normal_(parameter)
    return experts


@settings(deadline=None, max_examples=25)
@given(tokens=st.integers(1, 40), active=st.integers(1, 6), seed=st.integers(0, 10**6))
def test_grouped_experts_equal_a_plain_loop_in_values_and_gradients(tokens, active, seed):
    experts = make(seed)
    given_tokens = torch.randn(tokens, 16, dtype=torch.double, requires_grad=True)
    chosen = torch.rand(tokens, 6).topk(active, dim=-1).indices
    weights = torch.rand(tokens, active, dtype=torch.double, requires_grad=True)
    found = []
    for way in (experts, lambda *what: plain_loop(experts, *what)):
        out = way(given_tokens, chosen, weights)
        wanted = (given_tokens, weights, *experts.parameters())
        found.append([out, *torch.autograd.grad(out.square().sum(), wanted)])
    for one, other in zip(*found, strict=True):
        torch.testing.assert_close(one, other)


def test_all_tokens_may_choose_the_same_expert_and_unused_ones_get_no_gradient():
    experts, tokens = make(), torch.randn(9, 16, dtype=torch.double)
    chosen, weights = torch.full((9, 1), 2), torch.ones(9, 1, dtype=torch.double)
    out = experts(tokens, chosen, weights)
    torch.testing.assert_close(out, plain_loop(experts, tokens, chosen, weights))
    out.sum().backward()
    assert experts.widen_weight.grad[2].abs().sum() > 0
    assert experts.widen_weight.grad[[0, 1, 3, 4, 5]].abs().sum() == 0


@settings(deadline=None, max_examples=25)
@given(tokens=st.integers(1, 60), seed=st.integers(0, 10**6))
def test_seats_are_in_order_of_expert_and_aligned(tokens, seed):
    torch.manual_seed(seed)
    chosen = torch.rand(tokens, 6).topk(2, dim=-1).indices
    seating = seat(chosen, 6)
    assert len(set(seating.place.tolist())) == tokens * 2
    assert torch.equal(seating.owners[seating.place], chosen.flatten())
    assert all(end % grouped_product.ALIGNMENT == 0 for end in seating.ends.tolist())
    assert seating.ends[-1] == seating.rows
    assert (seating.ends.diff() >= 0).all()


@pytest.mark.skipif(grouped_product._KERNEL is None, reason="this torch has no grouped product")
def test_the_grouped_kernel_equals_the_slices():
    rows, matrices = torch.randn(48, 16), torch.randn(3, 8, 16)
    ends = torch.tensor([16, 16, 48], dtype=torch.int32)
    try:
        kernel = grouped_product._KERNEL(rows, matrices.transpose(1, 2), offs=ends)
    except (RuntimeError, NotImplementedError):
        pytest.skip("this torch has no grouped product on a CPU")
    torch.testing.assert_close(kernel, grouped_product.grouped_product(rows, matrices, ends))


def test_the_mixture_weighs_by_score_and_chooses_by_score_and_balance():
    torch.manual_seed(0)
    mixture, tokens = MixtureOfExperts(16, CONFIG), torch.randn(2, 5, 16)
    out, routing = mixture(tokens)
    scores = functional.softmax(tokens.flatten(0, 1) @ mixture.router.score.weight.T, dim=-1)
    torch.testing.assert_close(routing.scores, scores)
    assert torch.equal(routing.chosen.sort().values, scores.topk(3).indices.sort().values)
    torch.testing.assert_close(routing.weights, 4 * scores.gather(1, routing.chosen))
    routed = plain_loop(mixture.experts, tokens.flatten(0, 1), routing.chosen, routing.weights)
    torch.testing.assert_close(out, routed.view(2, 5, 16) + mixture.shared(tokens))
    mixture.router.balance[4] = 2
    _, moved = mixture(tokens)
    assert (moved.chosen == 4).any(dim=1).all()
    torch.testing.assert_close(moved.weights, 4 * scores.gather(1, moved.chosen))


def test_under_autocast_routing_stays_in_float32():
    mixture, tokens = MixtureOfExperts(16, CONFIG), torch.randn(2, 5, 16)
    _, plain = mixture(tokens)
    with torch.autocast("cpu", torch.bfloat16):
        out, routing = mixture(tokens)
    assert out.dtype == torch.bfloat16
    assert torch.equal(routing.scores, plain.scores)


def test_counts_sum_to_all_choices():
    chosen = torch.tensor([[0, 3], [3, 1], [3, 0]])
    assert expert_counts(chosen, 5).tolist() == [2, 1, 0, 3, 0]


def test_a_move_of_the_balance_by_hand():
    counts = torch.tensor([[0, 10, 20]])
    proportional = balanced(torch.zeros(1, 3), counts, rate=0.1)
    torch.testing.assert_close(proportional, torch.tensor([[0.1, 0.0, -0.1]]))
    sign = balanced(torch.zeros(1, 3), torch.tensor([[0, 1, 29]]), rate=0.1, rule="sign")
    torch.testing.assert_close(sign, torch.tensor([[0.2 / 3, 0.2 / 3, -0.4 / 3]]))
    clipped = balanced(torch.zeros(1, 3), counts, rate=10.0, limit=0.3)
    torch.testing.assert_close(clipped, torch.tensor([[0.3, 0.0, -0.3]]))
    assert torch.equal(balanced(torch.zeros(3), torch.zeros(3), rate=1.0), torch.zeros(3))


def test_balancing_evens_out_a_router_with_favourites():
    torch.manual_seed(0)
    mixture = MixtureOfExperts(16, CONFIG)
    with torch.no_grad():
        mixture.router.score.weight.normal_(std=0.05)
    tokens = torch.randn(1, 400, 16) + 2
    loads = []
    for _ in range(150):
        with torch.no_grad():
            counts = expert_counts(mixture.router(tokens[0]).chosen, 6)
        loads.append(counts / counts.float().mean())
        mixture.router.balance.copy_(balanced(mixture.router.balance, counts, rate=3e-3))
    assert loads[0].min() < 0.4
    assert loads[0].max() > 1.6
    assert loads[-1].min() > 0.8
    assert loads[-1].max() < 1.2
