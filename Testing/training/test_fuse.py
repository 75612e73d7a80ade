"""The command that fuses the scans of studies: whole results or none, and sentences for what is wrong."""

from __future__ import annotations

import csv
import json

import pytest
from toy_studies import ToyStudies

from training import fuse
from training.evaluation import probe_inputs
from training.heads.fusion import FUSIONS


@pytest.fixture(autouse=True)
def toy(monkeypatch):
    toy = ToyStudies(120, lacking=6)
    monkeypatch.setattr(probe_inputs, "open_inputs", lambda request: toy.inputs())
    return toy


def command(out, *more: str) -> list[str]:
    needed = ["--card", "toy", "--manifest", "m.csv", "--store", "store", "--target", "lesion", "--out", str(out)]
    return [*needed, "--device", "cpu", "--resamples", "40", "--seeds", "1", "--fusion", "average", *more]


def test_the_command_writes_table_figures_picture_and_answers(tmp_path, capsys):
    out = tmp_path / "new" / "fused"
    assert fuse.main(command(out, "--cache", str(tmp_path / "cache"))) == 0
    names = ["fusion.md", "metrics.json", "metrics.png", "predictions.csv"]
    assert sorted(path.name for path in out.iterdir()) == names
    found = json.loads((out / "metrics.json").read_text())
    assert found["encoder"] == {"card": "toy"}
    assert found["sequences"] == ["T1w", "FLAIR"]
    rows = {row["model"]: row for row in found["results"]}
    assert list(rows) == [
        "average, T1w + FLAIR", "average, T1w", "average, FLAIR", "average, as found (40 studies)",
        "linear probe, T1w", "linear probe, FLAIR", "average, random weights, T1w + FLAIR",
    ]  # fmt: skip
    both = rows["average, T1w + FLAIR"]["metrics"]
    assert set(both) == {"auroc", "auprc", "balanced_accuracy"}
    assert both["auroc"]["value"] > max(
        rows[f"average, {name}"]["metrics"]["auroc"]["value"] for name in ("T1w", "FLAIR")
    )
    assert both["auroc"]["low"] < both["auroc"]["value"]
    assert len(found["differences"]) == 2 + 2 + 1
    assert (out / "fusion.md").read_text() in capsys.readouterr().out
    with (out / "predictions.csv").open() as file:
        lines = list(csv.DictReader(file))
    assert len(lines) == 6 * 34 + 6  # 34 of 40 test studies have both; the others stand once, with what they have
    assert {line["given"] for line in lines} == {"T1w+FLAIR", "T1w", "FLAIR"}
    assert len(list((tmp_path / "cache").glob("*.safetensors"))) == 2


def test_what_goes_wrong_is_a_sentence_and_leaves_nothing(tmp_path, toy, monkeypatch, capsys):
    def never(*_):
        raise AssertionError("encoded although nothing can come of it")

    monkeypatch.setattr(toy, "sample", never)
    for more, said in (
        (["--sequence", "T1w"], "2 to 5 sequences, not 1"),
        (["--sequence", "T1w", "T2"], "no sequence named 'T2'"),
        (["--metric", "aurok"], "auroc"),
        (["--dropped", "2"], "dropped 0 to 1"),
        (["--lr", "-1"], "lr above 0"),
    ):
        assert fuse.main(command(tmp_path / "a", *more)) == 2
        assert said in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_help_teaches_every_fusion(capsys):
    with pytest.raises(SystemExit) as stopped:
        fuse.main(["--help"])
    assert stopped.value.code == 0
    text = capsys.readouterr().out
    assert fuse.FUSIONS == FUSIONS
    assert all(f"  {name} " in text for name in FUSIONS)
    assert "--fusion late --sequence T1w FLAIR" in text
