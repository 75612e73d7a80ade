"""The page and the tables: self-contained, escaped, the right way round, complete."""

from __future__ import annotations

import base64
import csv
import io
import json
import re
from dataclasses import replace
from html.parser import HTMLParser

import fake_organs
import numpy as np
import pytest
from PIL import Image

from medfm_core.analysis import Analysis, Options
from medfm_core.anatomy import load_vocabulary
from medfm_core.card_library import load_card
from medfm_core.geometry import Affine
from medfm_core.label_statistics import label_statistics
from medfm_core.measurements import State, measure
from medfm_core.plausibility import Caution
from medfm_core.report import labels_json, manifest, measurements_csv, render_html, to_json
from medfm_core.report.levels import choose_levels, landmarks_at
from medfm_core.report.outlines import UNITS_PER_MM, outlines
from medfm_core.report.page import number
from medfm_core.report.views import make_views

MACHINE = {"platform": "Linux", "cores": 2, "peak_memory_gb": 1.2, "versions": {"numpy": np.__version__}}
IDS = {organ.name: organ.id for organ in load_vocabulary().organs} | {
    organ.name: organ.id for organ in load_vocabulary().composites
}


def analysed(codes="LPS", **changes):
    image = fake_organs.make_ct(codes)
    card = load_card(fake_organs.CARD_ID)
    segmentation = fake_organs.segment(image, card)
    statistics = label_statistics(image, segmentation.labels)
    measurements = measure(image, segmentation, statistics)
    made = Analysis(
        Options(),
        "2026-01-02T03:04:05+00:00",
        card,
        image,
        "ab" * 32,
        (),
        segmentation,
        statistics,
        measurements,
        {"read": 1.0},
    )
    return replace(made, **changes)


@pytest.fixture
def analysis(fake_model):
    return analysed()


class Page(HTMLParser):
    """Collects what the tests ask about."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.text, self._open, self.unbalanced = [], [], [], []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in ("meta", "br", "image", "input", "link", "img"):
            self._open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        if not self._open or self._open.pop() != tag:
            self.unbalanced.append(tag)

    def handle_data(self, data):
        self.text.append(data)

    @property
    def plain(self):
        return re.sub(r"\s+", " ", "".join(self.text))


def corners(path):
    """The points of an outline's first line, tenths of a millimetre."""
    first = path.split("z")[0]
    x, y = map(int, re.match(r"M(-?\d+) (-?\d+)l", first).groups())
    steps = np.array(re.findall(r"-?\d+", first.split("l")[1]), int).reshape(-1, 2)
    return np.array([x, y]) + np.vstack([[0, 0], np.cumsum(steps, axis=0)])


def test_the_page_needs_nothing_else(analysis):
    text = render_html(analysis, MACHINE)
    page = Page(text)
    assert page.unbalanced == []
    assert not re.search(r"https?://|url\(|@import|<script|<link|<iframe", text)
    assert len(text) < 3_000_000
    for tag, attributes in page.tags:
        for name in ("src", "href"):
            assert attributes.get(name, "data:image/").startswith("data:image/"), tag
        if attributes.get("role") == "img":
            assert attributes["aria-label"]


def test_the_page_says_what_it_is_and_is_not(analysis):
    text = render_html(analysis, MACHINE)
    plain = Page(text).plain
    assert plain.index("Research use only.") < plain.index("Organ report")
    assert "Not a medical device" in plain
    assert "tests only" in plain
    assert "anything that is not made up" in plain
    assert fake_organs.CARD_ID in plain
    for m in analysis.measurements:
        if m.state is not State.NOT_COVERED and (m.is_seen or not m.parts):
            assert m.title in plain
    assert "not in the scan" in plain
    assert "0.91" in plain  # the model's Dice for the liver


def test_warnings_and_foreign_text_are_escaped(analysis):
    nasty = "A <b>bold</b> & \"quoted\" 'word'"
    text = render_html(replace(analysis, cautions=(Caution("x", nasty),)), MACHINE)
    assert nasty not in text
    assert nasty in Page(text).plain
    assert "1 warning" in Page(text).plain
    assert "Stand-in &lt;for tests&gt;" in text
    assert "warning" not in Page(render_html(analysis, MACHINE)).plain


@pytest.mark.parametrize("codes", ["LPS", "RAS", "SAR"])
def test_the_right_of_the_patient_is_on_the_left_of_the_picture(fake_model, codes):
    for view in make_views(analysed(codes)):
        centre = {o.label: corners(o.path).mean(axis=0) for o in view.outlines}
        liver, spleen, heart, spine = (centre.get(IDS[n]) for n in ("liver", "spleen", "heart", "vertebrae"))
        if view.plane != "sagittal":
            assert view.marks[:2] == ("R", "L")
            if liver is not None and spleen is not None:
                assert liver[0] < spleen[0]
        else:
            assert view.marks[:2] == ("A", "P")
            if heart is not None and spine is not None:
                assert heart[0] < spine[0]
        if view.plane == "axial" and heart is not None:
            assert heart[1] < spine[1]  # the front is at the top
        if view.plane != "axial" and heart is not None and liver is not None:
            assert heart[1] < liver[1]  # the head is at the top


def test_pictures_have_the_aspect_of_the_patient(fake_model):
    for view in make_views(analysed()):
        picture = Image.open(io.BytesIO(base64.b64decode(view.image.split(",")[1])))
        assert picture.mode == "L"
        assert picture.width / picture.height == pytest.approx(view.width / view.height, rel=0.02)
        assert view.alt.startswith(f"{view.plane.capitalize()} CT plane at ")


