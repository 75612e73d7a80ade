"""The whole body in the pipeline, with tiny random weights: vector, shares, what is missing and why, and refusals."""

from __future__ import annotations

import json
from dataclasses import replace

import fake_bodies
import fake_findings
import fake_organs
import numpy as np
import pytest

from medfm_core import pipeline, segmentation
from medfm_core.analysis import Options
from medfm_core.body_stage import choose_card
from medfm_core.card_library import load_card
from medfm_core.embedding_export import export_embeddings
from medfm_core.embedding_files import read_embeddings
from medfm_core.errors import InputError, WeightsError
from medfm_core.models.pan_fm_weights import load_pan_fm
from medfm_core.similar import find_similar
from medfm_core.volume import crop
from medfm_core.whole_body import embed_body


@pytest.fixture(scope="module")
def cards(tmp_path_factory):
    """Resources with stand-ins for organs, findings and whole body; the folder of cards."""
    folder = tmp_path_factory.mktemp("resources")
    with pytest.MonkeyPatch.context() as patch:
        fake_organs.install(folder, patch.setenv)
        patch.setattr(segmentation, "LoadingPredictor", fake_organs.LoadingPredictor)
        patch.setattr("medfm_core.models.text.load_text_tower", lambda name: fake_findings.FakeTower())
        patch.setattr("medfm_core.findings_stage.load_findings", lambda: ())
        fake_bodies.make(folder / "cards", fake_findings.make(folder / "cards"))
        yield folder / "cards"


@pytest.fixture(scope="module")
def case(cards, tmp_path_factory):
    """A result with its analysis."""
    folder = tmp_path_factory.mktemp("scan")
    ct = fake_organs.save_ct(folder / "ct.nii.gz")
    return folder / "results" / "case1", pipeline.analyze(ct, folder / "results" / "case1"), ct


def test_organs_of_a_trunk(case):
    _, analysis, _ = case
    body = analysis.body
    states = {organ.name: organ.state for organ in body.organs}
    assert states == {"brain": "missing", "heart": "present", "liver": "present", "kidney": "present",
                      "pancreas": "missing", "spleen": "missing"}  # fmt: skip
    shares = [organ.share for organ in body.seen]
    assert sum(shares) == pytest.approx(1, abs=1e-6)
    assert min(shares) > 0
    reasons = {organ.name: organ.reason for organ in body.organs}
    assert "brains.v1" in reasons["brain"]
    assert "outline" in reasons["pancreas"]
    assert "measurements" in reasons["spleen"]
    assert body.not_known == ("adipose",)
    assert np.linalg.norm(body.vector) == pytest.approx(1, abs=1e-5)
    assert "body" in analysis.seconds


def test_files_of_the_result(case):
    folder, analysis, _ = case
    kept = read_embeddings(folder).body
    assert kept.encoder.card == fake_bodies.CARD_ID
    assert kept.encoder.width == 2 * fake_bodies.WIDTH
    assert kept.organs == ("heart", "liver", "kidney")
    assert np.array_equal(kept.vector, analysis.body.vector)
    manifest = json.loads((folder / "analysis.json").read_text())
    block = manifest["whole_body"]
    assert block["counts"] == {"present": 3, "cut": 0, "missing": 3}
    assert block["organs"]["kidney"]["units"] == ["kidney_right", "kidney_left"]
    assert "reconstruction" in block["meaning"]
    assert str(folder.parent) not in json.dumps(manifest)
    page = (folder / "report.html").read_text()
    assert "Whole body" in page
    assert "is a reconstruction" in page
    assert "Pancreas" in page
    with np.load(export_embeddings(read_embeddings(folder), folder.parent.parent / "e.npz")) as arrays:
        assert np.array_equal(arrays["whole_body"], kept.vector)


