"""The page of a result of CT: findings and organs at the left."""

from __future__ import annotations

from MedFMLib.scene_errors import SceneError
from trame.widgets import vuetify3 as v

from medfm_core import RESEARCH_USE
from medfm_core.viewer.base_page import BasePage
from medfm_core.viewer.room import Room
from medfm_core.viewer.sources import Shown

_NO_SCAN = "The scan was not given, so the organs stand on black. Start again with: medfm view RESULT SCAN"


class Page(BasePage):
    """See `BasePage`.

    Args:
        shown: the result and its scan.
    """

    room: Room

    def __init__(self, shown: Shown) -> None:
        room = Room(shown)
        state = {
            "findings": room.findings(), "organs": room.organs(), "chosen": "", "organs_on": True, "surfaces": False,
            "saliency_on": False, "saliency_there": False, "remark": RESEARCH_USE if shown.has_scan else _NO_SCAN,
        }  # fmt: skip
        super().__init__(room, state)
        self.state.surfaces = room.has_surfaces
        self.state.change("organs_on")(lambda organs_on, **_: room.show_organs(organs_on))
        self.state.change("surfaces")(self._on_surfaces)
        self.state.change("saliency_on")(self._on_saliency)

    def select_finding(self, key: str) -> None:
        """Centre on a finding and show its map."""
        self.state.chosen = key
        try:
            there = self.room.select(key)
            self.state.remark = next(row["wording"] for row in self.state.findings if row["key"] == key)
        except SceneError as error:
            there, self.state.remark = False, str(error)
        self.state.saliency_there = self.state.saliency_on = there
        if there:
            self.state.threshold = round(100 * self.room.bridge.saliency_threshold())

    def select_organ(self, name: str) -> None:
        """Centre on an organ."""
        self.state.chosen = name
        self.room.go_to(name)

    def switches(self) -> None:
        """See `BasePage`."""
        self.switch("organs_on", "Organs")
        self.switch("surfaces", "3D")
        self.switch("saliency_on", "Saliency", "!saliency_there")
        self.slider("opacity", "Opacity", "!saliency_on")
        self.slider("threshold", "Threshold", "!saliency_on")

    def lists(self) -> None:
        """See `BasePage`."""
        v.VListSubheader("Findings")
        v.VListItem(
            v_for="row in findings", key="row.key", title=("row.title",), subtitle=("row.remark",),
            active=("chosen === row.key",), append_icon=("row.has_map ? 'mdi-eye-outline' : ''",),
            click=(self.select_finding, "[row.key]"), classes="finding",
        )  # fmt: skip
        v.VListSubheader("Organs")
        item = v.VListItem(
            v_for="row in organs", key="row.name", title=("row.title",), subtitle=("row.remark",),
            active=("chosen === row.name",), click=(self.select_organ, "[row.name]"), classes="organ",
        )  # fmt: skip
        with item, v.Template(v_slot_prepend=True):
            v.VIcon("mdi-square", color=("row.colour",), size="small")

    def _on_surfaces(self, surfaces: bool, **_: object) -> None:
        if surfaces != self.room.has_surfaces:
            self.room.show_surfaces(surfaces)

    def _on_saliency(self, saliency_on: bool, **_: object) -> None:
        showing = self.room.bridge.saliency is not None
        if showing and not saliency_on:
            self.room.hide_saliency()
        elif saliency_on and not showing and self.state.saliency_there:
            self.room.select(self.state.chosen)
