"""The panel: widgets of `MedFM.ui` bound to `PanelModel`, alike in Slicer and in a plain window."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from .panel_advanced import AdvancedPage
from .panel_analysis import AnalysisPage
from .panel_brain import BrainPage
from .panel_dialogs import Dialogs
from .panel_findings import FindingsPage
from .panel_install import InstallPage
from .panel_overlay import OverlayPage
from .panel_qt import Toolkit, say
from .panel_settings import Settings
from .panel_study import StudyPage
from .panel_weights import WeightsPage
from .scene import SlicerScene
from .view_model import NOTICE, Choices, PanelModel

PUMP_MS = 50


@dataclass(frozen=True)
class Surroundings:
    """What the panel stands on.

    Attributes:
        toolkit: Qt.
        scene: where volumes and results are.
        settings: of the computer.
        dialogs: ask the user.
        on_choices: called with the choices of the case after the user chose.
    """

    toolkit: Toolkit
    scene: SlicerScene
    settings: Settings
    dialogs: Dialogs
    on_choices: Callable[[Choices], None] = lambda choices: None


class Panel:
    """Binds widgets and model; it holds no state but what the widgets show.

    Args:
        ui: has every named widget of `MedFM.ui` as an attribute.
        model: of the panel.
        around: what it stands on.

    Attributes:
        analysis, findings: the pages that others speak to.
        timer: runs while anything is awaited.
    """

    def __init__(self, ui: Any, model: PanelModel, around: Surroundings) -> None:
        toolkit, dialogs, settings = around.toolkit, around.dialogs, around.settings
        self._model, self._is_stale, self._is_asked, self._is_closed = model, False, False, False
        self.timer = toolkit.qt.QTimer()
        self.timer.setInterval(PUMP_MS)
        toolkit.connect(self.timer, "timeout()", self.tick)
        say(ui.noticeLabel, NOTICE)
        keep = lambda: around.on_choices(model.choices)  # noqa: E731
        self.analysis = AnalysisPage(ui, model, toolkit, settings, keep)
        self.findings = FindingsPage(ui, model, toolkit, dialogs)
        self._pages = (
            InstallPage(ui, model, toolkit),
            self.analysis,
            self.findings,
            BrainPage(ui, model, toolkit, keep),  # after those whose widgets it hides
            OverlayPage(ui, model, toolkit, around.scene),
            StudyPage(ui, model, toolkit, dialogs),
            WeightsPage(ui, model, toolkit, dialogs),
        )
        self._advanced = AdvancedPage(ui, model, toolkit, settings, dialogs)
        model.weights.card.chosen.connect(lambda line: keep())
        model.changed.connect(self._on_change)
        self._refresh()

    def tick(self) -> None:
        """Take what has come, show it, and rest once nothing is awaited."""
        if self._is_closed:
            return
        self._is_asked = False
        goes_on = self._model.pump()
        if self._is_stale:
            self._refresh()
        else:
            self.analysis.refresh_run()  # the time that is left goes down between two events
        if not goes_on and not self._is_asked:
            self.timer.stop()

    def close(self) -> None:
        """Show nothing any more; the widgets may go."""
        self._is_closed = True
        self.timer.stop()
        self._model.changed.disconnect(self._on_change)

    def _on_change(self) -> None:
        self._is_stale = self._is_asked = True
        if not self.timer.isActive():
            self.timer.start()

    def _refresh(self) -> None:
        self._is_stale = False
        for page in self._pages:
            page.refresh()
