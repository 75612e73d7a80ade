"""Sentences and sections: what must not be split, and headings of many styles."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from training.data.reports import parse_report
from training.data.reports.lexicon import load_lexicon
from training.data.reports.sections import split_sections
from training.data.reports.sentences import split_sentences

WHOLE = [
    "There is a 2.5 cm cyst in the left kidney.",
    "Small density, e.g. a stone, in the gallbladder.",
    "Nodule No. 3 in the right lower lobe is unchanged.",
    "Narrowing of the disc at L4/5.",
    "Findings were told to Dr. Weber by phone.",
    "Lesion of 3.1 x 2.0 cm, approx. 4 mL, at L5/S1.",
    "The scan was read at 4:45 p.m. by two readers.",
]


@pytest.mark.parametrize("text", WHOLE)
def test_one_sentence_stays_whole(text):
    spans = split_sentences(text, 0, len(text), load_lexicon())
    assert [text[a:b] for a, b in spans] == [text]


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("No effusion. No mass.", 2),
        ("- Liver normal\n- Spleen normal\n- 5 mm renal cyst", 3),
        ("1. Pneumonia.\n2. Effusion.", 2),
        ("The liver is normal.\nThe spleen is normal.", 2),
        ("Liver: normal\nSpleen: normal", 2),
        ("There is a large heterogeneous mass in the upper pole of the left\nkidney that invades the renal vein.", 1),
        ("Nodule of 5 mm.  ___ is unchanged.", 2),
        ("There is a stone? No.", 2),
    ],
)
def test_number_of_sentences(text, count):
    assert len(split_sentences(text, 0, len(text), load_lexicon())) == count


@pytest.mark.parametrize(
    "text",
    [
        "TECHNIQUE: CT.\nCLINICAL INFORMATION: Cough.\nCOMPARISON: None.\nFINDINGS: Normal liver.\nIMPRESSION: Normal.",
        "Technique\nCT.\n\nHistory\nCough.\n\nComparison\nNone.\n\nFindings\nNormal liver.\n\nConclusion\nNormal.",
        "**Technique:** CT.\n**Indication:** Cough.\n**Comparison:** None.\n**Findings:** Liver.\n**Impression:** Normal.",  # noqa: E501
        "## Procedure\nCT.\n## History\nCough.\n## Comparison\nNone.\n## Findings\nLiver.\n## Impression\nNormal.",
        "1. Technique:\nCT.\n2. History:\nCough.\n3. Comparison:\nNone.\n4. Findings:\nLiver.\n5. Summary:\nNormal.",
        "TECHNIQUE: CT. HISTORY: Cough. COMPARISON: None. FINDINGS: Liver. IMPRESSION: Normal.",
    ],
)
def test_headings_of_many_styles(text):
    names = [section.name for section in split_sections(text, load_lexicon())]
    assert names == ["technique", "history", "comparison", "findings", "impression"]


def test_without_headings_all_is_findings():
    assert [s.name for s in split_sections("The liver is normal.", load_lexicon())] == ["findings"]


def test_history_without_later_headings_ends_at_an_empty_line():
    found = parse_report("INDICATION: cough, rule out pneumonia.\n\nThere is a right pleural effusion.").findings
    assert [(f.state, f.finding) for f in found] == [("background", None), ("present", "pleural_effusion")]


def test_a_first_reading_below_does_not_stretch_the_history():
    text = "HISTORY: Check tubes.\n\nNo pneumothorax.\n\nWET READ: Small left pleural effusion."
    found = [(f.section, f.state, f.finding) for f in parse_report(text).findings if f.finding]
    assert found == [("findings", "absent", "pneumothorax"), ("addendum", "present", "pleural_effusion")]


def test_organ_headings_give_the_organ():
    found = parse_report("FINDINGS:\nLiver: Unremarkable.\nLeft kidney: 12 mm cyst.").findings
    assert (found[0].state, found[0].organ) == ("normal", "liver")
    assert (found[1].finding, found[1].size_mm) == ("renal_cyst", 12.0)


@settings(max_examples=40, deadline=None)
@given(st.text(alphabet=st.sampled_from("abN o.\n:-*1,;FINDGS \u00e9\u2013\u0130"), max_size=200))
def test_spans_lie_in_any_text_in_order(text):
    parsed = parse_report(text)
    ends = 0
    for sentence in parsed.sentences:
        assert ends <= sentence.span[0] < sentence.span[1] <= len(text)
        assert sentence.text == " ".join(text[slice(*sentence.span)].split())
        ends = sentence.span[1]
    assert {finding.span for finding in parsed.findings} == {sentence.span for sentence in parsed.sentences}
