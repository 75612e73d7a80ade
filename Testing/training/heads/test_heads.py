"""Heads: shapes, masks, what attends to what."""

from __future__ import annotations

import pytest
import torch

from medfm_core.errors import InputError
from training.heads.attentive import AttentiveHead
from training.heads.building import HEADS, build_head


@pytest.fixture(autouse=True)
def _seed():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        yield


@pytest.mark.parametrize("name", HEADS)
def test_heads_answer_for_any_number_of_tokens(name):
    head = build_head(name, 24, 3, depth=2)
    for count in (1, 7):
        assert head(torch.randn(2, count, 24)).shape == (2, 3)
    if name != "attentive":
        assert head(torch.randn(2, 24)).shape == (2, 3)


@pytest.mark.parametrize("name", HEADS)
@pytest.mark.parametrize("train", [True, False])
def test_tokens_that_do_not_count_change_nothing(name, train):
    head = build_head(name, 16, 2, depth=2).train(train)
    tokens, present = torch.randn(3, 5, 16), torch.ones(3, 5, dtype=torch.bool)
    present[:, 3:] = False
    spoilt = torch.where(present[:, :, None], tokens, 1e3)
    assert torch.allclose(head(tokens, present), head(spoilt, present), atol=1e-5)
    assert torch.allclose(head(tokens, present), head(tokens[:, :3]), atol=1e-5)
    assert not torch.allclose(head(tokens), head(spoilt), atol=1e-3)
    with pytest.raises(InputError, match="1 of 3 samples have no token"):
        head(tokens, present & (torch.arange(3) > 0)[:, None])


@pytest.mark.parametrize("name", HEADS)
def test_the_order_of_the_tokens_does_not_matter(name):
    head = build_head(name, 16, 2).eval()
    tokens = torch.randn(2, 6, 16)
    assert torch.allclose(head(tokens), head(tokens.flip(1)), atol=1e-5)


def test_attention_is_that_of_a_plain_softmax():
    head = AttentiveHead(8, 2, heads=2, queries=3)
    with torch.no_grad():
        for value in head.parameters():
            value.normal_(0, 0.5)
    tokens = torch.randn(1, 5, 8)
    key, value = head.known(head.norm(tokens)).chunk(2, dim=-1)
    asked = head.ask(head.queries)
    seen = torch.zeros(3, 8)
    for part in (slice(0, 4), slice(4, 8)):
        weights = (asked[:, part] @ key[0, :, part].T / 4**0.5).softmax(dim=-1)
        seen[:, part] = weights @ value[0, :, part]
    seen = head.queries + seen
    expected = head.answer((seen + head.mlp(seen)).flatten()[None])
    assert torch.allclose(head(tokens), expected, atol=1e-5)


def test_wrong_heads_are_sentences():
    with pytest.raises(InputError, match="attentive"):
        build_head("atentive", 8, 2)
    with pytest.raises(InputError, match="heads"):
        AttentiveHead(10, 2, heads=4)
    with pytest.raises(InputError, match="needs tokens"):
        AttentiveHead(8, 2)(torch.randn(2, 8))
