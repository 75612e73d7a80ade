import re

import numpy as np
import pytest

from medfm_core.anatomy import load_vocabulary
from medfm_core.errors import InputError
from training.synthetic.lesions import KINDS, Finding
from training.synthetic.sentences import STATES, call_normal, chapter, deny, describe_finding, write_report
from training.synthetic.wording import normal_wordings, parse, wordings

ALL_ORGANS = range(1, 118)
WORDS = {
    "location": "upper pole", "lobe": "right lobe", "severity": "moderate", "pattern": "linear", "density": "solid",
    "level": "L1", "type": "Stanford type B", "volume_ml": 1234.0, "loss_percent": 31.0, "ratio": 0.61,
}  # fmt: skip


def finding_of(name, **changes):
    kind = KINDS[name]
    organ = kind.organs[0]
    side = next((s for s in ("left", "right") if s in organ.split("_")), None)
    values = {"side": side, "size_mm": 18.2, "certainty": "present", "lesion_ids": (1,), "attributes": WORDS}
    return Finding(name, organ, **{**values, **changes})


def looks_right(text):
    assert re.match(r"[A-Z]", text), text
    assert text.endswith((".", "?")), text
    assert not re.search(r"[{}]|  | ,| \.|\.\.|None|\bnan\b", text), text
    for article, word in re.findall(r"\b([Aa]n?) (\S+)", text):
        vowel = word[0] in "aeiouAEIOU8" or re.match(r"1[18](?!\d)", word)
        exceptions = word.lower().startswith(("uni", "u-", "one", "haem", "hour"))
        assert exceptions or (article.lower() == "an") == bool(vowel), text


def test_every_kind_has_several_wordings():
    assert set(wordings()) == set(KINDS)
    for name, lines in wordings().items():
        assert len(lines["one"]) + len(lines.get("many", ())) >= 3, name
        for key, least in (("absent", 2), ("uncertain", 2), ("impression", 1)):
            assert len(lines[key]) >= least, name
        everything = [line for key, group in lines.items() for line in group if key != "impression"]
        assert len(set(everything)) == len(everything)


@pytest.mark.parametrize("name", sorted(KINDS))
def test_sentences_are_grammatical_and_say_their_truth(name):
    rng = np.random.default_rng(0)
    for changes in (
        {}, {"count": 3}, {"count": 14}, {"certainty": "uncertain"}, {"size_mm": 8.0}, {"size_mm": 80.0},
        {"size_mm": 11.4}, {"size_mm": 18.0, "count": 2}, {"size_mm": 2.6},
    ):  # fmt: skip
        for _ in range(4):
            finding = finding_of(name, **changes)
            sentence = describe_finding(rng, finding)
            looks_right(sentence.text)
            assert sentence.state == finding.certainty
            assert (sentence.finding, sentence.organ, sentence.side) == (name, finding.organ, finding.side)
            if sentence.size_mm is not None:
                assert sentence.size_mm == pytest.approx(finding.size_mm, abs=0.5001)
                shown = re.search(r"([\d.]+) (mm|cm)", sentence.text)
                factor = 10 if shown.group(2) == "cm" else 1
                assert float(shown.group(1)) * factor == pytest.approx(sentence.size_mm)
            if finding.side and "side" in sentence.text:
                assert finding.side in sentence.text.lower()
    for _ in range(6):
        sentence = deny(rng, name)
        looks_right(sentence.text)
        assert (sentence.state, sentence.finding) == ("absent", name)
        load_vocabulary().by_name(sentence.organ)


def test_a_wording_that_needs_more_than_the_finding_has_is_not_used():
    bare = finding_of("renal_cyst", attributes={})
    for seed in range(10):
        assert "pole" not in describe_finding(np.random.default_rng(seed), bare).text
    with pytest.raises(InputError, match="no wording of consolidation"):
        describe_finding(np.random.default_rng(0), finding_of("consolidation", attributes={}))


def test_one_side_can_be_denied():
    sentence = deny(np.random.default_rng(0), "hydronephrosis", "left")
    assert "left" in sentence.text
    assert (sentence.organ, sentence.side, sentence.state) == ("kidney_left", "left", "absent")
    assert deny(np.random.default_rng(0), "pleural_effusion", "right").organ == "lung_right"


def test_normal_organs_are_in_the_vocabulary():
    for organ, lines in normal_wordings().items():
        assert load_vocabulary().by_name(organ)
        assert len(lines) >= 3
        assert call_normal(np.random.default_rng(0), organ).state == "normal"
        for line in lines:
            looks_right(line)


def test_reports_are_complete_and_never_contradict_the_truth():
    rng = np.random.default_rng(1)
    names = sorted(KINDS)
    for seed in range(60):
        chosen = [finding_of(str(n)) for n in rng.choice(names, 4, replace=False)]
        report = write_report(seed, chosen, ALL_ORGANS, phase="arterial", region="torso")
        found = {f.name for f in chosen}
        told = [s for s in report if s.section == "findings"]
        assert [s.finding for s in told if s.state == "present"].count(chosen[0].name) == 1
        assert found == {s.finding for s in told if s.state == "present"}
        for sentence in report:
            looks_right(sentence.text)
            assert sentence.state in STATES
            if sentence.state == "absent":
                assert sentence.finding not in found or sentence.side is not None
            if sentence.state == "normal" and sentence.section == "findings":
                assert sentence.organ not in {chapter(f.organ) for f in chosen}
        assert (report[0].section, report[0].state) == ("technique", "background")
        assert found == {s.finding for s in report if s.section == "impression"}
    states = {s.state for seed in range(20) for s in write_report(seed, [], ALL_ORGANS, phase="ctpa", region="chest")}
    assert states == {"background", "absent", "normal"}


def test_reports_repeat_and_speak_of_scanned_organs_only():
    first = write_report(4, [], ALL_ORGANS, phase="delayed", region="torso")
    assert first == write_report(4, [], ALL_ORGANS, phase="delayed", region="torso")
    assert first != write_report(5, [], ALL_ORGANS, phase="delayed", region="torso")
    chest = [s for seed in range(10) for s in write_report(seed, [], (10, 11, 51), phase="ctpa", region="chest")]
    organs = {s.organ for s in chest if s.organ}
    assert organs <= {"lungs", "lung_left", "lung_right", "heart"}


def test_a_wording_without_a_mark_is_refused():
    with pytest.raises(InputError, match="has no mark"):
        parse("renal_cyst\nThere is a cyst.")
