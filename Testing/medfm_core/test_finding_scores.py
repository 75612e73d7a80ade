"""Scores of wordings: what must hold for every embedding and every set of sentences."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from medfm_core.embedding import OrganEmbedding
from medfm_core.errors import InputError
from medfm_core.finding_scores import best_section, score_wordings

WIDTH = 5
quick = settings(max_examples=30, deadline=None)
seeds = st.integers(0, 2**32 - 1)
counts = st.integers(1, 6)
scales = st.floats(0.1, 200)


def unit_rows(seed, count):
    rows = np.random.default_rng(seed).standard_normal((count, WIDTH))
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


@quick
@given(seeds, counts, counts, scales)
def test_it_is_the_softmax_of_mean_logits(seed, positives, negatives, scale):
    vector, yes, no = unit_rows(seed, 1)[0], unit_rows(seed + 1, positives), unit_rows(seed + 2, negatives)
    found = score_wordings(vector, yes, no, scale)
    logits = scale * np.array([(yes @ vector).mean(dtype=float), (no @ vector).mean(dtype=float)])
    expected = np.exp(logits - logits.max())
    assert found.score == pytest.approx(expected[0] / expected.sum(), abs=1e-4)
    assert 0 <= found.spread[0] <= found.score <= found.spread[1] <= 1


@quick
@given(seeds, counts, counts, scales)
def test_polarities_mirror_each_other(seed, positives, negatives, scale):
    vector, yes, no = unit_rows(seed, 1)[0], unit_rows(seed + 1, positives), unit_rows(seed + 2, negatives)
    there, gone = score_wordings(vector, yes, no, scale), score_wordings(vector, no, yes, scale)
    assert there.score == pytest.approx(1 - gone.score, abs=1e-12)
    assert there.spread == pytest.approx((1 - gone.spread[1], 1 - gone.spread[0]), abs=1e-12)


@quick
@given(seeds, counts, counts, scales)
def test_the_order_of_wordings_does_not_matter(seed, positives, negatives, scale):
    vector, yes, no = unit_rows(seed, 1)[0], unit_rows(seed + 1, positives), unit_rows(seed + 2, negatives)
    rng = np.random.default_rng(seed)
    turned = score_wordings(vector, rng.permutation(yes), rng.permutation(no), scale)
    found = score_wordings(vector, yes, no, scale)
    assert (turned.score, *turned.spread) == pytest.approx((found.score, *found.spread), abs=1e-9)


@quick
@given(seeds, counts, counts, st.floats(0.05, 3))
def test_more_like_the_positive_wordings_is_higher(seed, positives, negatives, step):
    vector, yes, no = unit_rows(seed, 1)[0], unit_rows(seed + 1, positives), unit_rows(seed + 2, negatives)
    direction = yes.mean(0) - no.mean(0)
    moved = vector + step * direction
    moved /= np.linalg.norm(moved)
    assume(float(moved @ direction) > float(vector @ direction) + 1e-4)
    assert score_wordings(moved, yes, no, 10).score > score_wordings(vector, yes, no, 10).score


@quick
@given(seeds, st.integers(1, 6), scales)
def test_the_best_section_counts(seed, sections, scale):
    rows = unit_rows(seed, sections)
    wordings = unit_rows(seed + 1, 3), unit_rows(seed + 2, 3)
    organs = [OrganEmbedding("unit", number, "present", row) for number, row in enumerate(rows)]
    best = best_section(organs, wordings, scale)
    alone = [score_wordings(row, *wordings, scale).score for row in rows]
    assert best.wording.score == max(alone)
    assert best.section == int(np.argmax(alone))
    assert best_section(organs[: sections // 2], wordings, scale) is None or (
        best_section(organs[: sections // 2], wordings, scale).wording.score <= best.wording.score
    )


def test_nothing_overflows_at_any_scale():
    vector = np.eye(WIDTH, dtype=np.float32)[0]
    assert score_wordings(vector, vector[None], -vector[None], 1e6).score == 1.0
    assert score_wordings(vector, -vector[None], vector[None], 1e6).score == 0.0
    assert best_section([], (vector[None], vector[None]), 1.0) is None


@pytest.mark.parametrize(
    ("wordings", "scale", "says"),
    [
        ((np.zeros((0, WIDTH)), np.ones((1, WIDTH))), 1.0, "needs positive and negative"),
        ((np.ones((1, WIDTH)), np.ones((1, 3))), 1.0, "have 3 values each and the organ has 5"),
        ((np.ones((1, WIDTH)), np.ones((1, WIDTH))), 0.0, "the scale of the similarities is 0"),
        ((np.ones((1, WIDTH)), np.ones((1, WIDTH))), float("nan"), "the scale of the similarities is nan"),
    ],
)
def test_what_cannot_be_scored(wordings, scale, says):
    with pytest.raises(InputError, match=says):
        score_wordings(np.eye(WIDTH)[0], *wordings, scale)
