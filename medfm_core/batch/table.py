"""The cohort table: one row per case, columns for what any of them has."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from medfm_core.io.atomic import atomic_bytes

TABLE = "cohort.csv"
WAITING, DONE, FAILED = "waiting", "done", "failed"
CT_COLUMNS = (
    "case", "source", "series", "state", "error", "seconds", "shape", "spacing_mm", "device", "model", "findings_model",
    "warnings", "voxels_sha256",
)  # fmt: skip
_MEASURED = ("volume_ml", "mean_hu")


@dataclass
class Row:
    """One case.

    Attributes:
        case: its name.
        source: its input.
        series: of the input, "" where there is one.
        state: `WAITING`, `DONE` or `FAILED`.
        error: why it failed, one sentence.
        values: the other columns.
    """

    case: str
    source: str
    series: str = ""
    state: str = WAITING
    error: str = ""
    values: Mapping[str, Any] = field(default_factory=dict)


def values_of(manifest: Mapping[str, Any]) -> dict[str, Any]:
    """The columns of one result: `<organ>.state`, `.volume_ml`, `.mean_hu`; `<organ>.<finding>.state`, `.score`.

    What could not be assessed has the state that says so, or no column, and never a score.
    """
    given, run, findings = manifest["input"], manifest.get("run", {}), manifest.get("findings") or {}
    values: dict[str, Any] = {
        "seconds": round(sum(run.get("seconds", {}).values()), 2),
        "shape": " ".join(str(n) for n in given["shape"]),
        "spacing_mm": " ".join(f"{step:g}" for step in given["spacing_mm"]),
        "device": run.get("device", ""),
        "model": manifest["model"]["id"],
        "findings_model": (findings.get("model") or {}).get("id", ""),
        "warnings": " ".join(warning["code"] for warning in manifest.get("warnings", ())),
        "voxels_sha256": given["voxels_sha256"],
    }
    for organ, entry in manifest["structures"].items():
        values[f"{organ}.state"] = entry["state"]
        values |= {f"{organ}.{name}": entry[name] for name in _MEASURED if name in entry}
    for finding in findings.get("findings", ()):
        side = f".{finding['side']}" if finding.get("side") and finding["side"] not in finding["organ"] else ""
        place = f"{finding['organ']}.{finding['finding']}{side}"
        values[f"{place}.state"] = finding["state"]
        if "present_above" in finding and "score" in finding:
            values[f"{place}.score"] = finding["score"]
    return values


def write_table(rows: Sequence[Row], folder: Path, fixed: tuple[str, ...] = CT_COLUMNS) -> Path:
    """Write the table, whole or not at all.

    Columns are those that any case has, organs before findings; a finding that no case could be assessed for has none.

    Args:
        rows: the cases.
        folder: where `TABLE` goes.
        fixed: columns that are always there, the first ones.

    Raises:
        InputError, ResourceError: it cannot be written.
    """
    columns = dict.fromkeys((*fixed, *(name for row in rows for name in row.values)))
    kept = [name for name in columns if name in fixed or not _is_never_assessed(name, rows)]
    ordered = sorted(kept, key=lambda name: 0 if name in fixed else name.count("."))
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(ordered)
    for row in rows:
        own = {"case": row.case, "source": row.source, "series": row.series, "state": row.state, "error": row.error}
        cells = {**row.values, **own}
        writer.writerow([cells.get(name, "") for name in ordered])
    atomic_bytes(folder / TABLE, text.getvalue().encode("utf-8", "backslashreplace"))
    return folder / TABLE


def _is_never_assessed(column: str, rows: Sequence[Row]) -> bool:
    if column.count(".") < 2 or not column.endswith(".state"):
        return False
    return all(row.values.get(column, "not_assessable") == "not_assessable" for row in rows)
