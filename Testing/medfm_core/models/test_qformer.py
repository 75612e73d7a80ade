"""The querying transformer: a set goes in, whatever its size and order; what is absent does not count."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from medfm_core.models.qformer import QFormer, QFormerConfig

CONFIG = QFormerConfig(queries=3, width=12, depth=3, heads=2, mlp_width=16)


def net() -> QFormer:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return QFormer(CONFIG).eval()


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 1000), count=st.integers(1, 9))
def test_the_order_of_tokens_and_what_is_absent_do_not_matter(seed, count):
    draw = torch.Generator().manual_seed(seed)
    tokens = torch.randn(2, count, 12, generator=draw)
    seen = torch.rand(2, count, generator=draw) > 0.5
    former = net()
    first = former(tokens, seen)
    order = torch.randperm(count, generator=draw)
    torch.testing.assert_close(former(tokens[:, order], seen[:, order]), first, atol=1e-5, rtol=1e-4)
    changed = tokens.masked_fill(~seen[..., None], float("nan"))
    torch.testing.assert_close(former(changed, seen), first)
    kept = tokens[:1, seen[0]]
    torch.testing.assert_close(former(kept, seen[:1, seen[0]]), first[:1], atol=1e-5, rtol=1e-4)


def test_a_study_of_which_nothing_is_known_has_an_answer():
    assert torch.isfinite(net()(torch.randn(2, 4, 12), torch.zeros(2, 4, dtype=torch.bool))).all()


def test_queries_look_at_the_study_in_every_second_block():
    former = QFormer(QFormerConfig(queries=32, width=24, depth=6, heads=2, mlp_width=8))
    assert [block.cross is not None for block in former.blocks] == [True, False] * 3
    assert former(torch.randn(1, 5, 24), torch.ones(1, 5, dtype=torch.bool)).shape == (1, 32, 24)


@pytest.mark.parametrize("wrong", [{"queries": 0}, {"width": 13}, {"dropout": 1.0}, {"cross_every": 0}])
def test_sizes_that_cannot_be_are_refused(wrong):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        QFormerConfig(**wrong)
