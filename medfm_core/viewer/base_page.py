"""What every viewer's page has: views in the middle, lists at the left, switches above, a remark below."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from trame.app import TrameApp
from trame.widgets import client
from trame.widgets import vuetify3 as v
from trame_slicer.core import LayoutManager
from trame_slicer.rca_view import register_rca_factories
from trame_vuetify.ui.vuetify3 import VAppLayout

from medfm_core.viewer.stage import Stage

_LAYOUT = "Quad View"
_COMPACT = {"density": "compact", "hide_details": True}


class BasePage(TrameApp):
    """The application that the server serves; keep a reference to it, else the scene is collected.

    Args:
        room: the scene, filled here once the views are there.
        state: what the page shows at first, beside the sliders; `remark` is the line at the bottom.
    """

    def __init__(self, room: Stage, state: Mapping[str, Any]) -> None:
        super().__init__(server=None, client_type="vue3")
        self.room = room
        self.state.trame__title = "MedFM"
        self.state.update({"opacity": 60, "threshold": 0, **state})
        register_rca_factories(room.app.view_manager, self.server)
        self._layout = LayoutManager(room.app.scene, room.app.view_manager, self.server)
        layouts = LayoutManager.default_grid_configuration()
        self._layout.register_layout(_LAYOUT, layouts[_LAYOUT])
        self._layout.set_layout(_LAYOUT)
        self._build()
        room.fill()
        self.state.change("opacity")(lambda opacity, **_: room.set_opacity(opacity / 100))
        self.state.change("threshold")(lambda threshold, **_: room.set_threshold(threshold / 100))

    def switches(self) -> None:
        """Make the switches and sliders of the bar."""
        raise NotImplementedError

    def lists(self) -> None:
        """Make the entries of the list at the left."""
        raise NotImplementedError

    def switch(self, name: str, label: str, off: str = "false") -> None:
        """A switch over a variable of the state.

        Args:
            name: of the variable.
            label: beside it.
            off: in the page's own language, when it cannot be moved.
        """
        more = {"color": "primary", "classes": "mx-3", "inset": True, "disabled": (off,)}
        v.VSwitch(v_model=name, label=label, id=name, **_COMPACT, **more)

    def slider(self, name: str, label: str, off: str) -> None:
        """A slider from 0 to 100 over a variable of the state; see `switch`."""
        more = {"min": 0, "max": 100, "step": 1, "disabled": (off,), "style": "max-width: 15rem", "classes": "mx-3"}
        v.VSlider(v_model=name, label=label, id=name, **_COMPACT, **more)

    def _build(self) -> None:
        with VAppLayout(self.server, theme="dark") as self.ui:
            client.Style("html { overflow: hidden; }")
            with v.VAppBar(density="compact"):
                v.VAppBarTitle("MedFM, research use only", classes="text-body-2")
                self.switches()
            with v.VNavigationDrawer(permanent=True, width=300), v.VList(density="compact", nav=True):
                self.lists()
            with v.VMain(style="height: 100vh"):
                self._layout.initialize_layout_grid(self.ui)
            with v.VFooter(app=True, classes="text-caption"):
                v.VLabel("{{ remark }}", classes="text-caption", style="white-space: normal")
