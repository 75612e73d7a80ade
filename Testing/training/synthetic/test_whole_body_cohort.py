"""Virtual whole bodies: frequencies, dependence, the planted organ, what is missing, and the same files again."""

from __future__ import annotations

import filecmp

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.metrics import roc_auc_score

from medfm_core.errors import InputError
from training import synthesize_cohort
from training.data.manifest import read_manifest
from training.evaluation.survival import concordance
from training.synthetic.health import DISEASES, FACTORS, make_people
from training.synthetic.incidence import follow_up
from training.synthetic.missing_organs import missing_organs, severity
from training.synthetic.organ_measures import measure
from training.synthetic.whole_body_cohort import WholeBodyPlan, make_whole_bodies, organ_specs

PEOPLE = make_people(4000, 1)
NAMES = [spec.name for spec in organ_specs()]


def auroc(features, labels):
    model = LogisticRegression(C=0.1, max_iter=300).fit(features[:2500], labels[:2500])
    return roc_auc_score(labels[2500:], model.decision_function(features[2500:]))


def test_thirteen_diseases_are_as_frequent_as_stated_and_follow_health():
    assert len(DISEASES) == 13
    for number, disease in enumerate(DISEASES.values()):
        assert PEOPLE.diseases[:, number].mean() == pytest.approx(disease.prevalence, abs=0.025)
    circulatory = PEOPLE.diseases[:, list(DISEASES).index("circulatory")]
    assert auroc(PEOPLE.factors, circulatory) > 0.75
    assert np.corrcoef(PEOPLE.age, PEOPLE.factors[:, FACTORS.index("vascular")])[0, 1] > 0.3


def test_a_larger_cohort_begins_with_the_smaller_one():
    small = make_people(50, 1)
    assert np.array_equal(small.factors, PEOPLE.factors[:50])
    assert np.array_equal(small.diseases, PEOPLE.diseases[:50])
    spec = organ_specs()[1]
    assert np.array_equal(measure(spec, small, 1), measure(spec, PEOPLE, 1)[:50])


def test_the_planted_organ_has_most_tokens_and_variance_and_little_to_say():
    flat = {spec.name: measure(spec, PEOPLE, 1).reshape(4000, -1) for spec in organ_specs()}
    tokens = {spec.name: spec.tokens for spec in organ_specs()}
    assert max(tokens, key=tokens.get) == "adipose"
    assert flat["adipose"].var() > 3 * flat["brain"].var()
    standard = {name: (values - values.mean(0)) / values.std(0) for name, values in flat.items()}
    chosen = ("endocrine", "nervous", "genitourinary", "digestive")
    told = {name: np.mean([auroc(standard[name], PEOPLE.diseases[:, list(DISEASES).index(d)]) for d in chosen])
            for name in ("adipose", "heart", "pancreas")}  # fmt: skip
    assert min(told, key=told.get) == "adipose"
    hepatic = PEOPLE.factors[:, FACTORS.index("hepatic")]
    model = Ridge().fit(standard["liver"][:2500], hepatic[:2500])
    assert model.score(standard["liver"][2500:], hepatic[2500:]) > 0.5


@pytest.mark.parametrize("mechanism", ["mcar", "mnar"])
def test_organs_are_missing_at_the_rate_and_for_the_reason_asked_for(mechanism):
    missing = missing_organs(PEOPLE, NAMES, mechanism, 0.3, 1)
    assert missing.mean() == pytest.approx(0.3, abs=0.02)
    assert not missing.all(axis=1).any()
    heart = missing[:, NAMES.index("heart")]
    gap = severity(PEOPLE, "heart")[heart].mean() - severity(PEOPLE, "heart")[~heart].mean()
    assert abs(gap) < 0.12 if mechanism == "mcar" else gap > 0.8
    assert not missing_organs(PEOPLE, NAMES, "none", 0.3, 1).any()


def test_the_command_writes_a_manifest_and_the_same_files_again(tmp_path, capsys):
    for name in ("one", "two"):
        assert synthesize_cohort.main(["--out", str(tmp_path / name), "--count", "30", "--seed", "5"]) == 0
    assert "30 virtual bodies" in capsys.readouterr().out
    compared = filecmp.dircmp(tmp_path / "one", tmp_path / "two")
    assert not compared.diff_files
    files = sorted(path.name for path in (tmp_path / "one" / "organs").iterdir())
    same, *_ = filecmp.cmpfiles(tmp_path / "one" / "organs", tmp_path / "two" / "organs", files, shallow=False)
    assert len(same) == 30
    manifest = read_manifest(tmp_path / "one" / "manifest.csv", "exist")
    assert len(manifest.rows) == 30
    assert set(manifest.targets) == set(DISEASES)
    assert any(len(row.organs) < 7 for row in manifest.rows if row.split == "train")
    test = [row for row in manifest.rows if row.split == "test"]
    assert test
    assert all(len(row.organs) == 7 for row in test)
    assert any(row.info["would_miss"] for row in test)
    for row in manifest.rows:
        assert all((row.times[name] is None) == (row.targets[name] == 1) for name in DISEASES)
        assert all((row.times[name] is None) == (row.events[name] is None) for name in DISEASES)
        assert ("heart" in row.organs) == (row.features["heart.lv_mass_g"] is not None)


def test_impossible_cohorts_are_refused(tmp_path, capsys):
    for change in ({"count": 0}, {"rate": 1.0}, {"missing": "often"}):
        with pytest.raises(InputError):
            WholeBodyPlan(**{"count": 3, **change})
    make_whole_bodies(WholeBodyPlan(3), tmp_path)
    assert synthesize_cohort.main(["--out", str(tmp_path), "--count", "3"]) == 2
    assert "holds a cohort already" in capsys.readouterr().err


def test_later_diagnoses_follow_health_and_leave_out_who_is_ill_already():
    later = follow_up(PEOPLE, 1)
    assert np.array_equal(np.isnan(later.time), PEOPLE.diseases == 1)
    assert np.array_equal(follow_up(make_people(50, 1), 1).time, later.time[:50], equal_nan=True)
    known = ~np.isnan(later.time)
    assert later.time[known].min() > 0
    assert later.time[known].max() <= 12
    cardiac = PEOPLE.factors[:, FACTORS.index("cardiac")]
    for number, name in enumerate(DISEASES):
        here = known[:, number]
        soon = (later.event[here, number] == 1) & (later.time[here, number] < 8)
        assert 0.2 * DISEASES[name].prevalence < soon.mean() < 0.7 * DISEASES[name].prevalence
        target = np.stack([later.time[:, number], later.event[:, number]], axis=1)
        if name == "circulatory":
            assert concordance(target, cardiac).value > 0.6
            assert concordance(target, np.random.default_rng(0).normal(size=4000)).value == pytest.approx(0.5, abs=0.05)
    # Many leave without a diagnosis, and at times that say nothing of their health.
    assert 0.7 < 1 - later.event[known].mean() < 0.98
