"""Fusions of frozen tokens learn what only two scans together tell, and do without one of them."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from medfm_core.errors import InputError
from training.evaluation.fusion_probe import FusionPlan, FusionRows, fit_fusion
from training.heads.fusion import FUSIONS


def study_rows(count, seed):
    """Each of two modalities shows the class, weakly; together they show it well."""
    draw = np.random.default_rng(seed)
    classes = draw.integers(0, 2, count)
    tokens = draw.normal(0, 1, (count, 2, 4, 16))
    tokens[..., 0] += 1.2 * (2 * classes - 1)[:, None, None] * np.array([0.7, 0.7])[None, :, None]
    return FusionRows(torch.from_numpy(tokens).float(), torch.ones(count, 2, dtype=torch.bool), classes)


@pytest.mark.parametrize("fusion", FUSIONS)
def test_they_learn(fusion):
    train, test = study_rows(96, 0), study_rows(80, 1)
    is_linear = fusion == "average"
    plan = FusionPlan(fusion, epochs=20 if is_linear else 6, lr=2e-2 if is_linear else 2e-3)
    probe = fit_fusion(train, None, plan)
    answer = probe.predict(test.tokens, test.present)
    assert np.allclose(answer.sum(1), 1, atol=1e-5)
    assert (answer.argmax(1) == test.classes).mean() > 0.85
    alone = test.present.clone()
    alone[:, 1] = False
    assert (probe.predict(test.tokens, alone).argmax(1) == test.classes).mean() > 0.75
    assert np.array_equal(answer, probe.predict(test.tokens, test.present))  # nothing is drawn when it is used


def test_the_best_epoch_is_kept_and_runs_are_alike():
    train, validation = study_rows(24, 0), study_rows(24, 2)
    plan = FusionPlan("average", epochs=3, lr=1e-2)
    one, other = (fit_fusion(train, validation, plan) for _ in range(2))
    assert all(torch.equal(a, b) for a, b in zip(one.net.parameters(), other.net.parameters(), strict=True))


def test_what_cannot_be_learnt():
    rows = study_rows(8, 0)
    with pytest.raises(InputError, match="no training study"):
        fit_fusion(FusionRows(rows.tokens, rows.present, np.full(8, -1)))
    spoilt = rows.tokens.clone()
    spoilt[0, 0, 0, 0] = float("nan")
    with pytest.raises(InputError, match="not finite"):
        fit_fusion(FusionRows(spoilt, rows.present, rows.classes))
    with pytest.raises(InputError, match="cannot be trained so"):
        FusionPlan(dropped=1.5)


def test_classes_that_no_training_study_shows_and_steps_that_few_studies_take():
    rows = study_rows(8, 0)
    probe = fit_fusion(rows, None, FusionPlan("average", epochs=1, least_steps=3, lr=1e-2), classes=4)
    assert probe.predict(rows.tokens, rows.present).shape == (8, 4)
    again = fit_fusion(rows, None, FusionPlan("average", epochs=3, lr=1e-2), classes=4)  # one step per epoch
    assert all(torch.equal(a, b) for a, b in zip(probe.net.parameters(), again.net.parameters(), strict=True))
