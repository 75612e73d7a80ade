"""Data source of studies as organ embeddings and report text.

| column | holds |
|---|---|
| `subject` | who; all rows of a subject stay in one split |
| `study` | which examination of the subject |
| `embeddings` | safetensors file, absolute or relative to the table: one vector or set of tokens per organ unit |
| `text` | the report, or the sentences of it that are to be learnt |
| `split` | (optional) `train`, `val` or `test`, for all rows or none |

The file is CSV (UTF-8, commas) or Parquet; other columns are not read.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from medfm_core.errors import InputError, WeightsError
from medfm_core.weights import check_safetensors, load_weights
from training.data.manifest import SPLITS, problem_list
from training.data.manifest_table import Table, read_table
from training.data.splits import Fractions, split_subjects
from training.engine.draw import DrawKey
from training.engine.objective import Sample

REQUIRED = ("subject", "study", "embeddings", "text")


@dataclass(frozen=True)
class ReportPairsConfig:
    """Where the studies are.

    Attributes:
        table: the table of studies.
        split: which of them; "all" for all.
        split_seed: of the splits, where the table has none.
        train: share of the subjects in the split of that name, where the table has none.
        val: the same; the rest is `test`.
        leave_out: entries of the embeddings files that are no organ unit.
    """

    table: str
    split: Literal["train", "val", "test", "all"] = "train"
    split_seed: int = 0
    train: float = 0.8
    val: float = 0.1
    leave_out: tuple[str, ...] = ("study",)


@dataclass(frozen=True)
class ReportPair:
    """One study: who, which, where its embeddings lie, and its report."""

    subject: str
    study: str
    embeddings: Path
    text: str


class ReportPairs:
    """Studies of a table; see `ReportPairsConfig`.

    Raises:
        InputError: the table is wrong, or a file is missing or damaged: all problems are listed together.
    """

    def __init__(self, config: ReportPairsConfig) -> None:
        self.config = config
        self.pairs = read_pairs(config)

    def __len__(self) -> int:
        """How many studies there are."""
        return len(self.pairs)

    def sample(self, item: int, key: DrawKey) -> Sample:
        """One study: `organs`, embeddings `(E,)` or tokens `(T, E)` by organ unit, and `text`; nothing is drawn."""
        pair = self.pairs[item]
        tensors = load_weights(pair.embeddings)
        organs = {name: value.float() for name, value in tensors.items() if name not in self.config.leave_out}
        return {"organs": organs, "text": pair.text}


def read_pairs(config: ReportPairsConfig) -> tuple[ReportPair, ...]:
    """Read the studies of a split.

    Raises:
        InputError: as `ReportPairs` says.
    """
    path = Path(config.table)
    table = read_table(path)
    missing = [name for name in REQUIRED if name not in table.columns]
    if missing:
        raise InputError(f"the table {path} has no column {missing[0]!r}", f"it needs {', '.join(REQUIRED)}")
    problems = [*table.problems]
    for number, row in zip(table.numbers, table.rows, strict=True):
        problems += [(number, text) for text in _row_problems(row, path.parent, config)]
    problems += _twice(table)
    if problems:
        raise problem_list(path, problems)
    splits = _splits(table, config)
    return tuple(
        ReportPair(row["subject"], row["study"], path.parent / row["embeddings"], row["text"])
        for row, split in zip(table.rows, splits, strict=True)
        if config.split in ("all", split)
    )


def _row_problems(row: Mapping[str, str], folder: Path, config: ReportPairsConfig) -> list[str]:
    problems = [f"{name} is empty" for name in REQUIRED if not row[name]]
    if row.get("split") and row["split"] not in SPLITS:
        problems.append(f"the split {row['split']!r} is none of {', '.join(SPLITS)}")
    if row["embeddings"]:
        try:
            names = set(check_safetensors(folder / row["embeddings"]).tensors) - set(config.leave_out)
        except WeightsError as problem:
            problems.append(str(problem).rstrip("."))
        else:
            problems += [] if names else ["the embeddings file holds no organ"]
    return problems


def _twice(table: Table) -> list[tuple[int, str]]:
    """Reports of one study that come twice would weigh twice, or lie in two splits."""
    problems, seen = [], set()
    for number, row in zip(table.numbers, table.rows, strict=True):
        who = row["subject"], row["study"]
        if who in seen:
            problems.append((number, "this study of this subject is there already"))
        seen.add(who)
    return problems


def _splits(table: Table, config: ReportPairsConfig) -> list[str]:
    """The split of each row: as the table says, or by subject."""
    given = [row.get("split", "") for row in table.rows]
    if not any(given):
        shares = Fractions(config.train, config.val, max(0.0, 1 - config.train - config.val))
        placed = split_subjects((row["subject"] for row in table.rows), config.split_seed, shares)
        return [placed[row["subject"]] for row in table.rows]
    problems = [(number, "split is empty") for number, name in zip(table.numbers, given, strict=True) if not name]
    first: dict[str, str] = {}
    for number, row in zip(table.numbers, table.rows, strict=True):
        if row["split"] and first.setdefault(row["subject"], row["split"]) != row["split"]:
            problems.append((number, "its subject is in another split too"))
    if problems:
        raise problem_list(Path(config.table), problems)
    return given
