"""The catalogue of findings: what it must hold, that its sentences keep apart, and what is refused."""

from __future__ import annotations

import copy
import json
import pickle
import re
import runpy
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import setuptools
from hypothesis import given, settings
from hypothesis import strategies as st

from medfm_core.anatomy import FindingKind, load_findings, load_vocabulary
from medfm_core.anatomy.findings import structures_of
from medfm_core.errors import InputError
from medfm_core.settings import read_settings
from medfm_core.strict import from_dict, to_dict
from training.synthetic.lesions import KINDS
from training.synthetic.wording import normal_wordings, wordings

ROOT = Path(__file__).parents[3]
MERLIN = {
    "submucosal_edema", "renal_hypodensities", "aortic_valve_calcification", "pancreatic_atrophy", "renal_cyst",
    "atelectasis", "abdominal_aortic_aneurysm", "hiatal_hernia", "biliary_ductal_dilation", "cardiomegaly",
    "splenomegaly", "hepatomegaly", "atherosclerosis", "pleural_effusion", "appendicitis", "hydronephrosis",
    "bowel_obstruction", "fracture", "surgically_absent_gallbladder", "coronary_calcification", "thrombosis",
    "metastatic_disease", "osteopenia", "anasarca", "lymphadenopathy", "prostatomegaly", "ascites", "free_air",
    "hepatic_steatosis", "gallstones",
}  # fmt: skip
CT_RATE = {
    "Medical material", "Arterial wall calcification", "Cardiomegaly", "Pericardial effusion",
    "Coronary artery wall calcification", "Hiatal hernia", "Lymphadenopathy", "Emphysema", "Atelectasis",
    "Lung nodule", "Lung opacity", "Pulmonary fibrotic sequela", "Pleural effusion", "Mosaic attenuation pattern",
    "Peribronchial thickening", "Consolidation", "Bronchiectasis", "Interlobular septal thickening",
}  # fmt: skip
CATALOGUE = load_findings()
CALLS_NORMAL = re.compile(
    r"\b(normal|normally|clear|free|intact|patent|native|straight|in place|smooth|fully expanded)\b", re.IGNORECASE
)
# "left" and "right" that belong to a structure's name, not to a side of the body
NAMED = re.compile(r"left atri(um|al)|(left|right) ventric(le|ular)|right heart")
ENTRY = {
    "name": "fatty_liver",
    "label": "Fatty liver",
    "organs": ["liver"],
    "scope": "whole",
    "positive": ["One.", "Two.", "Three."],
    "negative": ["Four.", "Five.", "Six."],
}


def folder_with(tmp_path, *entries, **top):
    """A Resources folder whose catalogue holds these entries in one file."""
    folder = tmp_path / "vocabulary" / "findings"
    folder.mkdir(parents=True)
    shutil.copy(read_settings().resources / "vocabulary" / "organs.json", folder.parent)
    data = {"version": 1, "about": "For tests.", "findings": list(entries), **top}
    (folder / "made_up.json").write_text(json.dumps(data))
    return tmp_path


def other(**changes):
    """A second entry with sentences of its own."""
    words = {"positive": ["Seven.", "Eight.", "Nine."], "negative": ["Ten.", "Eleven.", "Twelve."]}
    return {**ENTRY, "name": "iron_liver", **words, **changes}


def test_there_are_enough_findings_over_enough_organs():
    assert len(CATALOGUE) >= 90
    assert len({organ for finding in CATALOGUE for organ in finding.organs}) >= 20
    systems = {
        load_vocabulary().by_name(structure).system
        for finding in CATALOGUE
        for organ in finding.organs
        for structure in structures_of(organ, load_vocabulary())
    }
    assert systems == set(load_vocabulary().systems)


def test_the_benchmarks_are_complete():
    assert len(MERLIN) == 30
    assert set(CATALOGUE.benchmark("merlin")) == MERLIN
    assert len(CT_RATE) == 18
    assert set(CATALOGUE.benchmark("ct_rate")) == CT_RATE
    assert CATALOGUE.benchmark("merlin")["bowel_obstruction"].name == "small_bowel_obstruction"


def test_every_kind_of_a_virtual_patient_is_there_with_its_organs_and_phases():
    for kind in KINDS.values():
        finding = CATALOGUE.by_name(kind.name)
        looked_in = {part for organ in finding.organs for part in structures_of(organ, CATALOGUE.vocabulary)}
        for organ in dict.fromkeys(kind.organs):
            assert looked_in.issuperset(structures_of(organ, CATALOGUE.vocabulary)), kind.name
            assert finding in CATALOGUE.of_organ(organ)
        assert set(finding.phases) == set(kind.phases), kind.name


