"""Findings in the pipeline and on the command line, with tiny random weights: files, options, questions, refusals."""

from __future__ import annotations

import csv
import json
import shutil

import fake_findings
import fake_organs
import pytest

from medfm_core import pipeline, segmentation
from medfm_core.analysis import Options
from medfm_core.cli import main
from medfm_core.embedding_files import read_embeddings
from medfm_core.errors import InputError, WeightsError
from medfm_core.findings_stage import FILES, choose_card
from medfm_core.organ_finding import STATES


@pytest.fixture(scope="module")
def resources(tmp_path_factory):
    """Resources with the organs' and the findings' stand-ins, for all tests of this file."""
    folder = tmp_path_factory.mktemp("resources")
    with pytest.MonkeyPatch.context() as patch:
        fake_organs.install(folder, patch.setenv)
        patch.setattr(segmentation, "LoadingPredictor", fake_organs.LoadingPredictor)
        patch.setattr("medfm_core.models.text.load_text_tower", lambda name: fake_findings.FakeTower())
        fake_findings.make(folder / "cards")
        yield folder


@pytest.fixture(scope="module")
def ct(resources, tmp_path_factory):
    return fake_organs.save_ct(tmp_path_factory.mktemp("scan") / "ct.nii.gz")


@pytest.fixture(scope="module")
def case(ct):
    """A result with findings and its analysis."""
    folder = ct.parent / "results" / "case1"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pipeline.report, "render_html", lambda analysis, facts: "not drawn here")
        return folder, pipeline.analyze(ct, folder, Options(findings_card=str(_card(ct))))


def _card(ct):
    from medfm_core.settings import read_settings

    return read_settings().resources / "cards" / f"{fake_findings.CARD_ID}.json"


@pytest.fixture(autouse=True)
def _no_drawing(monkeypatch):
    monkeypatch.setattr(pipeline.report, "render_html", lambda analysis, facts: "not drawn here")


def run(capsys, *arguments):
    code = main([str(argument) for argument in arguments])
    out, err = capsys.readouterr()
    assert "Traceback" not in err
    return code, out, err


def test_files_of_a_run(case):
    folder, analysis = case
    maps = [f"saliency_{found.finding}_{found.organ}.nii.gz" for found in analysis.saliency]
    assert sorted(path.name for path in folder.iterdir()) == sorted((*pipeline.FILES, *FILES, *maps))
    rows = list(csv.DictReader((folder / "findings.csv").open(encoding="utf-8")))
    assert [(row["name"], row["organ"]) for row in rows] == [(f.name, f.organ) for f in analysis.findings]
    by_place = {(row["name"], row["organ"]): row for row in rows}
    kidney = by_place["renal_cyst", "kidney_left"]
    assert kidney["state"] in STATES[:3]
    assert float(kidney["spread_low"]) <= float(kidney["score"]) <= float(kidney["spread_high"])
    assert by_place["gallstones", "gallbladder"]["state"] == "not_assessable"
    assert by_place["gallstones", "gallbladder"]["score"] == ""
    assert "not calibrated" in by_place["splenomegaly", "spleen"]["reason"]
    assert by_place["absent_kidney", "kidney_left"]["state"] == "absent"
    assert set(read_embeddings(folder).units) == set(fake_organs.ORGANS)
    assert {"encode", "findings"} <= set(analysis.seconds)


def test_the_manifest_tells_what_was_run_and_no_path(case):
    folder, analysis = case
    text = (folder / "analysis.json").read_text(encoding="utf-8")
    data = json.loads(text)
    block = data["findings"]
    assert set(FILES) <= set(data["files"])
    assert block["model"]["id"] == fake_findings.CARD_ID
    assert block["run"]["precision"] in ("fp32", "bf16")
    assert sum(block["counts"].values()) == len(block["findings"]) == len(analysis.findings)
    assert block["units"]["pancreas"]["state"] == "not_covered"
    assert str(folder.parent) not in text
    assert "resources" not in text


def test_only_the_organs_that_were_asked_for(ct, tmp_path):
    analysis = pipeline.analyze(ct, tmp_path / "case", Options(organs=("kidneys",)))
    assert set(analysis.encoded.embedding.units) == {"kidney_left", "kidney_right"}
    assert {"kidney_left", "kidney_right"} <= {f.organ for f in analysis.findings}
    assert not {f.organ for f in analysis.findings} & {"liver", "spleen", "ribs"}


def test_without_findings_everything_is_as_before(capsys, ct, tmp_path):
    code, out, _ = run(capsys, "analyze", ct, "--out", tmp_path / "case", "--no-findings", "--json")
    assert code == 0
    assert sorted(path.name for path in (tmp_path / "case").iterdir()) == sorted(pipeline.FILES)
    assert json.loads(out.splitlines()[-1])["findings"] is None
    assert "findings" not in json.loads((tmp_path / "case" / "analysis.json").read_text())


def test_a_run_that_fails_leaves_nothing(ct, tmp_path, monkeypatch):
    monkeypatch.setattr("medfm_core.findings_stage.write_embeddings", lambda *_: (_ for _ in ()).throw(MemoryError))
    with pytest.raises(Exception, match="memory did not suffice"):
        pipeline.analyze(ct, tmp_path / "case")
    assert list(tmp_path.iterdir()) == []


