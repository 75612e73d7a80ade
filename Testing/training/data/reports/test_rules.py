"""What the rules read, case by case: sentence, then what must be said of it."""

import pytest

from training.data.reports import parse_report
from training.data.reports.cues import compile_cue, plain

NEGATION = [
    ("No pneumothorax, effusion or consolidation.", {("pneumothorax", "absent"), ("pleural_effusion", "absent"), ("consolidation", "absent")}),  # noqa: E501
    ("There is no pleural effusion, but a 5 mm nodule in the left lower lobe.", {("pleural_effusion", "absent"), ("lung_nodule", "present")}),  # noqa: E501
    ("The heart is not enlarged.", {("cardiomegaly", "absent")}),
    ("Heart size is normal.", {("cardiomegaly", "absent")}),
    ("Neither kidney contains a cyst.", {("renal_cyst", "absent")}),
    ("Gallstones are not seen.", {("gallstones", "absent")}),
    ("No change of the left pleural effusion.", {("pleural_effusion", "present")}),
    ("There is emphysema without consolidation.", {("emphysema", "present"), ("consolidation", "absent")}),
    ("No pneumothorax, and there is a small left pleural effusion.", {("pneumothorax", "absent"), ("pleural_effusion", "present")}),  # noqa: E501
    ("No pericardial or pleural effusion.", {("pericardial_effusion", "absent"), ("pleural_effusion", "absent")}),
    ("The pleural effusion has resolved.", {("pleural_effusion", "absent")}),
    ("No left kidney is present.", {("absent_kidney", "present")}),
    ("The liver and spleen are enlarged.", {("hepatomegaly", "present"), ("splenomegaly", "present")}),
    ("Interval removal of the endotracheal tube.", {("endotracheal_tube", "absent")}),
    ("The oesophagus is unremarkable.", set()),
    ("No subcutaneous emphysema.", {("subcutaneous_emphysema", "absent")}),
]  # fmt: skip
UNCERTAINTY = [
    ("Possible 5 mm nodule in the right lower lobe.", {("lung_nodule", "uncertain")}),
    ("A small pneumothorax cannot be excluded.", {("pneumothorax", "uncertain")}),
    ("Gallstones are possible.", {("gallstones", "uncertain")}),
    ("No pneumothorax; a trace of pericardial fluid is possible.", {("pneumothorax", "absent"), ("pericardial_effusion", "uncertain")}),  # noqa: E501
    ("The left adrenal gland is thickened; a small nodule is possible.", {("adrenal_nodule", "uncertain")}),
    ("The opacity may be due to atelectasis.", {("atelectasis", "uncertain")}),
    ("The opacity could be pneumonia.", {("pneumonia", "uncertain")}),
    ("The opacity may represent pneumonia.", {("pneumonia", "uncertain")}),
    ("Evaluation for pneumothorax is limited.", {("pneumothorax", "uncertain")}),
]  # fmt: skip
PLACES = [
    ("Cyst in the left kidney.", [("kidney_left", "left")]),
    ("A 3 mm calculus of the right kidney.", [("kidney_right", "right")]),
    ("Bilateral pleural effusions.", [("lung_left", "left"), ("lung_right", "right")]),
    ("No pleural effusion on either side.", [("lungs", None)]),
    ("Consolidation in the right middle lobe.", [("lung_middle_lobe_right", "right")]),
    ("Pulmonary nodule in the left upper lobe.", [("lung_upper_lobe_left", "left")]),
    ("Compression fracture of T12.", [("vertebrae_T12", None)]),
    ("Hepatic cyst in the right lobe.", [("liver", None)]),
    ("Left adrenal nodule and right renal cyst.", [("adrenal_gland_left", "left"), ("kidney_right", "right")]),
    ("Ascites.", [("bowel", None)]),
]
SIZES = [
    ("2.5 cm renal cyst.", 25.0),
    ("Renal cyst of 12 x 9 mm.", 12.0),
    ("Renal cyst, 3 \u00d7 4,5 cm.", 45.0),
    ("Renal cyst of 12 mm, previously 9 mm.", 12.0),
    ("Renal cyst.", None),
    ("Renal cyst, 2 cm above the bladder.", None),
]


