"""The viewer's page: views in the middle, findings and organs at the left, switches above."""

from __future__ import annotations

import logging

from MedFMLib.scene_errors import SceneError
from trame.app import TrameApp
from trame.widgets import client
from trame.widgets import vuetify3 as v
from trame_slicer.core import LayoutManager
from trame_slicer.rca_view import register_rca_factories
from trame_vuetify.ui.vuetify3 import VAppLayout

from medfm_core import RESEARCH_USE
from medfm_core.viewer.room import Room
from medfm_core.viewer.sources import Shown

_LOG = logging.getLogger(__name__)
_LAYOUT = "Quad View"
_NO_SCAN = "The scan was not given, so the organs stand on black. Start again with: medfm view RESULT SCAN"


class Page(TrameApp):
    """The application that the server serves; keep a reference to it, else the scene is collected.

    Args:
        shown: the result and its scan.
    """

    def __init__(self, shown: Shown) -> None:
        super().__init__(server=None, client_type="vue3")
        self.room = Room(shown)
        self._set_state(shown)
        register_rca_factories(self.room.app.view_manager, self.server)
        self._layout = LayoutManager(self.room.app.scene, self.room.app.view_manager, self.server)
        layouts = LayoutManager.default_grid_configuration()
        self._layout.register_layout(_LAYOUT, layouts[_LAYOUT])
        self._layout.set_layout(_LAYOUT)
        self._build()
        self.room.fill()
        self.state.surfaces = self.room.has_surfaces
        self._listen()

    def _set_state(self, shown: Shown) -> None:
        self.state.trame__title = "MedFM"
        self.state.update(
            {
                "findings": self.room.findings(),
                "organs": self.room.organs(),
                "chosen": "",
                "organs_on": True,
                "surfaces": False,
                "saliency_on": False,
                "saliency_there": False,
                "opacity": 60,
                "threshold": 0,
                "remark": RESEARCH_USE if shown.has_scan else _NO_SCAN,
            }
        )

    def _listen(self) -> None:
        self.state.change("organs_on")(lambda organs_on, **_: self.room.show_organs(organs_on))
        self.state.change("surfaces")(self._on_surfaces)
        self.state.change("saliency_on")(self._on_saliency)
        self.state.change("opacity")(lambda opacity, **_: self.room.set_opacity(opacity / 100))
        self.state.change("threshold")(self._on_threshold)

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

    def _on_surfaces(self, surfaces: bool, **_: object) -> None:
        if surfaces != self.room.has_surfaces:
            self.room.show_surfaces(surfaces)

    def _on_saliency(self, saliency_on: bool, **_: object) -> None:
        showing = self.room.bridge.saliency is not None
        if showing and not saliency_on:
            self.room.hide_saliency()
        elif saliency_on and not showing and self.state.saliency_there:
            self.room.select(self.state.chosen)

    def _on_threshold(self, threshold: float, **_: object) -> None:
        self.room.set_threshold(threshold / 100)

    def _build(self) -> None:
        with VAppLayout(self.server, theme="dark") as self.ui:
            client.Style("html { overflow: hidden; }")
            with v.VAppBar(density="compact"):
                v.VAppBarTitle("MedFM, research use only", classes="text-body-2")
                self._switches()
            with v.VNavigationDrawer(permanent=True, width=300):
                self._lists()
            with v.VMain(style="height: 100vh"):
                self._layout.initialize_layout_grid(self.ui)
            with v.VFooter(app=True, classes="text-caption"):
                v.VLabel("{{ remark }}", classes="text-caption", style="white-space: normal")

    def _switches(self) -> None:
        shared = {"density": "compact", "hide_details": True, "color": "primary", "classes": "mx-3", "inset": True}
        v.VSwitch(v_model="organs_on", label="Organs", id="organs_on", **shared)
        v.VSwitch(v_model="surfaces", label="3D", id="surfaces", **shared)
        v.VSwitch(v_model="saliency_on", label="Saliency", id="saliency_on", disabled=("!saliency_there",), **shared)
        for name, label in (("opacity", "Opacity"), ("threshold", "Threshold")):
            v.VSlider(
                v_model=name, label=label, id=name, min=0, max=100, step=1, density="compact", hide_details=True,
                disabled=("!saliency_on",), style="max-width: 15rem", classes="mx-3",
            )  # fmt: skip

    def _lists(self) -> None:
        with v.VList(density="compact", nav=True):
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