def test_which_model_is_used(resources, monkeypatch, tmp_path):
    assert choose_card(Options()).id == fake_findings.CARD_ID
    assert choose_card(Options(findings=False)) is None
    with pytest.raises(InputError, match="contradict"):
        choose_card(Options(findings=False, findings_card="x"))
    with pytest.raises(InputError, match="saliency of a finding and --no-findings contradict"):
        choose_card(Options(findings=False, saliency=("renal_cyst",)))
    with pytest.raises(InputError, match="is for organ_segmentation, not for findings"):
        choose_card(Options(findings_card=fake_organs.CARD_ID))
    shutil.copytree(resources / "vocabulary", tmp_path / "vocabulary")
    (tmp_path / "cards").mkdir()
    monkeypatch.setenv("MEDFM_RESOURCES", str(tmp_path))
    assert choose_card(Options()) is None
    with pytest.raises(WeightsError, match="no single default model for findings"):
        choose_card(Options(findings=True))
    with pytest.raises(WeightsError, match="no single default model for findings"):
        choose_card(Options(saliency=("renal_cyst",)))


def test_similar_studies(capsys, case):
    folder, _ = case
    shutil.copytree(folder, folder.parent / "case2")
    code, out, _ = run(capsys, "similar", folder, "--in", folder.parent, "--organ", "liver")
    assert code == 0
    assert out.split("\n")[1].split() == ["1.0000", "case2", "present", "9"]
    (folder.parent / "case2" / "embeddings.json").write_text("{")
    code, out, err = run(capsys, "similar", folder, "--in", folder.parent)
    assert (code, "No study" in out, err.count("warning:"), "1 damaged" in err) == (0, True, 1, True)
    code, out, err = run(capsys, "similar", folder, "--in", folder.parent, "--json")
    last = json.loads(out.splitlines()[-1])
    assert (code, err, last["event"], last["broken"], last["compared"]) == (0, "", "result", 1, 0)
    shutil.rmtree(folder.parent / "case2")


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("similar", "none", "--in", "."), "holds no embeddings"),
        (("similar", "{case}", "--in", "none"), "there is no folder none"),
        (("similar", "{case}", "--in", "{case}", "--organ", "livr"), "nearest: liver"),
        (("similar", "{case}", "--in", "{case}", "--top", "0"), "not a number of at least 1"),
        (("similar", "{case}"), "--in"),
        (("ask", "--result", "{case}", "--organ", "livr", "steatosis"), "nearest: "),
        (("ask", "--result", "{case}", "--organ", "liver", "?!"), "is no phrase"),
        (("ask", "--result", "{case}", "--organ", "pancreas", "cyst"), "no embedding of it"),
        (("ask", "--result", "{case}", "--organ", "liver"), "PHRASE"),
        (("ask", "--organ", "liver", "steatosis"), "give a SOURCE"),
        (("ask", "{case}", "--result", "{case}", "--organ", "liver", "steatosis"), "not both"),
        (("ask", "none.nii", "--organ", "liver", "steatosis"), "none.nii"),
    ],
)
def test_commands_refuse_in_one_sentence(capsys, case, arguments, says):
    code, out, err = run(capsys, *(word.format(case=case[0]) for word in arguments))
    assert (code, out) == (2, "")
    assert says in err.splitlines()[-1]


def test_ask_a_result(capsys, case):
    folder, analysis = case
    code, out, _ = run(capsys, "ask", "--result", folder, "--organ", "liver", "Hepatic steatosis")
    assert code == 0
    assert "not calibrated" in out
    assert "No hepatic steatosis of the liver." in out
    catalogue = next(f for f in analysis.findings if f.name == "hepatic_steatosis")
    assert f"in liver: {catalogue.state}, score {catalogue.score:.2f}, present from 0.60" in out


def test_ask_a_scan_gives_the_same_and_writes_nothing(capsys, case, ct):
    folder, _ = case
    words = ("--organ", "kidneys", "Renal cyst", "--json")
    before = sorted(ct.parent.rglob("*"))
    code, out, _ = run(capsys, "ask", ct, *words)
    anew = json.loads(out.splitlines()[-1])
    assert (code, anew["event"], anew["calibrated"]) == (0, "answer", False)
    _, out, _ = run(capsys, "ask", "--result", folder, *words)
    kept = json.loads(out.splitlines()[-1])
    assert anew["score"] == pytest.approx(kept["score"], abs=1e-3)
    assert [f["organ"] for f in anew["catalogue"]] == ["kidney_right", "kidney_left"]
    assert kept["spread"][0] <= kept["score"] <= kept["spread"][1]
    assert sorted(ct.parent.rglob("*")) == before


def test_ask_says_what_is_missing(capsys, case, monkeypatch):
    from medfm_core.errors import ResourceError

    def missing(name):
        raise ResourceError(f"the text tower {name} is not here", "install it")

    monkeypatch.setattr("medfm_core.models.text.load_text_tower", missing)
    code, _, err = run(capsys, "ask", "--result", case[0], "--organ", "liver", "steatosis")
    assert (code, "the text tower minilm is not here; install it." in err) == (3, True)
