"""The scene of a result of brain MRI, and what can be done in it; knows nothing of pages and buttons."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from MedFMLib.brain_maps import SALIENCY, BrainMap, brain_maps

from medfm_core.viewer.stage import Stage

if TYPE_CHECKING:
    from medfm_core.viewer.sources import ShownBrain


class BrainRoom(Stage):
    """A scene with the scans of one study.

    Args:
        shown: the result and its scans.

    Attributes:
        volumes: node of each scan, by its name.
        showing: the scan in the views; "" before `fill`.
    """

    def __init__(self, shown: ShownBrain) -> None:
        super().__init__(shown.result)
        self.volumes = {name: self.add_scan(scan, name) for name, scan in shown.scans.items()}
        self._maps = {one.key: one for one in brain_maps(shown.result)}
        self.showing = ""

    def fill(self) -> None:
        """Show the first scan in the views; call it once the views are there.

        Raises:
            SceneError: the result is damaged.
        """
        self.bridge.import_brain(self.volumes, self.result, {})
        self.show_scan(next(iter(self.volumes)))
        self.app.display_manager.reset_views()

    def scans(self) -> list[dict[str, str]]:
        """Every scan: its name and its size."""
        rows = []
        for scan in self.result.scans:
            steps = " x ".join(f"{mm:g}" for mm in scan.grid.get("spacing_mm", ()))
            size = " x ".join(str(n) for n in scan.grid["shape"])
            rows.append({"name": scan.name, "remark": f"{size} voxels" + (f" of {steps} mm" if steps else "")})
        return rows

    def maps(self) -> list[dict[str, str]]:
        """Every map: its key, title, kind and what it shows."""
        return [
            {"key": one.key, "title": one.title, "kind": one.kind, "wording": one.wording}
            for one in self._maps.values()
        ]

    def show_scan(self, name: str) -> None:
        """Show a scan alone."""
        self.bridge.hide_saliency()
        self.app.display_manager.show_volume_in_slice_background(self.volumes[name])
        self.showing = name
        self.draw()

    def select(self, key: str) -> BrainMap:
        """Show a map over its scan.

        Args:
            key: as in `maps`.

        Raises:
            SceneError: the map is missing or damaged.
        """
        chosen = self._maps[key]
        if chosen.scan != self.showing:
            self.show_scan(chosen.scan)
        show: Any = self.bridge.show_saliency if chosen.kind == SALIENCY else self.bridge.show_routing
        show(self.volumes[chosen.scan], str(chosen.path), chosen.title)
        self.draw()
        return chosen
