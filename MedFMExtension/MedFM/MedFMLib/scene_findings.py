"""The findings as a table node, for Slicer's table views, its export and the saved scene."""

from __future__ import annotations

from collections.abc import Mapping

import slicer
import vtk

from .findings_table import STATE_WORDS
from .results import Finding, Result
from .scene_nodes import place_under

_FOR_READERS = ("Organ", "Finding", "State", "Score", "Present from", "Remark")
_FOR_PROGRAMS = (
    "Name", "Organ name", "Side", "Size in mm", "Exact score", "Exact present from", "Absent below", "Lowest score",
    "Highest score",
)  # fmt: skip
COLUMNS = (*_FOR_READERS, *_FOR_PROGRAMS)
_NEEDED = {"Finding", "State", "Name", "Organ name"}
_NOTICE = "Research use only, not a diagnosis."


def add_findings(
    scene: slicer.vtkMRMLScene, result: Result, volume: slicer.vtkMRMLVolumeNode
) -> slicer.vtkMRMLTableNode:
    """Add the findings of a result, one row each; the columns behind the remark are for programs.

    Args:
        scene: where to.
        result: whose findings.
        volume: what was analysed.

    Returns:
        The node, locked, below the volume in the subject hierarchy.
    """
    rows = [_row(finding, result) for finding in result.findings]
    table = vtk.vtkTable()
    for index, name in enumerate(COLUMNS):
        column = vtk.vtkStringArray()
        column.SetName(name)
        for row in rows:
            column.InsertNextValue(row[index])
        table.AddColumn(column)
    node = scene.AddNewNodeByClass("vtkMRMLTableNode", f"{volume.GetName()} findings")
    node.SetAndObserveTable(table)
    node.SetUseColumnTitleAsColumnHeader(True)
    node.SetLocked(True)
    node.SetDescription(_NOTICE)
    place_under(scene, node, volume)
    return node


def read_findings(node: slicer.vtkMRMLTableNode) -> tuple[Finding, ...]:
    """The findings of a table that `add_findings` made, as after its scene was saved and opened again.

    Args:
        node: the table; one of an older release may lack columns for programs.

    Raises:
        ValueError: it holds no findings.
    """
    columns = {node.GetColumnName(index): index for index in range(node.GetNumberOfColumns())}
    if not set(columns) >= _NEEDED:
        raise ValueError(f"a table of findings has the columns {', '.join(sorted(_NEEDED))}")
    rows = range(node.GetNumberOfRows())
    return tuple(_finding({name: node.GetCellText(row, at) for name, at in columns.items()}) for row in rows)


def _row(finding: Finding, result: Result) -> tuple[str, ...]:
    return (
        result.title_of(finding.organ),
        finding.label,
        STATE_WORDS[finding.state],
        _rounded(finding.score),
        _rounded(finding.present_from),
        finding.reason,
        finding.name,
        finding.organ,
        finding.side,
        *map(_exact, (finding.size_mm, finding.score, finding.present_from, finding.absent_below)),
        *map(_exact, finding.spread or (None, None)),
    )


def _finding(cells: Mapping[str, str]) -> Finding:
    def number(*names: str) -> float | None:
        """Of the first column that there is."""
        text = next((cells[name] for name in names if name in cells), "")
        return float(text) if text else None

    states = {word: state for state, word in STATE_WORDS.items()}
    if cells["State"] not in states:
        raise ValueError(f"{cells['State']!r} is no state of a finding")
    low, high = number("Lowest score"), number("Highest score")
    return Finding(
        name=cells["Name"],
        label=cells["Finding"],
        organ=cells["Organ name"],
        side=cells.get("Side", ""),
        state=states[cells["State"]],
        score=number("Exact score", "Score"),
        spread=None if low is None or high is None else (low, high),
        absent_below=number("Absent below"),
        present_from=number("Exact present from", "Present from"),
        size_mm=number("Size in mm"),
        reason=cells.get("Remark", ""),
    )


def _rounded(value: float | None) -> str:
    return "" if value is None else f"{value:.3f}"


def _exact(value: float | None) -> str:
    return "" if value is None else repr(value)
