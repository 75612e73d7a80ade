"""What the panel shows of a result: the list of findings, the one map over the scan, and what is asked about it."""

from __future__ import annotations

from pathlib import Path

from .brain_maps import SALIENCY, BrainMap, brain_maps
from .client import WorkerClient
from .findings_table import FindingRow, FindingsTable
from .host import SceneHost
from .results import Result, ResultError
from .run import RunModel
from .signals import Signal
from .studies import StudyModel


class ShownResult:
    """A result as the user goes through it.

    Args:
        client: the worker.
        host: the scene.

    Attributes:
        run, findings, study: the parts, each with its own `changed`.
        changed: called when one of them changed.
        shown: the finding whose saliency map is shown, with its organ, or of brain MRI the kind of the map and its
            key; None for none.
        problem: what the scene could not do last, one sentence; "" where it could.
    """

    def __init__(self, client: WorkerClient, host: SceneHost) -> None:
        self._host = host
        self.changed = Signal()
        self.run = RunModel(client, host)
        self.findings, self.study = FindingsTable(), StudyModel(client)
        self.shown: tuple[str, str] | None = None
        self.problem = ""
        self.run.finished.connect(lambda volume, result: self._show(result))

    def click(self, finding: str, organ: str) -> bool:
        """A line of the table was clicked: centre the views on its organ, and show its saliency map if it has one."""
        row = self.findings.row_of(finding, organ)
        if row is None or self.run.volume is None or not self._host.is_alive(self.run.volume):
            return False
        self.problem = ""
        if row.centre_ras is not None:
            self._host.centre_on(row.centre_ras)
        if row.saliency is None:
            self.hide_saliency()
        else:
            self._show_saliency(row)
        self.changed.emit()
        return row.centre_ras is not None

    def show_map(self, key: str) -> bool:
        """Show a map of brain MRI in the place of any other; whether the result has it, and it could be shown.

        Args:
            key: of one of `maps()`; "" hides what is shown.
        """
        chosen = next((one for one in self.maps() if one.key == key), None)
        volume = None if chosen is None else self.run.scans.get(chosen.scan)
        self.problem = ""
        if volume is None or not self._host.is_alive(volume):
            self.hide_saliency()
            return False
        show = self._host.show_saliency if chosen.kind == SALIENCY else self._host.show_routing
        try:
            show(volume, str(chosen.path), chosen.title)
            self.shown = chosen.kind, chosen.key
        except ResultError as error:
            self.problem = str(error)
        self.changed.emit()
        return not self.problem

    def maps(self) -> tuple[BrainMap, ...]:
        """The maps of a result of brain MRI whose scans are in the scene; none for CT."""
        return tuple(one for one in brain_maps(self.run.result) if one.scan in self.run.scans)

    def hide_saliency(self) -> None:
        """Show no map, and the views as they were."""
        if self.shown is not None:
            self.shown = None
            self._host.hide_saliency()
            self.changed.emit()

    def report(self) -> Path | None:
        """The report of the result; None where there is none."""
        return self.run.result.report if self.run.result is not None else None

    def _show_saliency(self, row: FindingRow) -> None:
        try:
            self._host.show_saliency(self.run.volume, str(row.saliency), row.label)
            self.shown = row.finding, row.organ
        except ResultError as error:
            self.problem = str(error)

    def _show(self, result: Result | None) -> None:
        """List another result; of brain MRI a map too, as nothing else of it is seen in the views."""
        self.hide_saliency()
        self.findings.show(result)
        self.study.show(result)
        self.shown = self._already_shown()
        for first in self.maps()[:1] if self.shown is None else ():
            self.show_map(first.key)

    def _already_shown(self) -> tuple[str, str] | None:
        """The map of the result that the views show, as in a scene that was saved with it."""
        if self.run.result is None:
            return None
        for one in self.maps():
            if self._host.shown_map(self.run.scans[one.scan]) == one.path.name:
                return one.kind, one.key
        name = self._host.shown_map(self.run.volume)
        found = (key for key, path in self.run.result.saliency.items() if path.name == name)
        return next(found, None)
