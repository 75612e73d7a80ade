"""The findings as a table node, for Slicer's table views, its export and the saved scene."""

from __future__ import annotations

import slicer
import vtk

from .findings_table import STATE_WORDS
from .results import Finding, Result
from .scene_nodes import place_under

COLUMNS = ("Organ", "Finding", "State", "Score", "Present from", "Remark", "Name", "Organ name")
_NOTICE = "Research use only, not a diagnosis."


def add_findings(
    scene: slicer.vtkMRMLScene, result: Result, volume: slicer.vtkMRMLVolumeNode
) -> slicer.vtkMRMLTableNode:
    """Add the findings of a result, one row each; the last two columns are for programs.

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


def _row(finding: Finding, result: Result) -> tuple[str, ...]:
    return (
        result.title_of(finding.organ),
        finding.label,
        STATE_WORDS[finding.state],
        _number(finding.score),
        _number(finding.present_from),
        finding.reason,
        finding.name,
        finding.organ,
    )


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.3f}"