@pytest.mark.parametrize(("text", "wanted"), NEGATION + UNCERTAINTY)
def test_findings_and_their_states(text, wanted):
    found = parse_report(text).findings
    named = {(f.finding, f.state) for f in found if f.finding}
    assert wanted <= named
    states = dict(wanted)
    assert all(states.get(name, state) == state for name, state in named)


@pytest.mark.parametrize(("text", "wanted"), PLACES)
def test_organ_and_side(text, wanted):
    assert [(f.organ, f.side) for f in parse_report(text).findings if f.finding] == wanted


@pytest.mark.parametrize(("text", "wanted"), SIZES)
def test_sizes(text, wanted):
    assert [f.size_mm for f in parse_report(text).findings if f.finding == "renal_cyst"] == [wanted]


def test_normal_organs_are_told_one_by_one():
    found = parse_report("The spleen, pancreas and adrenal glands are unremarkable.").findings
    assert {(f.state, f.organ) for f in found} == {("normal", o) for o in ("spleen", "pancreas", "adrenal_glands")}


def test_an_exception_takes_the_normal_back():
    found = parse_report("The kidneys are unremarkable except for a 5 mm cyst on the right.").findings
    assert [(f.state, f.organ, f.finding) for f in found] == [("present", "kidney_right", "renal_cyst")]


@pytest.mark.parametrize(
    "more", ["It measures 12 mm.", "This is unchanged.", "Follow-up is advised.", "The cyst was not there in 2019."]
)
def test_a_continuation_joins_its_head(more):
    parsed = parse_report(f"FINDINGS: There is a cyst of the left kidney. {more} The spleen is normal.")
    assert [s.context for s in parsed.sentences] == ["positive", "continuation", "negative"]
    head, added, spleen = parsed.findings
    assert head.text.endswith(more)
    assert head.size_mm == (12.0 if "12 mm" in more else None)
    assert (added.state, added.organ, added.side) == ("background", "kidney_left", "left")
    assert spleen.text == "The spleen is normal."


def test_a_continuation_with_a_finding_of_its_own_keeps_the_head_in_its_text():
    found = parse_report("There is an opacity in the left lower lobe. This may represent pneumonia.").findings
    assert (found[-1].finding, found[-1].state) == ("pneumonia", "uncertain")
    assert found[-1].text.startswith("There is an opacity")


def test_history_is_background_whatever_it_says():
    parsed = parse_report("HISTORY: Known renal cyst.\nFINDINGS: Normal liver.")
    assert [s.context for s in parsed.sentences] == ["background", "negative"]


@pytest.mark.parametrize(
    ("text", "phases", "bound"),
    [
        ("TECHNIQUE: CT in the portal venous phase.\nFINDINGS: Renal cyst.", ("portal_venous",), "portal_venous"),
        ("TECHNIQUE: CT in the arterial and portal venous phases.\nFINDINGS: Renal cyst.", ("arterial", "portal_venous"), None),  # noqa: E501
        ("TECHNIQUE: Arterial and portal venous phase.\nFINDINGS: Arterial phase images show a renal cyst.", ("arterial", "portal_venous"), "arterial"),  # noqa: E501
        ("TECHNIQUE: Unenhanced CT.\nFINDINGS: Renal cyst.", ("non_contrast",), "non_contrast"),
        ("FINDINGS: Renal cyst.", (), None),
    ],
)  # fmt: skip
def test_phases(text, phases, bound):
    parsed = parse_report(text)
    assert parsed.phases == phases
    assert parsed.findings[-1].phase == bound


@pytest.mark.parametrize(
    ("phrase", "text", "count"),
    [
        ("calcif*", "Calcified and calcification", 2),
        ("edema", "oedema, edema", 2),
        ("thick ... wall", "thick gallbladder wall; thick, wall", 1),
        ("kidney & stone", "a stone of the left kidney", 1),
        ("opacity", "opacities", 1),
        ("ground glass", "ground-glass", 1),
        ("hemangioma", "haemangiomas", 1),
    ],
)
def test_cue_phrases(phrase, text, count):
    assert len(compile_cue(phrase, {"edema": "o?edema", "hem": "ha?em"}).find(plain(text))) == count
