"""Composed text: says what it is, what was found and what was not looked at, in a fixed order."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from medfm_core.anatomy import load_vocabulary
from medfm_core.errors import InputError
from medfm_core.measurements import OrganMeasurement, State
from medfm_core.organ_finding import STATES, OrganFinding
from medfm_core.report.text import compose_report


def measured(name: str, state: State, volume_ml: float | None = None, reason: str = "") -> OrganMeasurement:
    organ = load_vocabulary().by_name(name)
    return OrganMeasurement(name, organ.title, organ.id, organ.system, organ.group, state, reason, volume_ml=volume_ml)


FINDINGS = [
    OrganFinding(
        "nodule", "Pulmonary nodule", "lung_lower_lobe_left", "present", score=0.871, threshold=0.55, size_mm=14.4
    ),
    OrganFinding("consolidation", "Consolidation", "lung_lower_lobe_left", "uncertain", score=0.52, threshold=0.55),
    OrganFinding("copd", "COPD", "lung_lower_lobe_left", "absent", score=0.1, threshold=0.5),
    OrganFinding("stone", "Kidney stone", "kidney", "absent", score=0.1, threshold=0.5, side="right"),
    OrganFinding("steatosis", "Hepatic steatosis", "liver", "present", score=0.9),
    OrganFinding("mass", "Liver mass", "liver", "absent", score=0.2, threshold=0.5),
    OrganFinding("gallstones", "Gallstones", "gallbladder", "not_assessable", reason="The gallbladder was not found"),
    OrganFinding("fracture", "Fracture", "lumbar_spine", "absent", score=0.2, threshold=0.5),
    OrganFinding("odd", "Odd thing", "some_unit", "absent", score=0.2, threshold=0.5, side="left"),
]
_CUT = "Cut by the bottom of the scan: volume and extent are those of the visible part."
MEASURED = [
    measured("lung_lower_lobe_left", State.PRESENT, 1480.4),
    measured("liver", State.CUT, 900.0, _CUT),
    measured("kidney_right", State.PRESENT, 150),
    measured("gallbladder", State.ABSENT, None, "Not found although its usual region is in the scan."),
]
TEXT = """\
Composed from the scores of totalfm-tiny.v2 in fixed sentences, not written by a language model; research use only, \
not a diagnosis.

Lungs and airways
Lower lobe of the left lung (1,480 mL): Pulmonary nodule (14 mm, score 0.87, threshold 0.55). Uncertain: consolidation \
(score 0.52, threshold 0.55). Not seen: COPD.

Abdominal organs
Gallbladder: Not assessable: gallstones. The gallbladder was not found. Not found although its usual region is in \
the scan.
Liver (900 mL visible): Hepatic steatosis (score 0.90). Not seen: liver mass. Cut by the bottom of the scan: volume \
and extent are those of the visible part.

Kidneys, urinary tract and prostate
Right kidney (150 mL): Not seen: kidney stone.

Spine
Lumbar spine: Not seen: fracture.

Other structures
Some unit, left: Not seen: odd thing.

Only the findings named here were looked for; nothing is said of other findings or other structures.
"""


def test_the_whole_text():
    assert compose_report(FINDINGS, MEASURED, "totalfm-tiny.v2") == TEXT


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 10**6))
def test_the_order_given_does_not_matter(seed):
    findings = random.Random(seed).sample(FINDINGS, len(FINDINGS))
    assert compose_report(findings, reversed(MEASURED), "totalfm-tiny.v2") == TEXT


@settings(max_examples=40, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.sampled_from(["liver", "kidney_left", "lung", "vertebrae", "unit_x"]),
            st.sampled_from(["a", "b", "c"]),
            st.sampled_from(STATES),
        ),
        unique_by=lambda entry: entry[:2],
    )
)
def test_every_finding_stands_once_under_its_state(entries):
    findings = [OrganFinding(n, f"{n.upper()}@{organ}", organ, state) for organ, n, state in entries]
    text = compose_report(findings, [], "m")
    marks = {"present": "", "uncertain": "Uncertain: ", "absent": "Not seen: ", "not_assessable": "Not assessable: "}
    for finding in findings:
        assert text.count(finding.label) == 1
        (line,) = [line for line in text.splitlines() if finding.label in line]
        sentence = next(part for part in line.split(": ", 1)[1].split(". ") if finding.label in part)
        assert sentence.startswith(marks[finding.state] or finding.label)
    assert "mL" not in text
    assert "mm" not in text
    assert "normal" not in text


def test_an_organ_outside_the_scan_has_no_volume_but_a_reason():
    text = compose_report(
        [OrganFinding("stone", "Bladder stone", "urinary_bladder", "not_assessable")],
        [measured("urinary_bladder", State.OUTSIDE, None, "Its usual place is below the scanned region.")],
        "m",
    )
    assert "Urinary bladder: Not assessable: bladder stone. Its usual place is below the scanned region." in text


def test_without_findings_it_says_so():
    assert compose_report([], MEASURED, "m").splitlines()[1:] == ["", "No finding was looked for in this scan."]


def test_contradictions_are_refused():
    with pytest.raises(InputError, match="twice"):
        compose_report([FINDINGS[0], replace(FINDINGS[0], state="absent")], [], "m")
