"""Studies with reports: rows are read as they are, and all that is wrong with a table is said at once."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from medfm_core.errors import InputError
from training.data.report_pairs import ReportPairs, ReportPairsConfig
from training.engine.draw import DrawKey

KEY = DrawKey(1, 0)


def write(folder: Path, rows: list[dict[str, str]]) -> ReportPairsConfig:
    columns = list(dict.fromkeys(name for row in rows for name in row))
    with (folder / "reports.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, columns, restval="")
        writer.writeheader()
        writer.writerows(rows)
    return ReportPairsConfig(str(folder / "reports.csv"), split="all")


def row(folder: Path, number: int, **cells: str) -> dict[str, str]:
    name = f"{number}.safetensors"
    save_file({"liver": torch.full((4,), float(number)).half(), "study": torch.ones(4)}, folder / name)
    made = {"subject": f"s{number}", "study": "1", "embeddings": name, "text": f"Report, {number}."}
    return made | cells


def test_a_sample_is_the_organs_and_the_report(tmp_path):
    source = ReportPairs(write(tmp_path, [row(tmp_path, n) for n in range(3)]))
    assert len(source) == 3
    sample = source.sample(2, KEY)
    assert sample["text"] == "Report, 2."
    assert list(sample["organs"]) == ["liver"]
    assert torch.equal(sample["organs"]["liver"], torch.full((4,), 2.0))


def test_splits_are_those_of_the_table_or_by_subject(tmp_path):
    rows = [row(tmp_path, n, split="val" if n == 1 else "train") for n in range(3)]
    config = write(tmp_path, rows)
    assert [p.subject for p in ReportPairs(ReportPairsConfig(config.table, split="val")).pairs] == ["s1"]
    rows = [row(tmp_path, n, subject=f"s{n % 20}", study=str(n)) for n in range(40)]
    config = write(tmp_path, rows)
    parts = [{p.subject for p in ReportPairs(ReportPairsConfig(config.table, split=s)).pairs}
             for s in ("train", "val", "test")]  # fmt: skip
    assert sum(map(len, parts)) == len(set.union(*parts)) == 20


def test_all_problems_are_listed_with_their_rows(tmp_path):
    rows = [row(tmp_path, n) for n in range(6)]
    rows[1]["text"] = ""
    rows[2]["embeddings"] = "none.safetensors"
    (tmp_path / "3.safetensors").write_bytes(b"damaged")
    rows[4] |= {"subject": "s0"}
    save_file({"study": torch.ones(4)}, tmp_path / "5.safetensors")
    with pytest.raises(InputError) as caught:
        ReportPairs(write(tmp_path, rows))
    said = str(caught.value)
    for text in ("row 3: text is empty", "row 4: cannot read", "row 5: the weights file", "row 6: this study",
                 "row 7: the embeddings file holds no organ", "5 problems"):  # fmt: skip
        assert text in said


def test_a_subject_in_two_splits_is_refused(tmp_path):
    rows = [row(tmp_path, n, subject="s", study=str(n), split=("train", "val", "")[n]) for n in range(3)]
    with pytest.raises(InputError, match=r"row 3: its subject is in another split too\n +row 4: split is empty"):
        ReportPairs(write(tmp_path, rows))
    rows[1]["split"] = "vall"
    with pytest.raises(InputError, match="'vall' is none of"):
        ReportPairs(write(tmp_path, rows))


def test_a_table_without_a_column_is_refused(tmp_path):
    rows = [{"subject": "s", "study": "1", "embeddings": "x"}]
    with pytest.raises(InputError, match="no column 'text'"):
        ReportPairs(write(tmp_path, rows))
