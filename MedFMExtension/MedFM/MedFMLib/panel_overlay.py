"""How the saliency map and the organs lie over the scan."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .panel_qt import Toolkit, get, put
from .view_model import PanelModel

if TYPE_CHECKING:
    from .scene import SlicerScene


class OverlayPage:
    """Sliders of the map that is shown, and the surfaces.

    Args:
        ui: the widgets.
        model: of the panel.
        toolkit: Qt.
        scene: where the map is.
    """

    def __init__(self, ui: Any, model: PanelModel, toolkit: Toolkit, scene: SlicerScene) -> None:
        self._ui, self._model, self._scene = ui, model, scene
        self._shown: tuple[str, str] | None = None
        toolkit.connect(ui.opacitySlider, "valueChanged(int)", lambda value: scene.set_saliency_opacity(value / 100))
        toolkit.connect(ui.thresholdSlider, "valueChanged(int)", lambda v: scene.set_saliency_threshold(v / 100))
        toolkit.connect(ui.surfacesCheck, "toggled(bool)", self._on_surfaces)

    def refresh(self) -> None:
        """Show what is in force."""
        shown, ui = self._model.shown, self._ui
        put(ui.opacitySlider, enabled=shown is not None)
        if shown != self._shown:
            self._shown = shown
            share = self._scene.saliency_threshold()  # None for a map of experts, which has no threshold
            put(ui.thresholdSlider, enabled=share is not None)
            if share is not None:
                put(ui.thresholdSlider, value=round(100 * share))
            if shown is not None:
                self._scene.set_saliency_opacity(get(ui.opacitySlider, "value") / 100)
        elif shown is None:
            put(ui.thresholdSlider, enabled=False)
        organs = self._organs()
        put(ui.surfacesCheck, enabled=organs is not None)
        if organs is None:
            put(ui.surfacesCheck, checked=False)

    def _organs(self) -> Any:
        volume = self._model.run.volume
        alive = volume is not None and self._scene.is_alive(volume)
        return self._scene.segmentation(volume) if alive else None

    def _on_surfaces(self, on: bool) -> None:
        from .scene_segments import show_surfaces

        organs = self._organs()
        if organs is not None:
            show_surfaces(organs, on)
