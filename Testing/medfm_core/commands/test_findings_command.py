"""`medfm findings`: lists, shows, and says what is wrong in one sentence."""

from __future__ import annotations

import json

import pytest

from medfm_core.anatomy import load_findings
from medfm_core.cli import main


def run(capsys, *arguments):
    """Run `medfm findings`; exit code, standard output, standard error."""
    code = main(["findings", *arguments])
    out, err = capsys.readouterr()
    assert "Traceback" not in err
    return code, out, err


@pytest.mark.parametrize("arguments", [(), ("list",)])
def test_list_names_every_finding(capsys, arguments, monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    code, out, err = run(capsys, *arguments)
    assert (code, err) == (0, "")
    assert {line.split()[0] for line in out.splitlines()[1:]} == {finding.name for finding in load_findings()}


def test_list_of_one_organ_or_group(capsys):
    code, out, _ = run(capsys, "list", "--organ", "liver", "--json")
    names = [json.loads(line)["name"] for line in out.splitlines()]
    assert code == 0
    assert names == [finding.name for finding in load_findings().of_organ("liver")]
    code, out, _ = run(capsys, "list", "--organ", "kidney")
    assert (code, "hydronephrosis" in out, "cirrhosis" in out) == (0, True, False)


def test_json_holds_everything(capsys):
    code, out, _ = run(capsys, "show", "pulmonary_embolism", "--json")
    line = json.loads(out)
    finding = load_findings().by_name("pulmonary_embolism")
    assert (code, line["event"], line["name"]) == (0, "finding", finding.name)
    assert tuple(line["positive"]) == finding.positive
    assert line["phases"] == ["ctpa", "arterial"]
    assert line["benchmarks"] == {}
    _, listed, _ = run(capsys, "list", "--json")
    assert out in listed


def test_show_prints_the_sentences_and_the_limits(capsys):
    code, out, _ = run(capsys, "show", "pulmonary_embolism")
    finding = load_findings().by_name("pulmonary_embolism")
    assert code == 0
    assert all(sentence in out for sentence in (*finding.positive, *finding.negative))
    assert f"SNOMED-CT {finding.codes['SNOMED-CT']}" in out
    assert finding.notes in out
    _, out, _ = run(capsys, "show", "lung_nodule")
    assert "ct_rate: Lung nodule" in out
    assert "each part by itself" in out


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("show",), "the NAME of the finding to show is missing"),
        (("show", "gallstone"), "nearest: gallstones"),
        (("show", "gallstones", "--organ", "liver"), "--organ goes with list"),
        (("list", "gallstones"), "use show"),
        (("list", "--organ", "livr"), "nearest: liver"),
        (("list", "--organ", "brain"), "no finding is looked for in 'brain'"),
        (("lst",), "did you mean list?"),
        (("--organs=liver",), "did you mean --organ?"),
    ],
)
def test_what_is_wrong_is_one_sentence(capsys, arguments, says):
    code, out, err = run(capsys, *arguments)
    assert (code, out) == (2, "")
    assert len(err.splitlines()) == 1
    assert says in err


def test_help_teaches(capsys):
    code, out, _ = run(capsys, "--help")
    assert code == 0
    assert "medfm findings show hepatic_steatosis" in out.split("examples:")[1]
    assert "columns of the list:" in out
    assert "--organ" in out
