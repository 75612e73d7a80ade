"""From scores to states: calibration, missing and cut organs, parts, and findings that the outlines answer."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from medfm_core.anatomy import load_findings, load_vocabulary
from medfm_core.card_inputs import OrganCrop
from medfm_core.card_parts import Calibration
from medfm_core.embedding import Encoder, OrganEmbedding, StudyEmbedding
from medfm_core.finding_places import place_of, places_of
from medfm_core.findings import NOT_CALIBRATED, StudyFacts, assess_findings, state_of
from medfm_core.geometry import Affine
from medfm_core.measurements import OrganMeasurement, State
from medfm_core.organ_absence import NAMES, shares_in_scan
from medfm_core.organ_units import OrganUnit, organ_units
from medfm_core.volume import Kind, Volume

MIDDLE = Calibration(0.4, 0.6, "made up")
CATALOGUE = load_findings()
YES, NO = np.eye(2, dtype=np.float32)


def towards(score, scale=10.0):
    """A vector that scores `score` with one wording on each axis."""
    difference = np.log(score / (1 - score)) / scale
    angle = np.arcsin(difference / np.sqrt(2)) + np.pi / 4
    return np.array([np.sin(angle), np.cos(angle)], np.float32)


MODEL = SimpleNamespace(scale=10.0, wordings=lambda finding: (YES[None], NO[None]))


def unit(name, state=State.PRESENT, reason="", structures=None):
    return OrganUnit(name, structures or load_vocabulary().expand(name), state, reason)


def assess(names, units, scores=(), calibrations=None):
    """Findings of some units, those scored with `{unit: score}` or `{(unit, section): score}`."""
    organs = []
    for place, score in dict(scores).items():
        name, section = place if isinstance(place, tuple) else (place, 0)
        organs.append(OrganEmbedding(name, section, "present", towards(score)))
    facts = StudyFacts(tuple(units), StudyEmbedding(Encoder("c", "0" * 64, 2), tuple(organs)))
    kinds = [CATALOGUE.by_name(name) for name in names]
    return assess_findings(kinds, facts, MODEL, dict.fromkeys(names, MIDDLE) if calibrations is None else calibrations)


@pytest.mark.parametrize(("score", "state"), [(0.9, "present"), (0.5, "uncertain"), (0.1, "absent")])
def test_the_calibration_decides(score, state):
    (found,) = assess(["hepatic_steatosis"], [unit("liver")], {"liver": score})
    assert (found.state, found.organ, found.reason) == (state, "liver", "")
    assert found.score == pytest.approx(score, abs=1e-5)
    assert (found.absent_below, found.threshold) == (0.4, 0.6)


@settings(max_examples=30, deadline=None)
@given(st.floats(0, 1), st.floats(0, 1), st.floats(0, 1), st.floats(0, 1))
def test_states_rise_with_the_score(low, high, one, other):
    calibration = Calibration(min(low, high), max(low, high), "x")
    order = ("absent", "uncertain", "present")
    ranks = [order.index(state_of(score, calibration)) for score in sorted((one, other))]
    assert ranks == sorted(ranks)
    assert state_of(calibration.present_above, calibration) == "present"


@pytest.mark.parametrize(
    ("state", "reason", "says"),
    [
        (State.OUTSIDE, "Its usual place is above the scanned region.", "The organ is not in the scan. Its usual"),
        (State.ABSENT, "Not found although ...", "The organ was not found in the scan. Not found"),
        (State.NOT_COVERED, "The model does not know it.", "The organ model does not outline this organ. The model"),
    ],
)
def test_what_is_not_there_is_not_scored(state, reason, says):
    (found,) = assess(["hepatic_steatosis"], [unit("liver", state, reason)])
    assert (found.state, found.score, found.spread) == ("not_assessable", None, None)
    assert found.reason.startswith(says)


def test_without_a_unit_or_a_calibration():
    (found,) = assess(["hepatic_steatosis"], [unit("spleen")])
    assert (found.state, found.reason) == ("not_assessable", "The findings model does not look at: Liver.")
    (found,) = assess(["hepatic_steatosis"], [unit("liver")], {"liver": 0.9}, {})
    assert (found.state, found.reason, found.threshold) == ("not_assessable", NOT_CALIBRATED, None)


@pytest.mark.parametrize(("score", "state"), [(0.9, "present"), (0.5, "uncertain"), (0.1, "uncertain")])
def test_a_cut_organ_may_be_called_present_but_not_absent(score, state):
    (found,) = assess(
        ["hepatic_steatosis"], [unit("liver", State.CUT, "Part of it is outside the scan.")], {"liver": score}
    )
    assert found.state == state
    assert "Part of the organ is outside the scan." in found.reason
    assert ("not called absent" in found.reason) == (score == 0.1)


def test_parts_are_scored_by_themselves_or_together():
    sides = [unit("kidney_right"), unit("kidney_left")]
    scores = {"kidney_right": 0.9, "kidney_left": 0.1}
    right, left = assess(["renal_cyst"], sides, scores)
    assert [(f.organ, f.side, f.state) for f in (right, left)] == [
        ("kidney_right", "right", "present"),
        ("kidney_left", "left", "absent"),
    ]
    (whole,) = assess(["polycystic_kidney_disease"], sides, scores)
    assert (whole.organ, whole.side, whole.state) == ("kidneys", None, "present")
    assert whole.score == right.score


def test_sections_are_combined_by_the_highest():
    (found,) = assess(["scoliosis"], [unit("vertebrae")], {("vertebrae", 0): 0.2, ("vertebrae", 1): 0.7})
    assert found.score == pytest.approx(0.7, abs=1e-5)


def test_a_whole_with_a_part_outside_is_not_called_absent():
    parts = [unit("kidney_right"), unit("kidney_left", State.OUTSIDE)]
    (found,) = assess(["polycystic_kidney_disease"], parts, {"kidney_right": 0.1})
    assert found.state == "uncertain"
    assert "Part of the organ is outside the scan. Without: Left kidney." in found.reason
    parts = [unit("kidney_right"), unit("kidney_left", State.ABSENT)]
    (found,) = assess(["polycystic_kidney_disease"], parts, {"kidney_right": 0.1})
    assert (found.state, found.reason) == ("absent", "Without: Left kidney.")
    (found,) = assess(["polycystic_kidney_disease"], parts[:1], {"kidney_right": 0.1})
    assert (found.state, "Without: Left kidney." in found.reason) == ("uncertain", True)


def test_the_contrast_phase_is_not_known():
    kind = next(kind for kind in CATALOGUE if kind.phases and kind.scope == "whole" and "lungs" in kind.organs)
    lobes = [unit(name) for name in load_vocabulary().expand("lungs")]
    (found,) = assess([kind.name], lobes, {lobe.name: 0.1 for lobe in lobes})
    assert found.state == "absent"
    assert "contrast phases" in found.reason


def test_places_of_units_that_do_not_match_the_catalogue():
    spine = unit("vertebrae")
    (place,) = places_of(CATALOGUE.by_name("kyphosis"), [spine])
    assert (place.organ, place.units, place.within) == ("vertebrae_thoracic", (spine,), True)
    (place,) = places_of(CATALOGUE.by_name("spondylolisthesis"), [spine])  # by part: the unit's own name
    assert place.organ == "vertebrae"
    own = unit("both_kidneys", structures=("kidney_right", "kidney_left"))
    assert [place.organ for place in places_of(CATALOGUE.by_name("renal_cyst"), [own])] == ["both_kidneys"]
    assert place_of("both_kidneys", [own]).units == (own,)
    nested = [own, unit("kidney_left"), unit("kidney_right")]
    assert [place.organ for place in places_of(CATALOGUE.by_name("renal_cyst"), nested)] == [
        "kidney_left",
        "kidney_right",
    ]
    part = places_of(CATALOGUE.by_name("lung_nodule"), [unit("lung_lower_lobe_left")])
    assert [(place.organ, len(place.units)) for place in part] == [("lung_lower_lobe_left", 1), ("lungs", 0)]


def test_a_composite_outlined_as_one_answers_for_its_parts():
    """The units of every structure, with a segmenter that tells only the whole spine."""
    spine = measurement("vertebrae", State.PRESENT)
    bones = [measurement(name, State.NOT_COVERED) for name in load_vocabulary().expand("vertebrae")]
    units = organ_units(OrganCrop(), [spine, *bones])
    assert [unit.name for unit in units if unit.is_seen] == ["vertebrae"]
    assert [place.organ for place in places_of(CATALOGUE.by_name("vertebral_hemangioma"), units)] == ["vertebrae"]


def measurement(name, state, box=None, runs_on=False, parts=()):
    organ = load_vocabulary().by_name(name)
    return OrganMeasurement(
        name, organ.title, organ.id, organ.system, organ.group, state=state, volume_ml=10.0, box=box,
        runs_on=runs_on, parts=parts,
    )  # fmt: skip


def test_units_take_the_states_of_their_structures():
    crop = OrganCrop(units={"kidneys": ("kidney_right", "kidney_left"), "chest": ("lungs",), "liver": ("liver",)})
    lungs = load_vocabulary().expand("lungs")
    states = [
        measurement("kidney_right", State.PRESENT),
        measurement("kidney_left", State.NOT_COVERED),
        measurement("liver", State.CUT, runs_on=True),
        *(measurement(name, State.ABSENT if n else State.OUTSIDE) for n, name in enumerate(lungs)),
        measurement("lungs", State.ABSENT, parts=lungs),
    ]
    kidneys, chest, liver = organ_units(crop, states)
    assert (kidneys.state, kidneys.reason) == (State.CUT, "Without: Left kidney.")
    assert chest.state is State.OUTSIDE
    assert (liver.state, "runs on beyond it" in liver.reason) == (State.PRESENT, True)


LABELS = Volume(np.zeros((2, 2, 60), np.uint8), Affine(np.diag([-5.0, -5.0, 5.0, 1.0])), Kind.LABEL)


def around(name, low_mm, high_mm, state=State.PRESENT):
    return measurement(name, state, box=((0, 0, round(low_mm / 5)), (2, 2, round(high_mm / 5))))


@pytest.mark.parametrize(
    ("others", "state"),
    [
        ([("liver", 50, 220), ("spleen", 85, 185)], "present"),  # the gallbladder's place is in the middle of the scan
        ([("heart", 10, 125), ("trachea", 95, 235)], "not_assessable"),  # a scan of the chest
        ([], "not_assessable"),
    ],
)
def test_a_missing_organ_is_told_only_where_its_place_is_in_the_scan(others, state):
    there = [around(*other) for other in others]
    gone = measurement("gallbladder", State.ABSENT if state == "present" or not others else State.OUTSIDE)
    facts = StudyFacts((), StudyEmbedding(Encoder("c", "0" * 64, 2), ()), (*there, gone), LABELS)
    (found,) = assess_findings([CATALOGUE.by_name("absent_gallbladder")], facts, MODEL, {})
    assert (found.state, found.score) == (state, None)
    if state == "present":
        assert "from the organ outlines" in found.reason
        assert shares_in_scan(facts.measurements, LABELS)["gallbladder"] == 1


def test_an_organ_that_was_found_is_not_missing():
    facts = StudyFacts(
        (), StudyEmbedding(Encoder("c", "0" * 64, 2), ()), (around("kidney_left", 50, 150, State.CUT),), LABELS
    )
    right, left = assess_findings([CATALOGUE.by_name("absent_kidney")], facts, MODEL, {})
    assert (right.organ, right.state) == ("kidney_right", "not_assessable")
    assert (left.organ, left.side, left.state) == ("kidney_left", "left", "absent")
    assert all(name in CATALOGUE for name in NAMES)


def test_the_order_is_the_catalogues():
    units = [unit(name) for name in ("spleen", "liver", "kidney_left")]
    found = assess([kind.name for kind in CATALOGUE], units, {u.name: 0.5 for u in units})
    order = [kind.name for kind in CATALOGUE]
    assert [order.index(f.name) for f in found] == sorted(order.index(f.name) for f in found)
    assert len({(f.name, f.organ) for f in found}) == len(found)
    assert all(f.reason for f in found if f.state == "not_assessable")


@pytest.mark.parametrize(
    ("height_mm", "face", "state"), [(5, "top", "outside"), (80, "top", "cut"), (5, "front", "cut")]
)
def test_a_sliver_at_an_end_of_the_scan_counts_as_outside(height_mm, face, state):
    crop = OrganCrop(units={"liver": ("liver",)})
    whole = measurement("liver", State.CUT)
    cut = replace(whole, extent_mm=(90.0, 90.0, float(height_mm)), faces=(f"{face} of the scan",))
    (liver,) = organ_units(crop, [cut])
    assert liver.state == State(state)
    if state == "outside":
        (found,) = assess(["hepatic_steatosis"], [liver])
        assert (found.state, found.score) == ("not_assessable", None)
        assert "shows only 5 mm of it" in found.reason


def test_a_reason_that_parts_share_is_said_once():
    lobes = [unit(name, State.CUT, "Part of it is outside the scan.") for name in load_vocabulary().expand("lung_left")]
    found = assess(["pleural_effusion"], lobes, {lobes[0].name: 0.1, lobes[1].name: 0.1})[0]
    assert found.is_low
    assert found.reason.count("outside the scan") == 1
