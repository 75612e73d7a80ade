"""The page of a result of brain MRI: views in the middle, scans and maps at the left, switch and sliders above."""

from __future__ import annotations

from MedFMLib.brain_case import NO_FINDINGS
from MedFMLib.scene_errors import SceneError
from trame.app import TrameApp
from trame.widgets import client
from trame.widgets import vuetify3 as v
from trame_slicer.core import LayoutManager
from trame_slicer.rca_view import register_rca_factories
from trame_vuetify.ui.vuetify3 import VAppLayout

from medfm_core import RESEARCH_USE
from medfm_core.viewer.brain_room import BrainRoom
from medfm_core.viewer.sources import ShownBrain

_LAYOUT = "Quad View"
_NO_SCAN = "Not all scans were given; those that were not are black. Start again with: medfm view RESULT SCAN SCAN"


class BrainPage(TrameApp):
    """The application that the server serves; keep a reference to it, else the scene is collected.

    Args:
        shown: the result and its scans.
    """

    def __init__(self, shown: ShownBrain) -> None:
        super().__init__(server=None, client_type="vue3")
        self.room = BrainRoom(shown)
        self._remark = f"{NO_FINDINGS} {RESEARCH_USE}" if shown.has_scan else _NO_SCAN
        self.state.trame__title = "MedFM"
        self.state.update(
            {
                "scans": self.room.scans(), "maps": self.room.maps(), "chosen": "", "showing": "", "map_on": False,
                "has_threshold": False, "opacity": 60, "threshold": 0, "remark": self._remark,
            }
        )  # fmt: skip
        register_rca_factories(self.room.app.view_manager, self.server)
        self._layout = LayoutManager(self.room.app.scene, self.room.app.view_manager, self.server)
        layouts = LayoutManager.default_grid_configuration()
        self._layout.register_layout(_LAYOUT, layouts[_LAYOUT])
        self._layout.set_layout(_LAYOUT)
        self._build()
        self.room.fill()
        self.state.showing = self.room.showing
        self.state.change("map_on")(self._on_map)
        self.state.change("opacity")(lambda opacity, **_: self.room.set_opacity(opacity / 100))
        self.state.change("threshold")(lambda threshold, **_: self.room.set_threshold(threshold / 100))
        if self.state.maps:
            self.select_map(self.state.maps[0]["key"])

    def select_map(self, key: str) -> None:
        """Show a map over its scan."""
        self.state.chosen = key
        try:
            self.state.remark = self.room.select(key).wording
            self.state.map_on = True
        except SceneError as error:
            self.state.remark, self.state.map_on = str(error), False
        self.state.showing = self.room.showing
        self._told()

    def select_scan(self, name: str) -> None:
        """Show a scan without any map."""
        self.room.show_scan(name)
        self.state.update({"chosen": "", "showing": name, "map_on": False, "remark": self._remark})
        self._told()

    def _told(self) -> None:
        """Only saliency has a threshold; a map of experts has none."""
        share = self.room.bridge.saliency_threshold()
        self.state.has_threshold = share is not None
        if share is not None:
            self.state.threshold = round(100 * share)

    def _on_map(self, map_on: bool, **_: object) -> None:
        is_shown = self.room.bridge.saliency is not None or self.room.bridge.routing is not None
        if is_shown and not map_on:
            self.room.hide_saliency()
        elif map_on and not is_shown and self.state.chosen:
            self.select_map(self.state.chosen)

    def _build(self) -> None:
        with VAppLayout(self.server, theme="dark") as self.ui:
            client.Style("html { overflow: hidden; }")
            with v.VAppBar(density="compact"):
                v.VAppBarTitle("MedFM, research use only", classes="text-body-2")
                v.VSwitch(
                    v_model="map_on", label="Map", id="map_on", disabled=("!chosen",), density="compact",
                    hide_details=True, color="primary", classes="mx-3", inset=True,
                )  # fmt: skip
                for name, label, off in (
                    ("opacity", "Opacity", "!map_on"), ("threshold", "Threshold", "!map_on || !has_threshold")
                ):  # fmt: skip
                    v.VSlider(
                        v_model=name, label=label, id=name, min=0, max=100, step=1, density="compact",
                        hide_details=True, disabled=(off,), style="max-width: 15rem", classes="mx-3",
                    )  # fmt: skip
            with v.VNavigationDrawer(permanent=True, width=300), v.VList(density="compact", nav=True):
                self._lists()
            with v.VMain(style="height: 100vh"):
                self._layout.initialize_layout_grid(self.ui)
            with v.VFooter(app=True, classes="text-caption"):
                v.VLabel("{{ remark }}", classes="text-caption", style="white-space: normal")

    def _lists(self) -> None:
        v.VListSubheader("Scans")
        v.VListItem(
            v_for="row in scans", key="row.name", title=("row.name",), subtitle=("row.remark",),
            active=("showing === row.name",), click=(self.select_scan, "[row.name]"), classes="scan",
        )  # fmt: skip
        v.VListSubheader("Maps")
        v.VListItem(
            v_for="row in maps", key="row.key", title=("row.title",), active=("chosen === row.key",),
            prepend_icon=("row.kind === 'saliency' ? 'mdi-fire' : 'mdi-view-grid-outline'",),
            click=(self.select_map, "[row.key]"), classes="map",
        )  # fmt: skip