@pytest.mark.parametrize("polarity", ["positive", "negative"])
def test_wordings_are_several_sentences_without_sizes_and_sides(polarity):
    for finding in CATALOGUE:
        sentences = getattr(finding, polarity)
        assert 4 <= len(sentences) <= 8, finding.name
        for sentence in sentences:
            assert not re.search(r"\d|[{}]|\b(left|right|bilateral)\b", NAMED.sub("", sentence)), sentence
            assert len(sentence.split()) <= 16, sentence


def test_the_last_negative_wording_calls_the_organ_normal():
    assert [f.negative[-1] for f in CATALOGUE if not CALLS_NORMAL.search(f.negative[-1])] == []


def test_no_sentence_belongs_to_two_findings():
    """A shared sentence would make two findings of one organ indistinguishable."""
    seen = {}
    for finding in CATALOGUE:
        for sentence in (*finding.positive, *finding.negative):
            assert seen.setdefault(sentence.lower(), finding.name) == finding.name, sentence


def test_no_sentence_is_one_of_the_training_reports():
    lines = [line for kind in wordings().values() for group in kind.values() for line in group]
    lines += [line for group in normal_wordings().values() for line in group]
    known = re.compile("|".join(re.sub(r"\\{\w+\\}", r"\\S+", re.escape(line)) for line in lines), re.IGNORECASE)
    sentences = [sentence for finding in CATALOGUE for sentence in (*finding.positive, *finding.negative)]
    assert [sentence for sentence in sentences if known.fullmatch(sentence)] == []


def test_codes_have_the_form_of_their_scheme():
    forms = {"SNOMED-CT": r"\d{6,18}", "RadLex": r"RID\d{1,6}"}
    for finding in CATALOGUE:
        assert all(re.fullmatch(forms[scheme], value) for scheme, value in finding.codes.items()), finding.name
        assert verhoeff_is_right(finding.codes.get("SNOMED-CT", "0")), finding.name


def verhoeff_is_right(number):
    """The last digit of a SNOMED CT identifier checks the others (Verhoeff's dihedral scheme)."""

    def times(a, b):  # the group of a pentagon's five rotations and five reflections
        turned = (a + b) % 5 if a < 5 else (a - b) % 5
        return turned if (a < 5) == (b < 5) else turned + 5

    order = (1, 5, 7, 6, 2, 8, 3, 0, 9, 4)
    check = 0
    for place, digit in enumerate(map(int, reversed(number))):
        for _ in range(place % 8):
            digit = order[digit]
        check = times(check, digit)
    return check == 0


def test_the_check_digit_finds_slips():
    assert verhoeff_is_right("60046008")
    assert not verhoeff_is_right("60046009")
    assert not verhoeff_is_right("60064008")


def test_limits_are_told():
    assert "contrast" in CATALOGUE.by_name("pulmonary_embolism").notes
    assert CATALOGUE.by_name("pulmonary_embolism").phases == ("ctpa", "arterial")


def test_lookup():
    assert "gallstones" in CATALOGUE
    assert "gallstone" not in CATALOGUE
    with pytest.raises(InputError, match=r"no finding named 'gallstone' \(nearest: gallstones"):
        CATALOGUE.by_name("gallstone")
    with pytest.raises(InputError, match=r"no benchmark named 'merlyn' .*nearest: merlin"):
        CATALOGUE.benchmark("merlyn")
    with pytest.raises(InputError, match=r"no organ named 'livr' .*nearest: liver"):
        CATALOGUE.of_organ("livr")
    with pytest.raises(InputError, match="no organ named"):
        CATALOGUE.of_organ("adipose tissue of nowhere")


def test_findings_of_an_organ_its_parts_and_its_group():
    names = {
        organ: {f.name for f in CATALOGUE.of_organ(organ)}
        for organ in ("lung_lower_lobe_left", "lung", "lungs", "liver")
    }
    assert {"lung_nodule", "pleural_effusion"} <= names["lung_lower_lobe_left"]
    assert names["lung_lower_lobe_left"] == names["lung"] == names["lungs"]
    assert "hepatic_steatosis" in names["liver"]
    assert "hepatic_steatosis" not in names["lung"]
    assert "scoliosis" in {f.name for f in CATALOGUE.of_organ("vertebrae_L3")}


@settings(max_examples=30)
@given(st.sampled_from(sorted(load_vocabulary().names().values())))
def test_a_composite_has_the_findings_of_its_parts(name):
    parts = [set(CATALOGUE.of_organ(part)) for part in load_vocabulary().expand(name)]
    assert set(CATALOGUE.of_organ(name)) == set.union(*parts)


