"""The command: whole results or none, and sentences for what is wrong."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest
from toy_probe import ToyEncoder, ToySource

from medfm_core.errors import InputError
from training.evaluation.cohort import Cohort, Targets
from training.evaluation.probe_inputs import ProbeInputs, ProbeRequest, volumes_data
from training.probe import main


def toy_inputs(request: ProbeRequest) -> ProbeInputs:
    source = ToySource(120)
    assert request.targets == ("lesion",)
    return ProbeInputs(ToyEncoder(), source, source.cohort(), {"run": "toy", "step": 7})


def command(out: Path, *more: str) -> list[str]:
    needed = ["--run", "toy", "--manifest", "m.csv", "--store", "store", "--target", "lesion", "--out", str(out)]
    return [*needed, "--resamples", "60", "--device", "cpu", "--metric", "auroc", "brier", *more]


def test_the_command_writes_predictions_figures_and_picture(tmp_path: Path, capsys):
    out = tmp_path / "new" / "probe"
    assert main(command(out, "--few-shot", "1,4", "--seeds", "2", "--cache", str(tmp_path / "cache")), toy_inputs) == 0
    assert sorted(path.name for path in out.iterdir()) == ["metrics.json", "metrics.png", "predictions.csv"]
    found = json.loads((out / "metrics.json").read_text())
    assert found["encoder"] == {"run": "toy", "step": 7}
    assert found["splits"]["test"] == {"items": 40, "subjects": 20, "classes": found["splits"]["test"]["classes"]}
    rows = {(row["model"], row["shots"]): row for row in found["results"]}
    assert set(rows) == {(m, s) for m in ("linear probe", "random weights") for s in (None, 1, 4)} | {
        ("training frequencies", None)
    }
    assert rows["linear probe", None]["metrics"]["auroc"]["value"] > 0.85
    assert rows["linear probe", 4]["seeds"] == 2
    with (out / "predictions.csv").open() as file:
        assert len(list(csv.DictReader(file))) == 40
    assert "AUROC" in capsys.readouterr().out
    assert len(list((tmp_path / "cache").glob("*.safetensors"))) == 2


def test_what_goes_wrong_is_a_sentence_and_leaves_nothing(tmp_path: Path, capsys):
    def leaking(request: ProbeRequest) -> ProbeInputs:
        inputs = toy_inputs(request)
        cohort = inputs.cohort
        splits = tuple(np.where(np.arange(len(cohort)) % 2, "train", "test"))
        return ProbeInputs(
            inputs.encoder, inputs.source, Cohort(cohort.subjects, cohort.studies, splits, cohort.targets), {}
        )

    assert main(command(tmp_path / "a"), leaking) == 2
    assert "more than one split" in capsys.readouterr().err
    assert main(command(tmp_path / "b", "--few-shot", "one"), toy_inputs) == 2
    assert main(command(tmp_path / "c", "--few-shot", "900"), toy_inputs) == 2
    assert "900 shots" in capsys.readouterr().err
    assert main(command(tmp_path / "d", "--metric", "aurok"), toy_inputs) == 2
    assert "auroc" in capsys.readouterr().err
    assert main(["--card", "nobody", *command(tmp_path / "e")[2:]]) in (2, 3)
    assert not list(tmp_path.iterdir())


def test_times_to_events_are_probed(tmp_path: Path, capsys):
    """Whoever shows the planted class has the event earlier."""
    source = ToySource(240)
    rng = np.random.default_rng(0)
    waited = rng.exponential(size=240) * np.where(source.target == 1, 0.2, 2.0)
    values = np.stack([np.minimum(waited, 2.0) + 0.01, waited < 2.0], axis=1).astype(float)
    values[-1] = np.nan
    cohort = source.cohort()
    cohort = Cohort(cohort.subjects, cohort.studies, cohort.splits, Targets("survival", values, ("death",), "death"))

    def survivors(request: ProbeRequest) -> ProbeInputs:
        assert (request.task, request.targets) == ("survival", ("death",))
        return ProbeInputs(ToyEncoder(), source, cohort, {"run": "toy"})

    needed = ["--run", "toy", "--manifest", "m.csv", "--store", "store", "--task", "survival", "--target", "death",
              "--resamples", "60", "--device", "cpu"]  # fmt: skip
    out = tmp_path / "probe"
    assert main([*needed, "--out", str(out)], survivors) == 0
    assert "concordance index" in capsys.readouterr().out
    found = {row["model"]: row for row in json.loads((out / "metrics.json").read_text())["results"]}
    assert found["linear probe"]["metrics"]["concordance"]["low"] > 0.5
    assert found["same risk for all"]["metrics"]["concordance"]["value"] == 0.5
    assert found["linear probe"]["regularisation"]["chosen_by"] == "5 folds"
    with (out / "predictions.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert set(rows[0]) == {"subject", "study", "split", "time", "event", "log_hazard"}
    assert [row["time"] for row in rows if not row["event"]] == [""] * sum(s == "test" for s in cohort.splits[-1:])
    source.asked.clear()
    assert main([*needed, "--out", str(tmp_path / "b"), "--kind", "attentive"], survivors) == 2
    assert "a survival probe is linear" in capsys.readouterr().err
    assert not source.asked
    assert [path.name for path in tmp_path.iterdir()] == ["probe"]


def test_help_teaches_survival(capsys):
    with pytest.raises(SystemExit):
        main(["--help"])
    text = capsys.readouterr().out
    assert "--task survival --target death" in text
    assert "training.fuse" in text


def test_volumes_are_seen_as_in_training_but_whole_central_and_not_augmented():
    request = ProbeRequest(Path("run"), None, Path("m.csv"), "store", ("age",))
    trained = {"name": "volumes", "manifest": "other.csv", "store": "elsewhere", "card": "some-card", "input": None,
               "crop": [16, 96, 96], "place": "random", "augment": "ct", "split": "train", "crops_per_volume": 4,
               "labels": True, "preparation": "auto", "train": 0.6}  # fmt: skip
    data = volumes_data(request, {"recipe": {"data": trained}})
    assert data == {
        "manifest": "m.csv", "store": "store", "card": "some-card", "input": None, "crop": [16, 96, 96],
        "place": "centre", "augment": "none", "split": "all", "crops_per_volume": 1, "preparation": "auto",
        "train": 0.6,
    }  # fmt: skip
    with pytest.raises(InputError, match="--prepared-for"):
        volumes_data(request, {"recipe": {"data": {"name": "labelled_cases"}}})
