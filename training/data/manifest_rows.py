"""From a manifest's text cells to typed rows; every problem is collected with its row, none is raised."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

from medfm_core.anatomy import load_vocabulary
from medfm_core.card_inputs import MODALITIES
from medfm_core.errors import InputError
from medfm_core.strict import nearest, unknown_name
from training.data.manifest import OPTIONAL, PREFIXES, REQUIRED, SPLITS, ManifestRow, TargetColumn, Value
from training.data.manifest_table import Table

Problems = list[tuple[int, str]]
_KNOWN = (*REQUIRED, *OPTIONAL)


def column_problems(columns: Sequence[str]) -> Problems:
    """What is wrong with the header: it is row 1."""
    problems = [(1, f"the column {name!r} is missing") for name in REQUIRED if name not in columns]
    for name in columns:
        if name in _KNOWN or any(name.startswith(prefix) and len(name) > len(prefix) for prefix in PREFIXES):
            continue
        head, dot, tail = name.partition(".")
        known = [prefix + tail for prefix in PREFIXES] if dot and tail else [*_KNOWN, *(p + "NAME" for p in PREFIXES)]
        hint = nearest(name, known)
        problems.append((1, f"the column {name!r} is not known{hint}; extra columns are called info.{tail or head}"))
    for one, other in (("time.", "event."), ("event.", "time.")):
        alone = [name for name in columns if name.startswith(one) and other + name.removeprefix(one) not in columns]
        problems += [(1, f"the column {name!r} needs {other + name.removeprefix(one)!r} beside it") for name in alone]
    return problems


def target_columns(table: Table) -> tuple[dict[str, TargetColumn], Problems]:
    """Find out which target columns hold numbers and which categories.

    A column holds numbers if most of its values are numbers; those that are not are problems then.
    """
    targets, problems = {}, []
    for column in table.columns:
        if not column.startswith("target."):
            continue
        name = column.removeprefix("target.")
        cells = [(number, row[column]) for number, row in zip(table.numbers, table.rows, strict=True) if row[column]]
        wrong = [(number, cell) for number, cell in cells if _number(cell) is None]
        if len(wrong) * 2 <= len(cells):
            targets[name] = TargetColumn(name)
            problems += [
                (number, f"{column} is {cell!r} where other rows have numbers; leave it empty if it is missing")
                for number, cell in wrong
            ]
        else:
            targets[name] = TargetColumn(name, tuple(sorted({cell for _, cell in cells})))
    return targets, problems


def parse_rows(table: Table, folder: Path, targets: Mapping[str, TargetColumn]) -> tuple[list[ManifestRow], Problems]:
    """Make the rows; a row with problems is made as far as it goes, so that further checks can look at it.

    Args:
        table: the manifest's cells.
        folder: what relative paths start from.
        targets: its columns of targets.
    """
    rows, problems = [], []
    for number, cells in zip(table.numbers, table.rows, strict=True):
        found: list[str] = [f"{name} is empty" for name in REQUIRED if not cells[name]]
        rows.append(_parse_row(number, cells, folder, targets, found.append))
        problems += [(number, text) for text in found]
    return rows, problems


def _parse_row(
    number: int,
    cells: Mapping[str, str],
    folder: Path,
    targets: Mapping[str, TargetColumn],
    problem: Callable[[str], None],
) -> ManifestRow:
    get = lambda name: cells.get(name, "")  # noqa: E731 (short, and used on every line below)
    if get("modality") and get("modality") not in MODALITIES:
        problem(f"the modality {get('modality')!r} is not known{nearest(get('modality'), MODALITIES)}")
    if get("split") and get("split") not in SPLITS:
        problem(f"the split {get('split')!r} is not known{nearest(get('split'), SPLITS)}")
    if get("label_names") and not get("labels"):
        problem("label_names are given, but no labels")
    return ManifestRow(
        number=number,
        subject=get("subject"),
        study=get("study"),
        path=folder / get("path"),
        modality=get("modality"),
        written=get("path"),
        sequence=get("sequence"),
        series=get("series"),
        organs=_organs(get("organs"), problem),
        labels=folder / get("labels") if get("labels") else None,
        written_labels=get("labels"),
        label_names=_label_names(get("label_names"), folder, problem),
        split=get("split") or None,
        text=get("text"),
        targets={name: _target(column, get(f"target.{name}")) for name, column in targets.items()},
        features=_numbers("feature.", cells, problem),
        times=_numbers("time.", cells, problem),
        events=_events(cells, problem),
        info={name.removeprefix("info."): cell for name, cell in cells.items() if name.startswith("info.")},
    )


def _organs(cell: str, problem: Callable[[str], None]) -> tuple[str, ...] | None:
    names = tuple(dict.fromkeys(name.strip() for name in cell.split(";") if name.strip()))
    for name in names:
        clause = _organ_problem(name)
        if clause:
            problem(clause)
    return names or None


@lru_cache(maxsize=4096)
def _organ_problem(name: str) -> str:
    vocabulary = load_vocabulary()
    whole_body = [group.name for group in vocabulary.pan_fm]
    try:
        if name not in whole_body and name not in vocabulary.names().values():
            vocabulary.find_group(name)
    except InputError:
        return unknown_name("organ", name, [*vocabulary.names().values(), *whole_body])
    return ""


def _label_names(cell: str, folder: Path, problem: Callable[[str], None]) -> Mapping[int, str]:
    if not cell:
        return {}
    try:
        return _read_label_names(cell, folder)
    except (OSError, ValueError, RecursionError) as error:
        reason = error.strerror.lower() if isinstance(error, OSError) and error.strerror else str(error)
        problem(f'label_names cannot be used ({reason}); give JSON such as {{"1": "liver"}} or a .json file')
        return {}


@lru_cache(maxsize=256)
def _read_label_names(cell: str, folder: Path) -> Mapping[int, str]:
    text = (folder / cell).read_text(encoding="utf-8") if cell.lower().endswith(".json") else cell
    data: Any = json.loads(text)
    if isinstance(data, dict) and isinstance(data.get("labels"), dict):
        data = data["labels"]
    if not isinstance(data, dict) or not data:
        raise ValueError("it names no values")
    names = {}
    for key, name in data.items():
        if not (key.isascii() and key.isdigit() and 0 <= int(key) <= 65535):
            raise ValueError(f"{key!r} is no label value")
        if not isinstance(name, str) or not name:
            raise ValueError(f"the name of value {key} is no text")
        names[int(key)] = name
    return names


def _target(column: TargetColumn, cell: str) -> Value:
    if not cell:
        return None
    return cell if column.categories else _number(cell)


def _numbers(prefix: str, cells: Mapping[str, str], problem: Callable[[str], None]) -> dict[str, float | None]:
    numbers: dict[str, float | None] = {}
    for column, cell in cells.items():
        if column.startswith(prefix):
            numbers[column.removeprefix(prefix)] = _number(cell) if cell else None
            if cell and _number(cell) is None:
                problem(f"{column} is {cell!r}, which is no finite number; leave it empty if it is missing")
    return numbers


def _events(cells: Mapping[str, str], problem: Callable[[str], None]) -> dict[str, float | None]:
    events = _numbers("event.", cells, problem)
    for name, value in events.items():
        if value not in (None, 0.0, 1.0):
            problem(f"event.{name} is {value:g}; give 1 where it happened, 0 where not, or nothing")
        if (value is None) != (not cells.get(f"time.{name}")):
            problem(f"time.{name} and event.{name} must both be given, or neither")
    return events


def _number(cell: str) -> float | None:
    try:
        number = float(cell)
    except ValueError:
        return None
    return number if math.isfinite(number) else None
