"""The install page: what is there, what is missing, and one button that installs it."""

from __future__ import annotations

from typing import Any

from .install import InstallState
from .panel_qt import Toolkit, put, say, show
from .view_model import PanelModel

_NEEDS_A_LOOK = (InstallState.INCOMPLETE, InstallState.FAILED)


class InstallPage:
    """Unfolds where something is missing, and folds once all of it works."""

    def __init__(self, ui: Any, model: PanelModel, toolkit: Toolkit) -> None:
        self._ui, self._model, self._state = ui, model, InstallState.UNKNOWN
        toolkit.connect(ui.installButton, "clicked()", model.install.install)
        toolkit.connect(ui.checkButton, "clicked()", lambda: model.install.check(model.choices.device))

    def refresh(self) -> None:
        """Show what is known."""
        ui, view = self._ui, self._model.install.view()
        say(ui.installLabel, view.message or "Not checked yet.")
        lines = [line.text for line in view.packages if not line.is_met] or [line.text for line in view.packages]
        say(ui.packagesLabel, "\n".join(lines) if view.state in _NEEDS_A_LOOK else ", ".join(lines))
        for widget in (ui.commandEdit, ui.commandEditTitle):
            show(widget, bool(view.command))
        put(ui.commandEdit, text=view.command)
        size = f" (about {view.megabytes} MB)" if view.megabytes else ""
        put(ui.installButton, enabled=view.is_install_enabled, text=f"&Install{size}")
        put(ui.checkButton, enabled=view.state not in (InstallState.CHECKING, InstallState.INSTALLING))
        put(ui.installSection, toolTip=view.python)
        if view.state is not self._state:
            self._state = view.state
            if view.state in (*_NEEDS_A_LOOK, InstallState.READY):
                ui.installSection.setProperty("collapsed", view.state is InstallState.READY)
