"""The command: folders, tables, cohorts, scores and refusals."""

import csv
import json

import pytest

from training.data.reports import parse_report
from training.data.reports.scoring import Score
from training.data.reports.sources import TrueSentence
from training.parse_reports import main

TEXT = "FINDINGS: There is a 12 mm cyst of the left kidney. No gallstones."


def rows_of(path):
    with open(path, encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_a_folder_of_texts_becomes_a_table(tmp_path, capsys):
    folder = tmp_path / "reports"
    folder.mkdir()
    (folder / "one.txt").write_text(TEXT, encoding="utf-8")
    assert main([str(folder), "--out", str(tmp_path / "pairs.csv")]) == 0
    first, second = rows_of(tmp_path / "pairs.csv")
    assert (first["subject"], first["organ"], first["finding"], first["size_mm"]) == (
        "one", "kidney_left", "renal_cyst", "12.0",
    )  # fmt: skip
    assert (second["state"], second["organ"], second["sentence"]) == ("absent", "gallbladder", "2")
    assert TEXT[int(first["start"]) : int(first["end"])] == first["text"]
    assert "2 statements of 1 reports" in capsys.readouterr().out


def test_a_column_of_a_table_becomes_json_lines(tmp_path):
    table = tmp_path / "studies.csv"
    table.write_text(f'patient,Text\np1,"{TEXT}"\np2,\n', encoding="utf-8")
    out = tmp_path / "pairs.jsonl"
    assert main([str(table), "--out", str(out), "--text-column", "Text", "--subject-column", "patient"]) == 0
    lines = [json.loads(line) for line in out.read_text(encoding="utf-8").splitlines()]
    assert [line["finding"] for line in lines] == ["renal_cyst", "gallstones"]
    assert lines[0]["subject"] == lines[0]["study"] == "p1"
    assert lines[1]["size_mm"] is None


def cohort(tmp_path):
    folder = tmp_path / "cohort" / "patient_000001"
    folder.mkdir(parents=True)
    sentences = [
        ("There is a 12 mm cyst of the left kidney.", "present", "kidney_left", "left", "renal_cyst", 12.0),
        ("No gallstones.", "absent", "gallbladder", None, "gallstones", None),
        ("Normal spleen.", "normal", "spleen", None, None, None),
    ]
    keys = ("text", "state", "organ", "side", "finding", "size_mm")
    truth = {"report": [dict(zip(keys, sentence, strict=True)) for sentence in sentences]}
    (folder / "truth.json").write_text(json.dumps(truth))
    (folder / "report.txt").write_text("FINDINGS\n" + " ".join(sentence[0] for sentence in sentences))
    return folder.parent


def test_a_cohort_is_scored(tmp_path, capsys):
    out, score = tmp_path / "pairs.csv", tmp_path / "scores.json"
    assert main([str(cohort(tmp_path)), "--out", str(out), "--score", str(score)]) == 0
    tables = json.loads(score.read_text())
    assert tables["state"]["all"] == {"precision": 1.0, "recall": 1.0, "f1": 1.0, "n": 3}
    assert tables["finding"]["all"]["n"] == 2
    assert "3 sentences with known meaning" in capsys.readouterr().out


def test_the_score_counts_what_is_wrong():
    text = "Renal cyst on the left. Normal spleen."
    truth = (
        TrueSentence("Renal cyst on the left.", "absent", "kidney_right", "right", "renal_cyst"),
        TrueSentence("Normal spleen.", "normal", "spleen"),
    )
    score = Score()
    score.add(truth, parse_report(text), text)
    state, organ = score.table("state"), score.table("organ")
    assert (state["absent"].missed, state["present"].extra, state["normal"].hits) == (1, 1, 1)
    assert (organ["kidney_left"].extra, organ["kidney_right"].missed) == (1, 1)
    assert state["all"].precision == state["all"].recall == state["all"].f1 == 0.5


@pytest.mark.parametrize(
    "more",
    [
        ["--out", "pairs.xlsx"],
        ["--out", "pairs.csv", "--score", "s.json"],
        ["--out", "pairs.csv", "--llm-endpoint", "https://localhost/v1"],
        ["--out", "pairs.csv", "--llm-endpoint", "http://example.org/v1", "--llm-model", "m"],
        ["--out", "pairs.csv", "--llm-endpoint", "https://localhost/v1", "--llm-model", "m", "--llm-folder", "x"],
        ["--out", "pairs.csv", "--llm-folder", "nowhere"],
        ["--out", "nowhere/pairs.csv"],
    ],
)
def test_refusals_write_nothing(tmp_path, monkeypatch, capsys, more):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "one.txt").write_text(TEXT)
    assert main([str(tmp_path), *more]) == 2
    assert capsys.readouterr().err.count("\n") >= 1
    assert sorted(path.name for path in tmp_path.iterdir()) == ["one.txt"]


@pytest.mark.parametrize("content", [None, b"\xff\xfe\x00", b""])
def test_unreadable_inputs_are_named(tmp_path, content, capsys):
    path = tmp_path / "studies.csv"
    if content is not None:
        path.write_bytes(content)
    assert main([str(path), "--out", str(tmp_path / "pairs.csv")]) == 2
    assert "studies.csv" in capsys.readouterr().err


def test_it_says_where_reports_go_before_they_go(tmp_path, capsys):
    (tmp_path / "one.txt").write_text(TEXT)
    arguments = [str(tmp_path), "--out", str(tmp_path / "p.csv"), "--llm-endpoint", "http://127.0.0.1:9/v1"]
    assert main([*arguments, "--llm-model", "tiny"]) == 3
    errors = capsys.readouterr().err
    assert errors.index("sent to 127.0.0.1:9") < errors.index("does not answer")
