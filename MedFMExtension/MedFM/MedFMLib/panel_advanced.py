"""Settings of the computer, the log, and a report for bug reports."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from .panel_dialogs import Dialogs
from .panel_qt import Toolkit, get, put, say
from .panel_settings import Settings
from .view_model import PRIVACY, PanelModel


class AdvancedPage:
    """Takes the settings when they are applied, not while they are typed."""

    def __init__(self, ui: Any, model: PanelModel, toolkit: Toolkit, settings: Settings, dialogs: Dialogs) -> None:
        self._ui, self._model, self._settings, self._dialogs = ui, model, settings, dialogs
        self._edits = {
            "Python": ui.pythonEdit,
            "KeepIn": ui.keepEdit,
            "Cache": ui.cacheEdit,
            "Endpoint": ui.endpointEdit,
            "Authorities": ui.authoritiesEdit,
            "Proxy": ui.proxyEdit,
            "Card": ui.cardEdit,
        }
        for name, edit in self._edits.items():
            put(edit, text=settings[name])
            toolkit.connect(edit, "textChanged(QString)", lambda text: self._refresh_apply())
        put(ui.offlineCheck, checked=settings["Offline"] == "1")
        toolkit.connect(ui.offlineCheck, "toggled(bool)", lambda on: self._refresh_apply())
        for button, edit, is_folder in (
            (ui.pythonButton, ui.pythonEdit, False),
            (ui.keepButton, ui.keepEdit, True),
            (ui.cacheButton, ui.cacheEdit, True),
            (ui.authoritiesButton, ui.authoritiesEdit, False),
            (ui.cardButton, ui.cardEdit, False),
        ):
            toolkit.connect(button, "clicked()", lambda edit=edit, is_folder=is_folder: self._browse(edit, is_folder))
        toolkit.connect(ui.applySettingsButton, "clicked()", self._apply)
        toolkit.connect(ui.diagnosisButton, "clicked()", lambda: dialogs.copy(model.diagnosis()))
        say(ui.privacyLabel, PRIVACY)
        model.weights.card.name(settings["Card"], is_new=False)
        self._refresh_apply()

    def _entered(self) -> dict[str, str]:
        entered = {name: get(edit, "text").strip() for name, edit in self._edits.items()}
        return {**entered, "Offline": "1" if get(self._ui.offlineCheck, "checked") else ""}

    def _refresh_apply(self) -> None:
        differs = any(self._settings[name] != value for name, value in self._entered().items())
        put(self._ui.applySettingsButton, enabled=differs)

    def _browse(self, edit: Any, is_folder: bool) -> None:
        title = get(edit, "toolTip").partition(";")[0]
        path = self._dialogs.folder(title) if is_folder else self._dialogs.file(title)
        if path:
            put(edit, text=path)
            self._refresh_apply()

    def _apply(self) -> None:
        is_other_card = self._settings["Card"] != self._entered()["Card"]
        for name, value in self._entered().items():
            self._settings[name] = value
        self._model.choose(replace(self._model.choices, keep_in=self._settings["KeepIn"]))
        if is_other_card:
            self._model.weights.card.name(self._settings["Card"])
        self._model.settings_changed()
        self._refresh_apply()
