"""Predictions: item by item as the objective makes them, and a CSV that says what is known and what is not."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn
from toy_probe import ToySource

from medfm_core.errors import InputError
from training.evaluation.cohort import Cohort, Targets
from training.evaluation.features import Extraction
from training.evaluation.predict import Selection, predict, write_predictions


class Mean(nn.Module):
    def predict(self, batch: dict) -> torch.Tensor:
        return batch["image"].mean(dim=(1, 2, 3, 4))[:, None]


def test_a_split_is_predicted_in_order_and_drawn_as_in_the_whole():
    source = ToySource(20)
    rows = source.cohort().rows("test")
    found = predict(Mean(), Selection(source, rows), Extraction(batch_size=3))
    assert found == pytest.approx(source.images[rows].mean(axis=(1, 2, 3, 4)), abs=1e-5)
    assert source.asked == [(row, row) for row in rows]
    with pytest.raises(InputError, match="does not predict"):
        predict(nn.Identity(), source)


def read(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_the_csv_names_classes_and_leaves_unknown_targets_empty(tmp_path: Path):
    targets = Targets("classification", np.array([1, -1, 0]), ("no", "yes"))
    cohort = Cohort(("a", "b", "c"), ("1", "2", "3"), ("test", "test", "train"), targets)
    write_predictions(tmp_path / "p.csv", cohort, np.array([0, 1]), np.array([[0.25, 0.75], [0.9, 0.1]]))
    assert read(tmp_path / "p.csv") == [
        {"subject": "a", "study": "1", "split": "test", "target": "yes", "prediction": "yes",
         "probability_no": "0.25", "probability_yes": "0.75"},
        {"subject": "b", "study": "2", "split": "test", "target": "", "prediction": "no",
         "probability_no": "0.9", "probability_yes": "0.1"},
    ]  # fmt: skip


def test_labels_and_quantities_have_their_columns(tmp_path: Path):
    people = (("a", "b"), ("1", "2"), ("test", "test"))
    labels = Cohort(*people, Targets("multi_label", np.array([[1, np.nan], [-1, 0]]), ("cyst", "stone")))
    write_predictions(tmp_path / "l.csv", labels, np.arange(2), np.array([[0.5, 0.25], [1, 0]]))
    assert [row["target_cyst"] for row in read(tmp_path / "l.csv")] == ["1", ""]
    assert [row["probability_stone"] for row in read(tmp_path / "l.csv")] == ["0.25", "0"]
    ages = Cohort(*people, Targets("regression", np.array([61.5, np.nan]), ("age",)))
    write_predictions(tmp_path / "a.csv", ages, np.arange(2), np.array([60.0, np.nan]))
    assert [(row["target"], row["prediction"]) for row in read(tmp_path / "a.csv")] == [("61.5", "60"), ("", "")]
    with pytest.raises(InputError, match="do not fit"):
        write_predictions(tmp_path / "b.csv", ages, np.arange(2), np.zeros((2, 2)))
    assert not (tmp_path / "b.csv").exists()
