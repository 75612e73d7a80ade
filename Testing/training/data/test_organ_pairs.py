"""Organs with sentences: pure draws, exact truth, and sentences that mean what the sample says they mean."""

import pickle

import numpy as np
import pytest
import torch
from organ_cohort import TEXT_WIDTH, make_organ_cohort

from medfm_core.errors import InputError
from training.data.organ_pairs import OrganPairs, OrganPairsConfig
from training.data.statements import read_statements
from training.engine.draw import DrawKey


@pytest.fixture(scope="module")
def cohort(tmp_path_factory):
    return make_organ_cohort(tmp_path_factory.mktemp("organs"))


@pytest.fixture(scope="module")
def source(cohort):
    return OrganPairs(OrganPairsConfig(**cohort.data, sentences=cohort.sentences))


def test_samples_are_pure_functions_of_item_and_key(source):
    again = pickle.loads(pickle.dumps(source))
    for position in (0, 7):
        key = DrawKey(3, position)
        item = source.item_at(key)
        assert again.item_at(key) == item
        one, two = source.sample(item, key), again.sample(item, key)
        assert one.keys() == two.keys()
        assert all(torch.equal(one[name], two[name]) for name in one)
    other = source.sample(item, DrawKey(3, 8))
    assert not torch.equal(other["image"], one["image"])


def test_shapes(source):
    key = DrawKey(1, 0)
    sample = source.sample(source.item_at(key), key)
    count = len(source.findings)
    assert sample["image"].shape == (3, 4, 16, 16)  # two windows and the outline
    assert sample["size"].shape == (4,)
    assert sample["truth"].shape == sample["relevant"].shape == (count,)
    assert sample["text"].shape == (6, TEXT_WIDTH)
    assert float(sample["image"].min()) >= 0
    assert float(sample["image"].max()) <= 1


def test_findings_and_those_without_come_equally_often(source):
    here = 0
    for position in range(200):
        key = DrawKey(5, position)
        focus, item = source._draw(key)
        here += source.truth[item, focus] > 0
    assert 70 < here < 130


def test_truth_is_that_of_the_statements(source):
    steatosis = source.findings.index("hepatic_steatosis")
    liver = source.units.index("liver")
    for number, item in enumerate(source.items):
        if item.unit != liver:
            continue
        study = source.studies[item.study].statements
        said = any(line.finding == "hepatic_steatosis" and line.state == "present" for line in study.statements)
        assert source.truth[number, steatosis] == (1 if said else -1)
    assert source.relevant[liver, steatosis]
    assert not source.relevant[source.units.index("spleen"), steatosis]


def test_sentences_say_what_the_sample_says_of_them(source, cohort):
    meaning = {}
    for study in read_statements(cohort.folder / "statements.jsonl"):
        meaning |= {line.text: line for line in study.statements if line.text}
    vectors = {tuple(np.round(v.tolist(), 4)): t for t, v in zip(source._bank.texts, source._vectors, strict=True)}
    for position in range(40):
        key = DrawKey(2, position)
        sample = source.sample(source.item_at(key), key)
        for vector, finding, says in zip(sample["text"], sample["text_finding"], sample["text_says"], strict=True):
            line = meaning[vectors[tuple(np.round(vector.tolist(), 4))]]
            if finding < 0:
                assert (line.state, int(says)) == ("normal", -1)
            else:
                assert line.finding == source.findings[finding]
                assert line.state == {1: "present", -1: "absent"}[int(says)]


def test_without_sentences_every_organ_is_as_likely(cohort):
    source = OrganPairs(OrganPairsConfig(**cohort.data))
    seen = {source.item_at(DrawKey(0, position)) for position in range(600)}
    assert len(seen) == len(source)
    assert set(source.sample(0, DrawKey(0, 0))) == {"image", "size", "unit", "truth", "relevant"}


def test_the_whole_volume_shows_the_same_picture_for_every_organ(cohort):
    source = OrganPairs(OrganPairsConfig(**cohort.data, whole_volume=True, augment=None))
    first = [number for number, item in enumerate(source.items) if item.study == 0]
    pictures = [source.picture(item, DrawKey(0, 0))["image"] for item in first]
    assert all(torch.equal(picture, pictures[0]) for picture in pictures)
    organ = OrganPairs(OrganPairsConfig(**cohort.data, augment=None)).picture(0, DrawKey(0, 0))
    whole = source.picture(0, DrawKey(0, 0))
    assert {name: value.shape for name, value in whole.items()} == {name: value.shape for name, value in organ.items()}


def test_a_whole_volume_keeps_its_extremes_and_its_extent(cohort):
    source = OrganPairs(OrganPairsConfig(**cohort.data, whole_volume=True, augment=None))
    volume, picture = source.studies[0].volume, source.picture(0, DrawKey(0, 0))
    extent = [n * step / 100 for n, step in zip(volume.shape, volume.spacing, strict=True)]
    torch.testing.assert_close(picture["size"][:3].exp(), torch.tensor(extent, dtype=torch.float32))
    assert picture["image"].min() >= 0
    assert picture["image"][-1].min() == 1


def test_long_units_are_items_of_their_own(source):
    spine = [item.box.section for item in source.items if source.units[item.unit] == "vertebrae" and item.study == 0]
    assert spine == list(range(len(spine)))
    assert len(spine) > 1


def test_missing_statements_are_named(cohort, tmp_path):
    lines = (cohort.folder / "statements.jsonl").read_text().splitlines()
    (tmp_path / "few.jsonl").write_text("\n".join(lines[1:]) + "\n")
    with pytest.raises(InputError, match="says nothing of row"):
        OrganPairs(OrganPairsConfig(**{**cohort.data, "statements": (str(tmp_path / "few.jsonl"),)}))
