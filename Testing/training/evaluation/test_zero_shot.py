"""Zero-shot figures: organs as cases, sections by their best score, intervals by patient, thresholds."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from training.data.statements import Statement, StudyStatements
from training.evaluation.zero_shot import zero_shot
from training.evaluation.zero_shot_figures import calibrate, figures_of

YES, NO = torch.eye(4)[:1], torch.eye(4)[1:2]
PROMPTS = {"renal_cyst": (YES, NO), "splenomegaly": (YES, NO)}


def cohort(studies, items):
    """A source of organs as `OrganPairs` gives it, as far as scoring asks."""
    units = ("kidney_left", "kidney_right", "spleen")
    return SimpleNamespace(
        units=units,
        structures={unit: frozenset({unit}) for unit in units},
        findings=("renal_cyst", "splenomegaly"),
        studies=[
            SimpleNamespace(subject=f"p{number}", statements=StudyStatements(f"p{number}", "1", lines, complete=True))
            for number, lines in enumerate(studies)
        ],
        items=[SimpleNamespace(study=study, unit=units.index(unit)) for study, unit in items],
    )


def vector(yes):
    """An embedding that leans towards the positive wording or the negative one."""
    return torch.nn.functional.normalize(torch.tensor([1.0 + yes, 1.0, 0.0, 0.0]), dim=0)


@pytest.fixture
def found():
    cyst = Statement("kidney_left", "present", "renal_cyst")
    big = Statement("spleen", "present", "splenomegaly")
    items = [(0, "kidney_left"), (0, "kidney_left"), (0, "kidney_right"), (1, "kidney_left"), (1, "spleen")]
    lean = [-0.5, 0.8, -0.4, -0.3, 0.9]
    return zero_shot(cohort([(cyst,), (big,)], items), torch.stack([vector(x) for x in lean]), PROMPTS, 10.0)


def test_every_organ_that_is_in_the_scan_is_a_case(found):
    cysts = found.cases["renal_cyst"]
    assert list(zip(cysts.studies.tolist(), cysts.organs, cysts.truth.tolist(), strict=True)) == [
        (0, "kidney_left", True), (0, "kidney_right", False), (1, "kidney_left", False),
    ]  # fmt: skip
    assert found.cases["splenomegaly"].organs == ("spleen",)
    assert found.subjects == ("p0", "p1")


def test_an_organ_has_the_score_of_its_best_section(found):
    scores = found.cases["renal_cyst"].scores
    assert scores[0] > 0.5 > scores[1:].max()


def test_what_a_scan_cannot_show_is_no_case():
    study = StudyStatements("p0", "1", (), complete=True, hidden=("renal_cyst",))
    source = cohort([()], [(0, "kidney_left"), (0, "spleen")])
    source.studies[0].statements = study
    found = zero_shot(source, torch.stack([vector(0.1)] * 2), PROMPTS, 10.0)
    assert not len(found.cases["renal_cyst"].truth)
    assert len(found.cases["splenomegaly"].truth) == 1


def many(separation, patients=40, seed=0):
    """A cohort of left kidneys, half with a cyst, whose scores lie apart by some deviations."""
    rng = np.random.default_rng(seed)
    cyst = Statement("kidney_left", "present", "renal_cyst")
    source = cohort([(cyst,) if p % 2 else () for p in range(patients)], [(p, "kidney_left") for p in range(patients)])
    lean = [0.1 * (rng.standard_normal() + separation * (p % 2)) for p in range(patients)]
    return zero_shot(source, torch.stack([vector(x) for x in lean]), {"renal_cyst": PROMPTS["renal_cyst"]}, 10.0)


def test_figures_tell_skill_from_none():
    good, none = (figures_of(many(separation), resamples=200) for separation in (1.5, 0.0))
    assert good["mean"]["auroc"] > 0.75
    assert good["mean"]["low"] > 0.6
    assert none["mean"]["low"] < 0.5 < none["mean"]["high"]
    entry = good["findings"]["renal_cyst"]
    assert (entry["positives"], entry["negatives"], entry["counted"]) == (20, 20, True)


def test_rare_findings_are_listed_but_not_part_of_the_mean():
    figures = figures_of(many(3.0), fewest=21, resamples=50)
    assert figures["mean"]["findings"] == 0
    assert figures["findings"]["renal_cyst"]["auroc"] > 0.9


def test_thresholds_leave_few_on_their_far_side():
    found = many(2.0, patients=400)
    cases, entry = found.cases["renal_cyst"], calibrate(found, 3, "400 kidneys")["renal_cyst"]
    assert np.mean(cases.scores[cases.truth] < entry["absent_below"]) == pytest.approx(0.1, abs=0.01)
    assert np.mean(cases.scores[~cases.truth] > entry["present_above"]) == pytest.approx(0.02, abs=0.01)
    apart = calibrate(many(20.0), 3, "40 kidneys")["renal_cyst"]
    assert apart["absent_below"] == apart["present_above"]


def test_what_is_rare_or_not_told_gets_no_thresholds():
    assert calibrate(many(2.0, patients=400), 201, "400 kidneys") == {}
    assert calibrate(many(0.2, patients=400), 3, "400 kidneys") == {}
