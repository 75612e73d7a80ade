"""The study of missing organs: scenarios, fast AUROCs, baselines that do without organs, and the command as a whole."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from organ_toys import MODEL, ORGANS, bodies
from sklearn.metrics import roc_auc_score

from medfm_core.errors import InputError
from medfm_core.models.pan_fm import PanFM
from training import study_missing_organs, synthesize_cohort
from training.evaluation.cox_probe import EventRows, fit_cox_probe
from training.evaluation.missing_organs.auroc import ManyAurocs
from training.evaluation.missing_organs.baselines import Splits, complete_cases, imputation, late_fusion, single_organs
from training.evaluation.missing_organs.concordances import ManyConcordances
from training.evaluation.missing_organs.networks import FineTuning, attention_of, embed, fine_tuned
from training.evaluation.missing_organs.parts import StudyPart
from training.evaluation.missing_organs.recognition import SIDE_BY_SIDE, run_recognition
from training.evaluation.missing_organs.scenarios import make_scenarios
from training.evaluation.missing_organs.study import StudyConfig, run_study
from training.evaluation.survival import concordance

NAMES = tuple(organ.name for organ in ORGANS)


def part(count, seed, missing=0.3):
    """Studies whose first disease is told by the heart, and the second by the liver."""
    rng = np.random.default_rng(seed)
    gone = rng.random((count, 3)) < missing
    gone[gone.all(axis=1), 0] = False
    batch = bodies(count, seed=seed, missing=torch.from_numpy(gone))
    labels = rng.integers(0, 2, (count, 2))
    batch["organ.heart"] += torch.from_numpy(labels[:, :1]).float() * 2
    batch["organ.liver"] += torch.from_numpy(labels[:, 1:]).float()[:, None] * 2
    subjects = tuple(f"{seed}-{number}" for number in range(count))
    return StudyPart(ORGANS, batch, labels, ("one", "two"), rng.normal(size=(count, 2)), subjects, gone)


SPLITS = Splits(part(120, 1), part(30, 2))
TEST = part(60, 3, missing=0.0)


@settings(max_examples=20, deadline=None)
@given(st.lists(st.lists(st.booleans(), min_size=4, max_size=4).filter(any), min_size=1, max_size=5), st.integers(0, 9))
def test_scenarios_take_what_they_say_and_leave_an_organ(present, seed):
    present = np.array(present)
    organs = ("a", "b", "c", "d")
    found = {s.name: s.kept for s in make_scenarios(present, ~present[:, ::-1], organs, seed=seed)}
    assert len(found) == 2 + 3 + 4 + 4
    for kept in found.values():
        assert not (kept & ~present).any()
        assert kept.any(axis=1).all()
    assert np.array_equal(found["all organs"], present)
    counts = present.sum(axis=1)
    for count in (1, 2, 3):
        assert np.array_equal(found[f"{count} missing"].sum(axis=1), np.maximum(counts - count, 1))
    assert (found["2 missing"] <= found["1 missing"]).all()
    several = counts > 1
    assert not found["without b"][several, 1].any()
    assert found["b alone"][present[:, 1]].sum(axis=1).tolist() == [1] * int(present[:, 1].sum())


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 10_000), st.booleans())
def test_fast_aurocs_are_those_of_scikit_learn(seed, ties):
    rng = np.random.default_rng(seed)
    labels = rng.integers(-1, 2, (40, 2))
    scores = [np.round(rng.random((40, 2)), 1 if ties else 9) for _ in range(3)]
    rows = rng.integers(0, 40, 40)
    found = ManyAurocs(labels, scores).by_label(rows)
    for number, said in enumerate(scores):
        for label in range(2):
            known = labels[rows, label] >= 0
            truth = labels[rows, label][known]
            if len(set(truth)) == 2:
                expected = roc_auc_score(truth, said[rows, label][known])
                assert found[number, label] == pytest.approx(expected)
            else:
                assert np.isnan(found[number, label])


def test_baselines_do_without_what_is_missing():
    singles = single_organs(SPLITS)
    without_heart = TEST.keeping(np.tile([True, False, True], (60, 1)))
    alone = singles["heart"](without_heart)
    assert (alone == alone[0]).all()  # it knows frequencies alone
    assert ManyAurocs(TEST.labels, [singles["heart"](TEST)]).by_label(np.arange(60))[0, 0] > 0.9
    fused = late_fusion(list(singles.values()))
    only_liver = TEST.keeping(np.tile([False, False, True], (60, 1)))
    np.testing.assert_allclose(fused(only_liver), singles["liver"](only_liver), atol=1e-6)
    for made in (imputation(SPLITS), imputation(SPLITS, "knn"), complete_cases(SPLITS), fused):
        scores = ManyAurocs(TEST.labels, [made(TEST), made(without_heart)]).by_label(np.arange(60))
        assert scores[0].min() > 0.85
        assert scores[1, 1] > 0.85
        assert np.isfinite(made(without_heart)).all()
    nobody = part(20, 5, missing=0.0).keeping(np.tile([True, False, True], (20, 1)))
    assert complete_cases(Splits(nobody, SPLITS.val)) is None


def test_fine_tuning_learns_and_leaves_the_network_as_it_is():
    torch.manual_seed(0)
    model = PanFM(MODEL).eval()
    before = embed(model, TEST)
    predict = fine_tuned(model, SPLITS, FineTuning(steps=25, batch_size=32, lr=5e-3))
    scores = ManyAurocs(TEST.labels, [predict(TEST)]).by_label(np.arange(60))
    assert scores.mean() > 0.8
    assert np.array_equal(before, embed(model, TEST))
    attention = attention_of(model, TEST)
    assert attention["sum"].sum() == pytest.approx(1, abs=1e-5)


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 10_000), st.booleans())
def test_fast_concordances_are_those_of_the_definition(seed, ties):
    rng = np.random.default_rng(seed)
    time = np.round(rng.random((30, 2)), 1 if ties else 9)
    time[rng.random((30, 2)) < 0.1] = np.nan
    event = (rng.random((30, 2)) < 0.4).astype(float)
    risks = [np.round(rng.random((30, 2)), 1 if ties else 9) for _ in range(3)]
    rows = rng.integers(0, 30, 30)
    found = ManyConcordances(time, event, risks).by_event(rows)
    for number, risk in enumerate(risks):
        for place in range(2):
            target = np.stack([time[rows, place], event[rows, place]], axis=1)
            wanted = concordance(target, risk[rows, place]).value
            if wanted is None:
                assert np.isnan(found[number, place])
            else:
                assert found[number, place] == pytest.approx(wanted, abs=1e-5)


def test_hazards_are_read_from_features_and_what_nobody_had_is_the_same_for_all():
    rng = np.random.default_rng(0)
    features = rng.normal(size=(400, 4)) * [1, 5, 1, 1] + 3
    time = rng.exponential(np.exp(-1.5 * (features[:, :1] - 3)), size=(400, 1)).repeat(2, axis=1)
    event = np.stack([time[:, 0] < 3, np.zeros(400)], axis=1)
    time = np.minimum(time, 3)
    train, val, test = (
        EventRows(features[s], time[s], event[s]) for s in (slice(250), slice(250, 300), slice(300, 400))
    )
    risk = fit_cox_probe(train, val).predict(test.features)
    assert concordance(np.stack([test.time[:, 0], test.event[:, 0]], 1), risk[:, 0]).value > 0.75
    assert np.ptp(risk[:, 1]) == 0
    with pytest.raises(InputError, match="not finite"):
        EventRows(features * np.nan, time, event)


def test_times_are_needed_where_they_are_asked_for():
    torch.manual_seed(0)
    config = StudyConfig(("all",), ("covariates",), incident=True, with_covariates=False)
    with pytest.raises(InputError, match="no times to events"):
        run_study({"train": SPLITS.train, "val": SPLITS.val, "test": TEST}, {"one": [PanFM(MODEL).eval()]}, config)


def test_the_study_compares_arms_over_seeds_on_the_same_subjects():
    models = []
    for seed in range(2):
        torch.manual_seed(seed)
        models.append(PanFM(MODEL).eval())
    config = StudyConfig(("all", "missing"), ("single organ", "late fusion"), reference="one", with_covariates=False)
    result = run_study({"train": SPLITS.train, "val": SPLITS.val, "test": TEST}, {"one": models, "two": models}, config)
    rows = {(row.model, row.scenario): row for row in result.rows}
    one, two = rows["one, frozen", "1 missing"], rows["two, frozen", "1 missing"]
    assert one.auroc == two.auroc
    assert (two.gain.value, one.gain) == (0, None)
    assert len(one.by_seed) == 2
    assert one.auroc.low < one.auroc.value < one.auroc.high
    assert np.mean(one.by_seed) == pytest.approx(one.auroc.value, abs=1e-3)
    assert sum(result.informativeness.values()) == pytest.approx(1, abs=1e-3)
    assert result.informativeness["brain"] < 0.2
    with pytest.raises(InputError, match="no such arm"):
        run_study({}, {"one": models}, StudyConfig(fine_tune=("three",)))
    with pytest.raises(InputError, match="choose from all"):
        StudyConfig(scenarios=("some",))


def test_bodies_are_known_again_by_what_is_left_of_them():
    torch.manual_seed(0)
    models, plan = [PanFM(MODEL).eval()], StudyConfig().plan
    nothing = np.zeros_like(TEST.present)
    scenarios = make_scenarios(TEST.present, nothing, NAMES, ("all", "missing"))
    found = run_recognition(SPLITS.train, (TEST, scenarios), {"one": models}, plan)
    shares = {(row.model, row.scenario): row.share.value for row in found}
    assert {scenario for _, scenario in shares} == {"1 missing", "2 missing"}
    assert {row.model: row.width for row in found} == {
        "one": 2 * MODEL.width, "random weights": 2 * MODEL.width, SIDE_BY_SIDE: TEST.flat().shape[1],
    }  # fmt: skip
    for model in ("one", "random weights", SIDE_BY_SIDE):
        assert 0.1 < shares[model, "2 missing"] < shares[model, "1 missing"] <= 1  # one in 60 is chance


def test_bodies_that_are_alike_or_not_whole_are_not_known_again():
    """All vectors the same: a tie is a miss; nobody has all organs: nothing is asked."""
    plan, models = StudyConfig().plan, [PanFM(MODEL).eval()]
    alike = TEST.take(np.zeros(8, int))
    scenarios = make_scenarios(alike.present, np.zeros_like(alike.present), NAMES, ("missing",))
    found = run_recognition(SPLITS.train, (alike, scenarios), {"one": models}, plan)
    assert all(row.share.value == 0 for row in found)
    torn = TEST.keeping(np.tile([True, True, False], (len(TEST), 1)))
    assert run_recognition(SPLITS.train, (torn, scenarios), {"one": models}, plan) == []


def test_the_command_trains_and_compares(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("training.engine.monitors.pictures.Pictures.draw", lambda self, panels=True: None)
    cohort = tmp_path / "bodies"
    assert synthesize_cohort.main(["--out", str(cohort), "--count", "80"]) == 0
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(
        "model: {name: pan_fm, size: tiny, width: 12, depth: 1, heads: 1, mlp_width: 12}\n"
        "objective: {name: pan_fm, head: {prototypes: 8, hidden: 8, bottleneck: 4}}\n"
        f"data: {{name: organ_sets, manifest: {cohort}/manifest.csv, architecture: tiny,"
        " targets: [circulatory, digestive]}\n"
        "run: {steps: 2, batch_size: 4, workers: 0, precision: fp32, monitor_samples: 4}\n"
        "monitor: {terminal: none, tensorboard: false, count_flops: false, measure_peak: false, health_every: 2,"
        " probe_every: 0, log_every: 1}\n"
    )
    command = ["--config", str(recipe), "--out", str(tmp_path / "study"), "--arms", "random",
               "sharp=saliency,objective.mask.temperature=0.03", "--seeds", "1", "--scenarios", "all", "natural",
               "--baselines", "covariates", "--fine-tune", "random weights", "--fine-tune-steps", "2",
               "--incident", "--recognise"]  # fmt: skip
    assert study_missing_organs.main(command) == 0
    page = (tmp_path / "study" / "study.md").read_text()
    data = json.loads((tmp_path / "study" / "study.json").read_text())
    models = {row["model"] for row in data["rows"]}
    networks = {f"{arm}, frozen" for arm in ("random", "sharp", "random weights")}
    assert models == networks | {f"{name} + covariates" for name in networks} | {
        "covariates", "supervised, modality dropout", "supervised, no dropout",
    }  # fmt: skip
    assert "| sharp, frozen |" in page
    later = {(row["model"], row["scenario"]): row for row in data["incident"]}
    assert {name for name, _ in later} == networks | {f"{name} + covariates" for name in networks} | {
        "covariates", "mean imputation"}  # fmt: skip
    assert {scenario for _, scenario in later} == {"all organs", "natural pattern"}
    assert 0 <= later["covariates", "all organs"]["concordance"]["value"] <= 1
    assert set(later["sharp, frozen", "all organs"]["by_event"]) >= {"circulatory", "digestive"}
    assert "mean concordance" in page
    assert {row["model"] for row in data["recognised"]} == {"random", "sharp", "random weights", SIDE_BY_SIDE}
    assert "## Whether a body is known again" in page
    assert "never how well a disease is told in patients" in " ".join(page.split())
    log = (tmp_path / "study" / "sharp-1" / "log.csv").read_text().splitlines()
    for name in ("organ_share/adipose", "share_entropy/sum", "sensitivity/brain", "organ_hidden/liver"):
        assert name in log[0]
    capsys.readouterr()
    assert study_missing_organs.main([*command[:4], "--arms", "best"]) == 2
    assert "no mask is called 'best'" in capsys.readouterr().err
