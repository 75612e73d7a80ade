"""A linear probe of hazards: a planted risk is found, and what cannot be told is a sentence."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from medfm_core.errors import InputError
from training.data.manifest import ManifestRow
from training.evaluation.bootstrap import BootstrapPlan
from training.evaluation.cohort import Cohort, Targets
from training.evaluation.event_targets import read_event
from training.evaluation.linear_probe import ProbeRows
from training.evaluation.probing import RANDOM, ProbeStudy, run_study
from training.evaluation.survival import concordance
from training.evaluation.survival_probe import fit_survival_probe
from training.evaluation.targets import cohort_of

PLAN = BootstrapPlan(60, method="percentile")


def planted(count=300, seed=0, strength=1.5):
    """Features `(N, 12)` of which the first raises the hazard; a third is censored; two scans of each subject."""
    rng = np.random.default_rng(seed)
    features = np.repeat(rng.normal(size=(count // 2, 12)), 2, axis=0) + rng.normal(0, 0.1, (count, 12))
    waited = np.repeat(rng.exponential(size=count // 2), 2) * np.exp(-strength * features[:, 0])
    ends = np.repeat(rng.exponential(3.0, count // 2), 2)
    values = np.stack([np.minimum(waited, ends) + 1e-3, waited <= ends], axis=1).astype(float)
    subjects = tuple(f"{seed}-{n // 2}" for n in range(count))
    return ProbeRows(features, Targets("survival", values, ("death",), "death"), subjects)


def cohort_from(rows: ProbeRows) -> Cohort:
    splits = tuple(("train", "train", "val", "test")[n // 2 % 4] for n in range(len(rows.subjects)))
    return Cohort(rows.subjects, ("mr",) * len(splits), splits, rows.targets)


@pytest.mark.parametrize("with_validation", [True, False])
def test_a_planted_risk_is_found(with_validation):
    probe, by = fit_survival_probe(planted(seed=0), planted(80, seed=1) if with_validation else None)
    assert by == ("val" if with_validation else "5 folds")
    test = planted(seed=2)
    found = concordance(test.targets.values, probe.predict(test.features)[:, 0]).value
    assert found > concordance(test.targets.values, test.features[:, 0]).value - 0.02  # as good as the truth
    weights = probe.weights[:, 0]
    assert weights[0] > 3 * np.abs(weights[1:]).max()


def test_few_events_of_val_do_not_choose():
    few = planted(12, seed=1)
    few.targets.values[:, 1] = [1, 0] * 6
    assert fit_survival_probe(planted(), few)[1] == "5 folds"
    alone = planted(2)
    alone.targets.values[:, 1] = 1
    assert fit_survival_probe(alone)[1] == "not chosen: too few subjects"


def test_the_study_beats_a_constant_with_intervals_over_subjects():
    rows = planted(400)
    noise = torch.from_numpy(np.random.default_rng(5).normal(size=rows.features.shape)).float()
    features = torch.from_numpy(rows.features).float()
    result = run_study(cohort_from(rows), features, ProbeStudy(intervals=PLAN), noise)
    found = {row.model: row for row in result.report.rows}
    assert list(found) == ["linear probe", RANDOM, "same risk for all"]
    ours = found["linear probe"].figures[0]
    assert ours.metric == "concordance"
    assert ours.mean.low > 0.6
    assert ours.mean.subjects == 50
    assert found["same risk for all"].figures[0].mean.value == 0.5
    assert abs(found[RANDOM].figures[0].mean.value - 0.5) < 0.12
    assert result.report.differences[0].figures[0].mean.low > 0.05
    assert found["linear probe"].details["regularisation"]["chosen_by"] == "val"
    assert result.report.details["splits"]["test"]["events"] > 20
    assert result.predictions.shape == (200,)


def test_shuffled_times_are_at_chance():
    rows = planted(400)
    rows.targets.values[:] = rows.targets.values[np.random.default_rng(1).permutation(400)]
    report = run_study(cohort_from(rows), torch.from_numpy(rows.features).float(), ProbeStudy(intervals=PLAN)).report
    assert abs(report.rows[0].figures[0].mean.value - 0.5) < 0.12


def manifest(times, events, splits=("train", "train", "test", "test")):
    return [
        ManifestRow(n + 2, f"s{n}", "mr", Path("x"), "MR", split=split, times={"death": t}, events={"death": e})
        for n, (t, e, split) in enumerate(zip(times, events, splits, strict=True))
    ]


def test_times_and_events_are_read_from_the_manifest():
    cohort = cohort_of(manifest([2.0, 3.5, None, 1.0], [1.0, 0.0, None, 1.0]), {}, ("death",), "survival")
    assert cohort.targets.task == "survival"
    assert cohort.targets.values[[0, 1, 3]].tolist() == [[2, 1], [3.5, 0], [1, 1]]
    assert cohort.targets.known.tolist() == [True, True, False, True]
    assert cohort.rows("test").tolist() == [3]


@pytest.mark.parametrize(
    ("times", "events", "wanted", "said"),
    [
        ([0.0, 3.0, 1.0, -1.0], [1, 1, 1, 1], ("death",), r"not above 0 in 2 rows \(the first is row 2\)"),
        ([2.0, 3.0, 1.0, 1.0], [0, 0, 1, 1], ("death",), "nobody of the split 'train'"),
        ([2.0, 3.0, 1.0, 1.0], [1, 0, 0, 0], ("death",), "nobody of the split 'test'"),
        ([2.0, 3.0, 1.0, 1.0], [1, 0, 1, 0], ("deaht",), "nearest: death"),
        ([2.0, 3.0, 1.0, 1.0], [1, 0, 1, 0], ("death", "stroke"), "one event, not 2"),
    ],
)
def test_what_cannot_be_read(times, events, wanted, said):
    with pytest.raises(InputError, match=said):
        read_event(manifest(times, [float(event) for event in events]), wanted)


def test_what_cannot_be_probed():
    with pytest.raises(InputError, match="no times to events"):
        read_event([ManifestRow(2, "a", "mr", Path("x"), "MR", split="train")], ("death",))
    censored = planted(20)
    censored.targets.values[:, 1] = 0
    with pytest.raises(InputError, match="nobody of the training rows"):
        fit_survival_probe(censored)
    with pytest.raises(InputError, match="in both train and val"):
        fit_survival_probe(planted(), planted())
    rows = planted(40)
    tokens = torch.zeros(40, 2, 12)
    with pytest.raises(InputError, match="a survival probe is linear"):
        run_study(cohort_from(rows), tokens, ProbeStudy("attentive"))
    with pytest.raises(InputError, match="all labels"):
        run_study(cohort_from(rows), tokens.mean(1), ProbeStudy(shots=(4,)))
