"""Attentive probes find what a mean over tokens hides."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from medfm_core.errors import InputError
from training.evaluation.attentive_probe import AttentiveProbePlan, TokenRows, fit_attentive_probe
from training.evaluation.cohort import Targets
from training.evaluation.ranking import area_under_roc

PLAN = AttentiveProbePlan(epochs=8, least_steps=40, batch_size=32, lr=5e-3)


def needle(seed: int, count: int) -> TokenRows:
    """One token of many is marked; its sign is the class, and the others' signs average out."""
    rng = np.random.default_rng(seed)
    tokens = rng.normal(size=(count, 8, 16)).astype(np.float32)
    target = rng.integers(0, 2, count)
    place = rng.integers(0, 8, count)
    tokens[np.arange(count), place, 0] = 8.0
    tokens[np.arange(count), place, 1] = 4.0 * (2 * target - 1)
    tokens[:, :, 1] -= tokens[:, :, 1].mean(1, keepdims=True)
    targets = Targets("classification", target, ("no", "yes"))
    return TokenRows(torch.from_numpy(tokens), targets, tuple(f"{seed}-{n}" for n in range(count)))


def test_the_marked_token_is_found_among_the_others():
    train, unseen = needle(0, 160), needle(1, 120)
    before = torch.random.get_rng_state()
    probe = fit_attentive_probe(train, needle(2, 40), PLAN)
    assert torch.equal(before, torch.random.get_rng_state())
    said = probe.predict(unseen.tokens)
    assert said.sum(1) == pytest.approx(1)
    assert area_under_roc(unseen.targets.values, said[:, 1]) > 0.9
    again = fit_attentive_probe(train, needle(2, 40), PLAN)
    assert np.array_equal(again.predict(unseen.tokens), said)


def test_quantities_keep_their_unit_and_missing_targets_are_left_out():
    rng = np.random.default_rng(0)
    tokens = torch.from_numpy(rng.normal(size=(80, 4, 16)).astype(np.float32))
    age = 500 + 100 * tokens[:, :, 0].mean(1).numpy().astype(float)
    values = np.where(np.arange(80) % 4 == 0, np.nan, age)
    rows = TokenRows(tokens, Targets("regression", values, ("age",)), tuple(map(str, range(80))))
    said = fit_attentive_probe(rows, plan=PLAN).predict(tokens)
    assert np.corrcoef(said, age)[0, 1] > 0.8
    assert abs(said.mean() - 500) < 30


def test_unusable_rows_are_refused():
    rows = needle(0, 10)
    unknown = TokenRows(rows.tokens, Targets("classification", np.full(10, -1), ("no", "yes")), rows.subjects)
    with pytest.raises(InputError, match="known target"):
        fit_attentive_probe(unknown)
    with pytest.raises(InputError, match="not finite"):
        fit_attentive_probe(TokenRows(rows.tokens * torch.nan, rows.targets, rows.subjects))
