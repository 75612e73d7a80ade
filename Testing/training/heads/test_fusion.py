"""Five fusions of scans: what is missing changes nothing, and how each mixes what is there."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from medfm_core.errors import InputError
from training.heads.fusion import FUSIONS, FusionShape, build_fusion, drop_modalities, fusion_loss


@pytest.fixture(autouse=True)
def _seed():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        yield


def made(name, modalities=3, outputs=3):
    return build_fusion(name, FusionShape(16, outputs, 2 if name == "late" else modalities)).eval()


def scans(name, batch=4, tokens=5):
    count = 2 if name == "late" else 3
    return torch.randn(batch, count, tokens, 16), torch.ones(batch, count, dtype=torch.bool)


@pytest.mark.parametrize("name", FUSIONS)
def test_what_is_missing_changes_nothing(name):
    net = made(name)
    tokens, present = scans(name)
    present[1, 0] = present[2, 1] = False
    spoilt = torch.where(present[..., None, None], tokens, float("nan"))
    answer = net(tokens, present)
    assert answer.shape == (4, 3)
    assert torch.allclose(answer, net(spoilt, present), atol=1e-6)
    assert not torch.allclose(answer[1], net(tokens, torch.ones_like(present))[1], atol=1e-4)
    assert torch.allclose(answer[:1], net(tokens[:1], present[:1]), atol=1e-5)  # studies do not look at each other
    with pytest.raises(InputError, match="1 of 4"):
        net(tokens, present & (torch.arange(4) > 0)[:, None])


@pytest.mark.parametrize("name", FUSIONS)
def test_gradients_stay_numbers_beside_missing_scans(name):
    net = made(name).train()
    tokens, present = scans(name)
    present[0, 0] = False
    tokens = torch.where(present[..., None, None], tokens, 1e4).requires_grad_()
    fusion_loss(net(tokens, present), torch.tensor([0, 1, 2, -1])).backward()
    assert all(torch.isfinite(value.grad).all() for value in net.parameters() if value.grad is not None)
    assert not tokens.grad[0, 0].any()


def test_a_product_multiplies_probabilities():
    net = made("product")
    tokens, present = scans("product")
    present[3, 1] = False
    each = [head(tokens[:, m]).softmax(-1) for m, head in enumerate(net.experts)]
    wanted = each[0] * each[2] * torch.where(present[:, 1:2], each[1], 1)
    wanted = wanted / wanted.sum(1, keepdim=True)
    answer = net(tokens, present)
    assert torch.allclose(answer.exp(), wanted, atol=1e-6)
    assert torch.allclose(answer.softmax(-1), wanted, atol=1e-6)
    joint = made("product_joint")
    assert torch.allclose(joint(tokens, present).exp().sum(1), torch.ones(4), atol=1e-6)


def test_an_average_is_that_of_what_is_there():
    net = made("average")
    tokens, present = scans("average")
    present[0] = torch.tensor([True, False, True])
    wanted = (net.answers[0](tokens[0, 0].mean(0)) + net.answers[2](tokens[0, 2].mean(0))) / 2
    assert torch.allclose(net(tokens, present)[0], wanted, atol=1e-6)


def test_shapes_that_cannot_be():
    with pytest.raises(InputError, match="two modalities, not 3"):
        build_fusion("late", FusionShape(16, 2, 3))
    with pytest.raises(InputError, match="not one number"):
        build_fusion("product", FusionShape(16, 1, 2))
    with pytest.raises(InputError, match="average"):
        build_fusion("averag", FusionShape(16, 2, 2))


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 1000), st.floats(0, 1))
def test_dropping_leaves_something_and_adds_nothing(seed, share):
    present = torch.rand(16, 3, generator=torch.Generator().manual_seed(seed + 5)) < 0.6
    present[:, 0] |= ~present.any(1)
    kept = drop_modalities(present, share, torch.Generator().manual_seed(seed))
    assert kept.any(1).all()
    assert not (kept & ~present).any()
    assert torch.equal(kept, drop_modalities(present, share, torch.Generator().manual_seed(seed)))
    assert torch.equal(drop_modalities(present, 0, torch.Generator().manual_seed(seed)), present)


def test_all_sets_are_as_likely_to_stay():
    present = torch.ones(6000, 3, dtype=torch.bool)
    kept = drop_modalities(present, 1.0, torch.Generator().manual_seed(0))
    codes, counts = torch.unique(kept.long() @ torch.tensor([1, 2, 4]), return_counts=True)
    assert codes.tolist() == [1, 2, 3, 4, 5, 6]
    assert counts.min() > 850


def test_published_sizes():
    """The two of which the reference's parameters are known: 4.2 M for late fusion, 1.0 M for MIL."""
    counts = {
        name: sum(value.numel() for value in build_fusion(name, FusionShape(768, 2, 2)).parameters())
        for name in ("late", "mil")
    }
    assert counts["mil"] == pytest.approx(1.0e6, rel=0.05)
    assert counts["late"] == pytest.approx(4.2e6, rel=0.2)
