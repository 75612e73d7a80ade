"""What the page says of findings: every state, every reason, nothing hidden, nothing made up."""

from __future__ import annotations

import csv
import io
import re
from dataclasses import dataclass, replace
from html.parser import HTMLParser
from pathlib import Path
from types import SimpleNamespace

import fake_organs
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from medfm_core import report
from medfm_core.analysis import Analysis, Options
from medfm_core.card_library import load_card
from medfm_core.label_statistics import label_statistics
from medfm_core.measurements import measure
from medfm_core.organ_finding import ABSENT, LOW, NOT_ASSESSABLE, PRESENT, UNCERTAIN, OrganFinding
from medfm_core.report import findings_csv, render_html
from medfm_core.report.findings_section import findings_section
from medfm_core.report.saliency_figures import MOST_FIGURES, saliency_figure
from medfm_core.report.score_bar import EDGE, WIDTH, score_bar
from medfm_core.saliency_result import SaliencyResult
from medfm_core.volume import Kind, crop

MACHINE = {"platform": "Linux", "cores": 2, "peak_memory_gb": 1.2, "versions": {"numpy": np.__version__}}
NASTY = "A <b>bold</b> & \"quoted\" 'word'"


@dataclass(frozen=True)
class Found(Analysis):
    """An analysis that looked for findings."""

    findings: tuple[OrganFinding, ...] = ()
    findings_card: object = None
    saliency: tuple[SaliencyResult, ...] = ()


@dataclass(frozen=True)
class Known:
    absent_below: float = 0.3
    present_above: float = 0.7
    auroc: float = 0.91
    positives: int = 40
    negatives: int = 160
    on: str = "made-up cases"


def scored(name, organ, state, score, **more):
    label = name.replace("_", " ").capitalize()
    known = {"spread": (score - 0.05, score + 0.04), "absent_below": 0.3, "threshold": 0.7}
    return OrganFinding(name, label, organ, state, score=score, **{**known, **more})


FINDINGS = (
    scored("nodule", "lung_lower_lobe_left", PRESENT, 0.93, size_mm=14.4),
    scored("steatosis", "liver", UNCERTAIN, 0.5, reason="The liver is cut."),
    scored("mass", "liver", ABSENT, 0.1),
    scored("cyst", "kidney_left", ABSENT, 0.2),
    OrganFinding("stones", "Stones", "gallbladder", NOT_ASSESSABLE, reason="The gallbladder was not found."),
    OrganFinding("bleeding", "Bleeding", "brain", NOT_ASSESSABLE, reason="The brain was not outlined."),
)
CARD = SimpleNamespace(
    id="findings-made-up.v1",
    findings={"nodule": Known(), "steatosis": Known(auroc=0.61), "mass": Known(on="other cases")},
    weights=(SimpleNamespace(role="weights", bytes=7_400_000), SimpleNamespace(role="text", bytes=10**9)),
    architecture=SimpleNamespace(options={"organ_size": True}),
    limits=("It has seen no patient", "Voxels of 3 mm hide small things"),
)


@pytest.fixture
def plain(fake_model):
    image, card = fake_organs.make_ct(), load_card(fake_organs.CARD_ID)
    segmentation = fake_organs.segment(image, card)
    statistics = label_statistics(image, segmentation.labels)
    return Found(
        Options(),
        "2026-01-02T03:04:05+00:00",
        card,
        image,
        "ab" * 32,
        (),
        segmentation,
        statistics,
        measure(image, segmentation, statistics),
        {"read": 1.0},
    )


@pytest.fixture
def analysis(plain):
    return replace(plain, findings=FINDINGS, findings_card=CARD)