def test_loading_is_cached_and_findings_travel():
    assert load_findings() is load_findings()
    finding = CATALOGUE.by_name("pleural_effusion")
    assert from_dict(FindingKind, to_dict(finding), "it") == finding
    assert pickle.loads(pickle.dumps(finding)) == finding
    assert len(set(CATALOGUE)) == len(CATALOGUE)


def test_a_made_up_catalogue_loads(tmp_path):
    catalogue = load_findings(folder_with(tmp_path, ENTRY, other()))
    assert [finding.name for finding in catalogue] == ["fatty_liver", "iron_liver"]
    assert catalogue.by_name("fatty_liver").phases == ()


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"organ": ["liver"]}, "'findings[0].organ' is not known (nearest: organs)"),
        ({"organs": ["livr"]}, "no organ named 'livr' (nearest: liver"),
        ({"organs": ["adipose"]}, "no organ named 'adipose'"),
        ({"organs": []}, "has no organs"),
        ({"organs": ["liver", "liver"]}, "has the organ 'liver' twice"),
        ({"label": " "}, "has no label"),
        ({"name": "Fatty liver"}, "small letters and underscores"),
        ({"scope": "half"}, "scope must be one of part, whole"),
        ({"phases": ["early"]}, "phases[0] must be one of non_contrast"),
        ({"positive": ["One.", "Two."]}, "has 2 positive wordings; give at least 3"),
        ({"negative": []}, "has 0 negative wordings"),
        ({"negative": ["Four.", "Five.", "four."]}, "no whole sentence: 'four.'"),
        ({"negative": ["Four.", "Five.", "FOUR."]}, "has the wording 'four.' twice"),
        ({"negative": ["Four.", "Five.", "One."]}, "has the wording 'one.' twice"),
        ({"negative": ["Four.", "Five.", "No fat"]}, "no whole sentence: 'No fat'"),
        ({"codes": {"SNOMED-CT": 5}}, "codes.SNOMED-CT must be a text"),
        ({"positive": "Fat."}, "positive must be a list"),
    ],
)
def test_a_bad_entry_is_refused_in_one_sentence(tmp_path, changes, says):
    with pytest.raises(InputError) as refused:
        load_findings(folder_with(tmp_path, {**ENTRY, **changes}))
    assert says in str(refused.value)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("second", "says"),
    [
        (other(name="fatty_liver"), "the finding fatty_liver is there twice"),
        (other(negative=["ONE.", "Eleven.", "Twelve."]), "'ONE.' denies iron_liver and asserts fatty_liver"),
        (other(positive=["Six.", "Eight.", "Nine."]), "'Six.' denies fatty_liver and asserts iron_liver"),
        (other(benchmarks={"merlin": "fat"}), "iron_liver and fatty_liver both claim 'fat' of merlin"),
    ],
)
def test_contradictions_between_entries_are_refused(tmp_path, second, says):
    first = {**ENTRY, "benchmarks": {"merlin": "fat"}}
    with pytest.raises(InputError) as refused:
        load_findings(folder_with(tmp_path, first, second))
    assert says in str(refused.value)


def test_a_missing_entry_and_a_wrong_file_are_refused(tmp_path):
    entry = copy.deepcopy(ENTRY)
    del entry["scope"]
    with pytest.raises(InputError, match=r"made_up\.json: findings\[0\] lacks the entry 'scope'"):
        load_findings(folder_with(tmp_path / "a", entry))
    with pytest.raises(InputError, match="version must be one of 1"):
        load_findings(folder_with(tmp_path / "b", ENTRY, version=2))
    broken = folder_with(tmp_path / "c", ENTRY)
    (broken / "vocabulary" / "findings" / "made_up.json").write_text("{")
    with pytest.raises(InputError, match="cannot read the findings"):
        load_findings(broken)
    with pytest.raises(InputError, match="there are no findings in"):
        load_findings(tmp_path)


def test_the_wheel_carries_the_folder(monkeypatch):
    given_to_setup = {}
    monkeypatch.setattr(setuptools, "setup", given_to_setup.update)
    monkeypatch.chdir(ROOT)
    runpy.run_path(str(ROOT / "setup.py"))
    package = "medfm_core.Resources.vocabulary.findings"
    assert package in given_to_setup["packages"]
    assert given_to_setup["package_data"][package] == ["*.*"]


def test_loading_is_lazy_and_light():
    code = (
        "import sys, medfm_core.anatomy as a, medfm_core.anatomy.findings as f\n"
        "assert f._load.cache_info().misses == 0\n"
        "a.load_findings(); print(*sys.modules)"
    )
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert not {"torch", "numpy", "rich", "SimpleITK"} & set(loaded)
