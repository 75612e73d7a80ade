"""The scene of a result of CT, and what can be done in it; knows nothing of pages and buttons."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from MedFMLib.findings_table import STATE_WORDS, STATES, wording_of
from MedFMLib.scene_errors import SceneError
from MedFMLib.scene_segments import show_surfaces

from medfm_core.viewer.stage import Stage

if TYPE_CHECKING:
    from MedFMLib.results import Finding

    from medfm_core.viewer.sources import Shown

_QUICK_VOXELS = 8_000_000  # up to here surfaces take seconds, not a minute


class Room(Stage):
    """A scene with one result of CT.

    Args:
        shown: the result and its scan.

    Attributes:
        volume: the scan.
    """

    def __init__(self, shown: Shown) -> None:
        super().__init__(shown.result)
        self.volume = self.add_scan(shown.scan, "Scan")
        self.has_surfaces = False

    def fill(self) -> None:
        """Show the scan in the views and the organs over it; call it once the views are there.

        Raises:
            SceneError: the result is damaged.
        """
        self.app.display_manager.show_volume_in_slice_background(self.volume)
        self.app.display_manager.reset_views()
        self.bridge.import_result(self.volume, self.result, {})
        i, j, k = self.volume.GetImageData().GetDimensions()
        if i * j * k <= _QUICK_VOXELS:
            self.show_surfaces(True)

    def organs(self) -> list[dict[str, Any]]:
        """Every segment: name, title, colour and a remark, in the result's order."""
        rows = []
        for label in self.result.labels:
            structure = self.result.structures[label.name]
            if structure.centre_ras is not None:
                volume = f"{structure.volume_ml:,.1f} mL" if structure.volume_ml is not None else ""
                state = "" if structure.state == "present" else structure.state
                colour = "#{:02x}{:02x}{:02x}".format(*label.colour)
                remark = ", ".join(filter(None, (volume, state)))
                rows.append({"name": label.name, "title": label.title, "colour": colour, "remark": remark})
        return rows

    def findings(self) -> list[dict[str, Any]]:
        """Every scored finding, the present ones first and the highest score first among them."""
        told = STATES[:3]  # all but what cannot be assessed
        scored = [finding for finding in self.result.findings if finding.score is not None and finding.state in told]
        scored.sort(key=lambda finding: (STATES.index(finding.state), -finding.score))
        return [self._row(finding) for finding in scored]

    def _row(self, finding: Finding) -> dict[str, Any]:
        return {
            "key": f"{finding.name}/{finding.organ}",
            "title": finding.label,
            "remark": f"{self.result.title_of(finding.organ)}: {STATE_WORDS[finding.state]}, {finding.score:.2f}",
            "wording": wording_of(finding),
            "has_map": (finding.name, finding.organ) in self.result.saliency,
        }

    def go_to(self, organ: str) -> bool:
        """Centre all views on an organ; False where the result does not show it."""
        centre = self.result.centre_of(organ)
        if centre is None:
            return False
        self.bridge.centre_on(centre)
        for view in self.app.view_manager.get_threed_views():
            view.set_focal_point(*centre)
        return True

    def select(self, key: str) -> bool:
        """Centre on a finding's organ and show its map; False where it has none, and then no map shows.

        Args:
            key: as in `findings`.
        """
        name, _, organ = key.partition("/")
        self.go_to(organ)
        path = self.result.saliency.get((name, organ))
        if path is None:
            self.hide_saliency()
            return False
        title = next(finding.label for finding in self.result.findings if finding.name == name)
        try:
            self.bridge.show_saliency(self.volume, path, title)
        except SceneError:
            self.hide_saliency()
            raise
        self.draw()
        return True

    def show_organs(self, visible: bool) -> None:
        """Show or hide the organs in all views."""
        self.bridge.segmentation(self.volume).GetDisplayNode().SetVisibility(visible)

    def show_surfaces(self, visible: bool) -> None:
        """Show or hide the organs in 3D; the first time makes the surfaces."""
        show_surfaces(self.bridge.segmentation(self.volume), visible)
        self.has_surfaces = visible
        if visible:
            for view in self.app.view_manager.get_threed_views():
                view.reset_view()