class Page(HTMLParser):
    """The text of a page by element, its tags, and what is not closed."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.words, self._open, self.unbalanced = [], [], [], []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in ("meta", "br", "input", "img", "link"):
            self._open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        if not self._open or self._open.pop() != tag:
            self.unbalanced.append(tag)

    def handle_data(self, data):
        if "style" not in self._open:
            self.words.append((self._open[-1:], data, "details" in self._open))

    @property
    def plain(self):
        return " ".join("".join(data for _, data, _ in self.words).split())

    @property
    def unfolded(self):
        return " ".join("".join(data for _, data, is_folded in self.words if not is_folded).split())


def heat_of(analysis, organ, factor=1.0):
    """A map with a focus in the organ, on a grid of its own around it."""
    m = next(m for m in analysis.measurements if m.name == organ)
    part = crop(analysis.image, *m.box)
    index = np.stack(np.meshgrid(*[np.arange(n) for n in part.shape], indexing="ij"), axis=-1)
    distance = ((index - np.array(part.shape) // 2) ** 2).sum(axis=-1)
    return part.with_voxels((factor * np.exp(-distance / 8)).astype(np.float32), Kind.IMAGE)


def test_without_findings_the_page_is_as_before(plain):
    bare = Analysis(**{name: getattr(plain, name) for name in Analysis.__dataclass_fields__ if name != "findings"})
    text = render_html(bare, MACHINE)
    assert text == render_html(plain, MACHINE)
    assert "found-" not in text
    assert findings_section(bare) is None


def test_every_state_and_reason_is_in_the_page(analysis):
    text = render_html(analysis, MACHINE)
    page = Page(text)
    assert page.unbalanced == []
    assert "1 present" in page.plain
    assert "2 absent" in page.plain
    assert "2 not assessable" in page.plain
    for finding in FINDINGS:
        assert finding.label in page.plain
        assert finding.reason in page.plain
    for words in ("Nodule 14 mm", "Steatosis", "0.93", "0.88\u20130.97", "0.30 / 0.70", "The liver is cut."):
        assert words in page.unfolded
    assert page.plain.index("Findings") < page.plain.index("Views")


def test_the_page_says_what_scores_are_and_where_they_were_measured(analysis):
    text = render_html(analysis, MACHINE)
    shown = Page(text).unfolded
    assert "Scores are not probabilities of disease." in shown
    assert "neural network of 7.4 MB" in shown
    assert "findings-made-up.v1 : 4 of 6 findings" in shown.replace("v1:", "v1 :")
    assert "in 3 organs" in shown
    assert "made-up cases; other cases" in shown
    assert "does not rule the finding out" in shown
    assert 'title="AUROC 0.91 on made-up cases, 40 organs with and 160 without the finding."' in text
    assert "weak 0.61" in shown
    assert "Not covered by the organ model: Brain." in shown
    assert "Not found by the organ model: Gallbladder." in shown
    assert "It has seen no patient." in shown
    assert "Voxels of 3 mm" in Page(text).plain
    assert "Voxels of 3 mm" not in shown


def test_without_a_card_nothing_is_said_of_its_quality(analysis):
    shown = Page(render_html(replace(analysis, findings_card=None), MACHINE)).plain
    assert "How well the model tells these findings was not measured." in shown
    assert "not measured" in shown
    assert " MB" not in shown


def test_tables_are_tables_and_pictures_have_words(analysis):
    made = replace(
        analysis, saliency=(SaliencyResult("nodule", "lung_lower_lobe_left", heat_of(analysis, "heart"), "x"),)
    )
    text = render_html(made, MACHINE)
    page = Page(text)
    names = [tag for tag, _ in page.tags]
    sections = re.findall(r'<section class="findings".*?</section>', text, re.S)
    tables = [table for section in sections for table in re.findall(r"<table.*?</table>", section, re.S)]
    assert len(tables) == 4
    assert all("<caption>" in table and 'scope="col"' in table and 'scope="row"' in table for table in tables)
    assert names.count("img") == 3
    for tag, attributes in page.tags:
        if tag == "img":
            assert attributes["alt"]
        if attributes.get("role") == "img":
            assert attributes["aria-label"]
        for name in ("src", "href"):
            assert attributes.get(name, "#").startswith(("data:image/", "#"))
    assert not re.search(r"https?://|url\(|@import|<script|<link|<iframe", text)
    ids = [attributes["id"] for _, attributes in page.tags if "id" in attributes]
    assert len(ids) == len(set(ids))
    links = [a["href"][1:] for tag, a in page.tags if tag == "a"]
    assert links
    assert set(links) <= set(ids)


def test_foreign_text_is_escaped(analysis):
    odd = replace(FINDINGS[1], label=NASTY, reason=NASTY, organ='x"><script>')
    card = SimpleNamespace(
        **{**vars(CARD), "id": NASTY, "findings": {"steatosis": Known(on=NASTY)}, "limits": (NASTY,)}
    )
    map_ = SaliencyResult(odd.name, odd.organ, heat_of(analysis, "liver"), NASTY)
    odd_seen = replace(odd, state=PRESENT)
    text = render_html(replace(analysis, findings=(odd_seen,), findings_card=card, saliency=(map_,)), MACHINE)
    assert NASTY not in text
    assert "<script" not in text
    assert Page(text).plain.count(NASTY) >= 5
    assert Page(text).unbalanced == []


def test_all_findings_of_a_catalogue_fit(analysis):
    organs = [m.name for m in analysis.measurements if m.is_seen]
    states = (PRESENT, UNCERTAIN, ABSENT, NOT_ASSESSABLE)
    many = tuple(
        OrganFinding(f"f{n}", f"Finding {n}.", organs[n % len(organs)], NOT_ASSESSABLE, reason=f"Reason {n % 3}.")
        if n % 4 == 3
        else scored(f"f{n}", organs[n % len(organs)], states[n % 4], 0.5)
        for n in range(160)
    )
    text = render_html(replace(analysis, findings=many), MACHINE)
    section = findings_section(replace(analysis, findings=many))
    assert all(count == 40 for _, _, count in section.counts)
    assert sum(len(system.rows) for system in section.notable) == 80
    assert sum(len(system.rows) for system in section.absent) == 40
    assert sum(group.count for group in section.not_assessable) == 40
    shown = Page(text).plain
    assert all(finding.label in shown for finding in many)
    assert len(text) < len(render_html(replace(analysis, findings=()), MACHINE)) + 400_000


def test_only_what_cannot_be_assessed(analysis):
    made = replace(analysis, findings=FINDINGS[4:])
    shown = Page(render_html(made, MACHINE)).unfolded
    assert "0 of 2 findings were assessed, in 0 organs" in shown
    assert "No finding is present, and none lies between its thresholds." in shown
    assert "Nothing could be assessed: Abdominal organs (1 not assessable)" in shown
    assert "Nothing present or between" not in shown


def test_low_scores_of_organs_that_are_cut_are_folded_away(analysis):
    low = replace(scored("nodule", "liver", UNCERTAIN, 0.1), reason=f"{LOW} Part of the organ is outside the scan.")
    between = replace(scored("mass", "liver", UNCERTAIN, 0.5), reason="Part of the organ is outside the scan.")
    made = replace(analysis, findings=(low, between))
    section, page = findings_section(made), Page(render_html(made, MACHINE))
    assert [row.finding for system in section.notable for row in system.rows] == [between]
    assert [row.finding for system in section.low for row in system.rows] == [low]
    assert "a part: 1, not called absent" in page.plain
    assert LOW not in page.plain


def test_folded_lists_are_printed():
    style = (Path(report.__file__).parent / "findings.css").read_text()
    printed = style[style.index("@media print") :]
    assert "details-content { content-visibility: visible; block-size: auto; }" in printed
    assert "max-height: none" in printed


def test_the_text_says_how_it_was_made(analysis):
    text = render_html(analysis, MACHINE)
    block = re.search(r"<pre[^>]*>(.*?)</pre>", text, re.S)
    assert "Composed from the scores of findings-made-up.v1" in block[1]
    assert "no language model and no person wrote it" in Page(text).unfolded
    assert 'tabindex="0"' in block[0]


def test_maps_of_present_findings_are_drawn_and_counted(analysis):
    names = [f"f{n}" for n in range(MOST_FIGURES + 2)]
    found = tuple(scored(name, "liver", PRESENT, 0.75 + n / 100) for n, name in enumerate(names))
    heat = heat_of(analysis, "liver")
    maps = tuple(SaliencyResult(name, "liver", heat, "occlusion") for name in (*names, "not_found"))
    section = findings_section(replace(analysis, findings=found, saliency=maps))
    assert [row.finding.name for row, _ in section.figures] == names[::-1][:MOST_FIGURES]
    assert section.left_out == 2
    assert [len(figure.pictures) for _, figure in section.figures] == [3] * MOST_FIGURES
    assert {row.anchor for system in section.notable for row in system.rows} > {""}
    shown = Page(render_html(replace(analysis, findings=found, saliency=maps), MACHINE)).plain
    assert "2 more maps are not drawn here" in shown
    assert "does not show that the finding is really there" in shown
    assert "what they add to a score is on no map" in shown


def test_a_map_looks_the_same_on_its_own_grid_and_on_that_of_the_scan(analysis):
    part = heat_of(analysis, "liver")
    m = next(m for m in analysis.measurements if m.name == "liver")
    whole = np.zeros(analysis.image.shape, np.float32)
    whole[tuple(slice(a, b) for a, b in zip(*m.box, strict=True))] = part.voxels
    figures = [
        saliency_figure(SaliencyResult("x", "liver", heat, "m"), analysis.image, None, [5], "abdominal organs")
        for heat in (part, analysis.image.with_voxels(whole))
    ]
    places = [[view.position for view in figure.pictures] for figure in figures]
    assert places[0] == places[1]
    assert "soft-tissue window" in figures[0].window


def test_a_map_without_values_is_said_to_be_empty(analysis):
    heat = heat_of(analysis, "liver", factor=0.0)
    found = (scored("mass", "liver", PRESENT, 0.9),)
    made = replace(analysis, findings=found, saliency=(SaliencyResult("mass", "liver", heat, "occlusion"),))
    assert "nothing in the picture raised this score" in Page(render_html(made, MACHINE)).plain


@given(*[st.floats(0, 1)] * 5)
@settings(max_examples=50, deadline=None)
def test_bars_keep_to_the_scale(score, low, high, first, second):
    finding = OrganFinding(
        "x",
        "X",
        "liver",
        UNCERTAIN,
        score=score,
        spread=(min(low, high), max(low, high)),
        absent_below=min(first, second),
        threshold=max(first, second),
    )
    bar = score_bar(finding)
    ends = [end for _, *ends in bar.zones for end in ends]
    assert ends == sorted(ends)
    assert (ends[0], ends[-1]) == (EDGE, WIDTH - EDGE)
    assert EDGE <= bar.spread[0] <= bar.spread[1] <= WIDTH - EDGE
    assert f"{score:.2f} of 1" in bar.words
    assert score_bar(replace(finding, absent_below=None, threshold=None)).zones[0][0] == "plain"
    assert score_bar(OrganFinding("x", "X", "liver", NOT_ASSESSABLE)) is None


def test_csv_has_every_field_of_every_finding():
    odd = replace(FINDINGS[0], reason='Says "a, b"\nand more', side="left")
    rows = list(csv.DictReader(io.StringIO(findings_csv((*FINDINGS, odd)))))
    assert [row["name"] for row in rows] == [f.name for f in (*FINDINGS, odd)]
    first, unscored, last = rows[0], rows[4], rows[-1]
    assert float(first["score"]) == 0.93
    assert (float(first["spread_low"]), float(first["spread_high"])) == pytest.approx((0.88, 0.97))
    assert (float(first["absent_below"]), float(first["present_from"]), float(first["size_mm"])) == (0.3, 0.7, 14.4)
    assert unscored["score"] == unscored["spread_low"] == unscored["present_from"] == unscored["size_mm"] == ""
    assert unscored["reason"] == "The gallbladder was not found."
    assert (last["reason"], last["side"]) == (odd.reason, "left")
    assert findings_csv(()).count("\n") == 1