def test_views_do_not_depend_on_the_orientation_of_the_array(fake_model):
    plain, turned = make_views(analysed("LPS")), make_views(analysed("RSA"))
    assert [(v.plane, v.title, v.position, v.outlines) for v in plain] == [
        (v.plane, v.title, v.position, v.outlines) for v in turned
    ]
    assert [v.plane for v in plain] == ["axial"] * 6 + ["coronal"] * 2 + ["sagittal"] * 2


def test_outlines_lie_on_the_border_of_the_label(analysis):
    size = 400
    y, x = np.mgrid[:size, :size]
    plane = np.where(np.hypot(x - 150, y - 220) < 80, 5, 0).astype(np.uint8)
    plane[300:302, 300] = 7  # a speck is not drawn
    (outline,) = outlines(plane, (0.5, 0.8))
    points = corners(outline.path) / UNITS_PER_MM
    distance = np.hypot(points[:, 0] / 0.8 - 150.5, points[:, 1] / 0.5 - 220.5)
    assert np.abs(distance - 80).max() < 1.0
    assert len(points) < 200
    assert outline.path.endswith("z")


def test_thin_structures_are_not_smoothed_away():
    plane = np.zeros((40, 40), np.uint8)
    plane[5:35, 20] = 3
    (outline,) = outlines(plane, (1.0, 1.0))
    points = corners(outline.path) / UNITS_PER_MM
    assert np.ptp(points[:, 1]) > 25


def test_levels_show_every_organ():
    profiles = {"liver": np.zeros(100), "urinary_bladder": np.zeros(100), "heart": np.zeros(100)}
    profiles["liver"][40:60], profiles["urinary_bladder"][5:10], profiles["heart"][70:90] = 50, 5, 30
    chosen = choose_levels(profiles, 3.0, 6, 30.0)
    assert len(chosen) == 6
    assert np.diff(chosen).min() * 3.0 >= 5
    assert {name for index in chosen for name in landmarks_at(profiles, index)} == set(profiles)
    assert choose_levels({}, 3.0, 6, 30.0) == ()


def test_a_scan_without_organs_still_has_views(fake_model):
    made = analysed()
    empty = made.segmentation.labels.with_voxels(np.zeros_like(made.segmentation.labels.voxels))
    segmentation = replace(made.segmentation, labels=empty)
    statistics = label_statistics(made.image, empty)
    made = replace(
        made,
        segmentation=segmentation,
        statistics=statistics,
        measurements=measure(made.image, segmentation, statistics),
    )
    assert [view.plane for view in make_views(made)] == ["axial", "coronal", "sagittal"]
    assert "not found" in Page(render_html(made, MACHINE)).plain


@pytest.mark.parametrize(
    ("value", "digits", "text"),
    [
        (None, None, "\u2013"),
        (3694.2, None, "3\u202f694"),
        (74.66, None, "74.7"),
        (0.512, None, "0.51"),
        (-871.4, 0, "\u2212871"),
        (-0.2, 0, "0"),
    ],
)
def test_numbers_for_people(value, digits, text):
    assert number(value, digits) == text


def test_csv_has_one_line_per_structure(analysis):
    rows = list(csv.DictReader(io.StringIO(measurements_csv(analysis.measurements))))
    assert [row["name"] for row in rows] == [m.name for m in analysis.measurements]
    liver = next(row for row in rows if row["name"] == "liver")
    assert float(liver["volume_ml"]) == pytest.approx(int(liver["voxels"]) * 0.125)
    absent = next(row for row in rows if row["state"] == "absent")
    assert absent["volume_ml"] == absent["mean_hu"] == absent["voxels"] == ""
    assert absent["reason"]


def test_label_names_carry_codes_and_colours(analysis):
    data = json.loads(labels_json(analysis))
    kidney = next(entry for entry in data["labels"] if entry["name"] == "kidney_left")
    assert kidney["id"] == 3
    assert kidney["code"] == {"scheme": "SCT", "value": "64033007", "meaning": "Kidney"}
    assert kidney["laterality"]["meaning"] == "Left"
    assert len(kidney["colour"]) == 3


def test_the_manifest_is_json_without_nan(analysis):
    data = json.loads(to_json(manifest(analysis, {"report.html": "00"}, MACHINE)))
    assert data["input"]["affine_ras"] == analysis.image.affine.matrix.tolist()
    assert data["structures"]["gallbladder"]["state"] == "absent"
    assert "volume_ml" not in data["structures"]["gallbladder"]
    assert "brain" in data["not_covered"]
    with pytest.raises(ValueError, match="not JSON compliant"):
        to_json({"x": float("nan")})


def test_the_page_is_the_same_twice(analysis):
    assert render_html(analysis, MACHINE) == render_html(analysis, MACHINE)


def test_an_oblique_scan_can_be_drawn(analysis):
    turn = np.eye(4)
    turn[:2, :2] = [[0.9, -(0.19**0.5)], [0.19**0.5, 0.9]]
    affine = Affine(turn @ analysis.image.affine.matrix)
    labels = replace(analysis.segmentation.labels, affine=affine)
    turned = replace(
        analysis,
        image=replace(analysis.image, affine=affine),
        segmentation=replace(analysis.segmentation, labels=labels),
    )
    assert [v.outlines for v in make_views(turned)] == [v.outlines for v in make_views(analysis)]
