"""The page of a result of brain MRI: scans and maps at the left."""

from __future__ import annotations

from MedFMLib.brain_case import NO_FINDINGS
from MedFMLib.scene_errors import SceneError
from trame.widgets import vuetify3 as v

from medfm_core import RESEARCH_USE
from medfm_core.viewer.base_page import BasePage
from medfm_core.viewer.brain_room import BrainRoom
from medfm_core.viewer.sources import ShownBrain

_NO_SCAN = "Not all scans were given; those that were not are black. Start again with: medfm view RESULT SCAN SCAN"


class BrainPage(BasePage):
    """See `BasePage`.

    Args:
        shown: the result and its scans.
    """

    room: BrainRoom

    def __init__(self, shown: ShownBrain) -> None:
        room = BrainRoom(shown)
        self._remark = f"{NO_FINDINGS} {RESEARCH_USE}" if shown.has_scan else _NO_SCAN
        state = {
            "scans": room.scans(), "maps": room.maps(), "chosen": "", "showing": "", "map_on": False,
            "has_threshold": False, "remark": self._remark,
        }  # fmt: skip
        super().__init__(room, state)
        self.state.showing = room.showing
        self.state.change("map_on")(self._on_map)
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

    def switches(self) -> None:
        """See `BasePage`."""
        self.switch("map_on", "Map", "!chosen")
        self.slider("opacity", "Opacity", "!map_on")
        self.slider("threshold", "Threshold", "!map_on || !has_threshold")

    def lists(self) -> None:
        """See `BasePage`."""
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
