"""Phrases become sentences, and meet the finding of the catalogue that means the same."""

from __future__ import annotations

from types import SimpleNamespace

import fake_findings
import numpy as np
import pytest
import torch

from medfm_core.anatomy import load_findings
from medfm_core.embedding import OrganEmbedding
from medfm_core.errors import InputError, ResourceError, WeightsError
from medfm_core.free_text import FreeText, closest_finding, load_free_text, score_text, wrap_phrase
from medfm_core.models.text_projection import TextProjection

LIVER = load_findings().of_organ("liver")


@pytest.fixture
def text():
    torch.manual_seed(0)
    projection = TextProjection(fake_findings.TEXT_WIDTH, fake_findings.WIDTH)
    return FreeText(SimpleNamespace(projection=projection, scale=10.0), fake_findings.FakeTower())


def test_phrases_become_sentences():
    positive, negative = wrap_phrase("  Steatosis ", "liver")
    assert positive == ("Steatosis.", "There is steatosis.", "Steatosis of the liver.")
    assert negative == ("No steatosis.", "There is no steatosis.", "No steatosis of the liver.")
    assert wrap_phrase("TIPS", "liver")[0][1] == "There is TIPS."
    assert wrap_phrase("The liver is large.", "liver")[0] == ("The liver is large.",)
    assert not set(positive) & set(negative)


@pytest.mark.parametrize("phrase", ["", "  ", "?", "x" * 301])
def test_what_is_no_phrase(phrase):
    with pytest.raises(InputError, match="is no phrase"):
        wrap_phrase(phrase, "liver")


def test_scores_are_those_of_the_projected_sentences(text):
    row = np.zeros(fake_findings.WIDTH, np.float32)
    row[0] = 1
    organ = OrganEmbedding("liver", 0, "present", row)
    yes, no = text.embed(["There is fat.", "No fat."])
    found = score_text(organ, "There is fat.", "No fat.", text)
    assert found.wording.score == pytest.approx(1 / (1 + np.exp(10.0 * float(no[0] - yes[0]))), abs=1e-5)
    swapped = score_text(organ, "No fat.", "There is fat.", text)
    assert swapped.wording.score == pytest.approx(1 - found.wording.score)
    towards = OrganEmbedding("liver", 1, "present", yes)
    assert score_text([organ, towards], "There is fat.", "No fat.", text).section == 1
    with pytest.raises(InputError, match="no organ"):
        score_text([], "There is fat.", "No fat.", text)


def test_a_finding_is_known_by_its_name_or_label():
    tower = fake_findings.FakeTower()
    assert closest_finding("hepatic steatosis.", LIVER, tower).finding.name == "hepatic_steatosis"
    assert closest_finding("liver_abscess", LIVER, tower).likeness == 1
    assert closest_finding("anything", (), tower) is None


def test_the_tower_must_be_that_of_the_prompts(monkeypatch):
    monkeypatch.setattr("medfm_core.models.text.load_text_tower", lambda name: fake_findings.FakeTower())
    sentences = SimpleNamespace(
        text_tower="minilm",
        card=SimpleNamespace(id="c", architecture=SimpleNamespace(options={})),
        prompts=SimpleNamespace(source=SimpleNamespace(text_tower="minilm")),
    )
    with pytest.raises(WeightsError, match="text tower minilm, and fake is here"):
        load_free_text(sentences)


def test_meaning_is_found_by_a_real_tower():
    from medfm_core.models.text import load_text_tower

    try:
        tower = load_text_tower("minilm")
    except ResourceError:
        pytest.skip("needs the packaged text tower")
    assert closest_finding("fatty liver", LIVER, tower).finding.name == "hepatic_steatosis"
    assert closest_finding("liver metastasis", LIVER, tower).finding.name == "liver_metastases"
    assert closest_finding("a purple elephant", LIVER, tower) is None