def test_a_cut_organ_is_said_to_be_cut_and_absent_ones_change_nothing(case, tmp_path):
    _, analysis, _ = case
    whole = fake_organs.make_ct()
    cut = crop(whole, (0, 0, 0), (*whole.shape[:2], 30))  # ends within the liver and below the heart
    found = pipeline.analyze(fake_organs.save_ct(tmp_path / "cut.nii.gz", cut), tmp_path / "case")
    by_name = {organ.name: organ for organ in found.body.organs}
    assert by_name["heart"].state == "missing"
    assert "not in the scan" in by_name["heart"].reason
    assert by_name["liver"].state == "cut"
    assert by_name["liver"].share > 0
    page = (tmp_path / "case" / "report.html").read_text()
    assert "cut by the field of view" in page
    # The vector is that of the organs there are: the same embedding without the others.
    encoded = analysis.encoded
    kept = tuple(o for o in encoded.embedding.organs if o.unit in ("liver", "kidney_left"))
    fewer = replace(encoded, embedding=replace(encoded.embedding, organs=kept, body=None))
    net = load_pan_fm(analysis.body_card)
    one, other = embed_body(analysis.body_card, net, fewer), embed_body(analysis.body_card, net, fewer)
    assert np.array_equal(one.vector, other.vector)
    assert [organ.name for organ in one.seen] == ["liver", "kidney"]
    assert "Without" in one.seen[1].reason


def test_a_scan_without_any_of_the_organs_is_one_sentence(case, tmp_path):
    whole = fake_organs.make_ct()
    low = crop(whole, (0, 0, 60), whole.shape)  # above liver, kidneys and heart
    found = pipeline.analyze(fake_organs.save_ct(tmp_path / "top.nii.gz", low), tmp_path / "case")
    assert found.body.vector is None
    assert found.body.seen == ()
    assert read_embeddings(tmp_path / "case").body is None
    assert "none of the organs" in (tmp_path / "case" / "report.html").read_text()
    block = json.loads((tmp_path / "case" / "analysis.json").read_text())["whole_body"]
    assert (block["embedded"], block["counts"]["missing"]) == (False, 6)


def test_similar_whole_bodies(case, tmp_path):
    folder, _, ct = case
    pipeline.analyze(ct, folder.parent / "case2")
    pipeline.analyze(ct, folder.parent / "plain", Options(body_card="none"))
    search = find_similar(folder, folder.parent, whole_body=True)
    assert [(n.study, n.shared) for n in search.neighbours] == [("case2", 3)]
    assert search.neighbours[0].similarity == pytest.approx(1, abs=1e-3)
    assert search.without_organ == 1
    with pytest.raises(InputError, match="no vector of the whole body"):
        find_similar(folder.parent / "plain", folder.parent, whole_body=True)
    with pytest.raises(InputError, match="either"):
        find_similar(folder, folder.parent, whole_body=True, organ="liver")


def test_which_model_runs(cards, tmp_path):
    findings = load_card(fake_findings.CARD_ID)
    assert choose_card(Options(), findings).id == fake_bodies.CARD_ID
    assert choose_card(Options(), None) is None
    assert choose_card(Options(body_card="none"), findings) is None
    with pytest.raises(InputError, match="is for findings, not for whole bodies"):
        choose_card(Options(body_card=fake_findings.CARD_ID), findings)
    with pytest.raises(InputError, match="needs organ vectors"):
        choose_card(Options(body_card=fake_bodies.CARD_ID), None)
    other = fake_findings.make(tmp_path, fake_findings.card_data(card_id="other.v1"), seed=1)
    assert choose_card(Options(), load_card(other)) is None
    with pytest.raises(InputError, match=r"takes vectors of brains\.v1, fake-findings\.v1"):
        choose_card(Options(body_card=fake_bodies.CARD_ID), load_card(other))
    made = fake_bodies.make(tmp_path, cards / f"{fake_findings.CARD_ID}.json", "lost.v1")
    (tmp_path / "lost.v1.safetensors").unlink()
    with pytest.raises(WeightsError, match="missing"):
        choose_card(Options(body_card=str(made)), findings)


@pytest.mark.parametrize(
    ("organ", "change", "said"),
    [
        ("liver", {"width": 9}, "does not take vectors of 9"),
        ("kidney", {"units": ["kidney_left"]}, "1 units for 2"),
        ("spleen", {"mean": [1.0, 2.0], "deviation": [1.0, 2.0]}, "no table of 2"),
        ("spleen", {"mean": []}, "either the card"),
        ("tail", {"mean": [1.0], "deviation": [1.0]}, "no organ 'tail'"),
        ("liver", {"weights_sha256": "x"}, "64 lower-case"),
    ],
)
def test_wrong_cards_are_refused(tmp_path, cards, organ, change, said):
    path = fake_bodies.make(tmp_path, cards / f"{fake_findings.CARD_ID}.json")
    data = json.loads(path.read_text())
    data["input"]["body"][organ] = {**data["input"]["body"].get(organ, {}), **change}
    path.write_text(json.dumps(data))
    with pytest.raises(WeightsError, match=said):
        load_card(path)
