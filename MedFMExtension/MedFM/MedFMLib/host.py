"""What the models need of the program around them; in Slicer the scene bridge has it, in tests a stand-in."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from .results import Result

Volume = Any  # the host's own handle of a volume, compared with ==


@dataclass(frozen=True)
class VolumeFacts:
    """What the host knows of a volume without copying its voxels.

    Attributes:
        name: as the user sees it.
        shape: `(I, J, K)` voxels.
        spacing_mm: per axis.
        voxel_bytes: per voxel.
        value_range: lowest and highest voxel.
        components: values per voxel; 1 for a scan.
        frames: time points; more than 1 for a sequence.
        modality: DICOM's word, "" where it is not known.
        is_labels: whether it is a label map.
        has_result: whether it was analyzed already.
    """

    name: str
    shape: tuple[int, int, int]
    spacing_mm: tuple[float, float, float]
    voxel_bytes: int = 2
    value_range: tuple[float, float] = (0.0, 0.0)
    components: int = 1
    frames: int = 1
    modality: str = ""
    is_labels: bool = False
    has_result: bool = False


@dataclass(frozen=True)
class Carried:
    """A result as far as the scene itself carries it.

    Attributes:
        result: without a folder; its maps are those that the scene has.
        scans: of brain MRI, the volume of each scan by its name; empty for CT.
    """

    result: Result
    scans: Mapping[str, Volume]


class SceneHost(Protocol):
    """The scene, as far as the models need it. Every function is called on the thread that calls `pump`."""

    def facts(self, volume: Volume) -> VolumeFacts:
        """What is known of a volume."""

    def is_alive(self, volume: Volume) -> bool:
        """Whether a volume is still in the scene."""

    def export(self, volume: Volume, folder: str) -> str:
        """Write a volume's voxels and geometry, uncompressed; the path of the file."""

    def import_result(self, volume: Volume, result: Result, provenance: Mapping[str, str]) -> None:
        """Take a result into the scene; when it raises, nothing of it may stay there."""

    def import_brain(self, volumes: Mapping[str, Volume], result: Result, provenance: Mapping[str, str]) -> None:
        """Take a result of brain MRI: the volume of each scan by its name; when it raises, nothing may stay."""

    def add_map(self, volume: Volume, path: str, title: str, kind: str) -> Any:
        """Take a map of brain MRI into the scene without showing it; `kind` is that of `brain_maps.BrainMap`."""

    def carried(self, volume: Volume) -> Carried | None:
        """The result that the scene carries of a volume, as after it was saved and opened; None where there is none."""

    def show_routing(self, volume: Volume, path: str, title: str) -> None:
        """Show which expert serves which place of a scan, in the place of any other map."""

    def centre_on(self, point_ras: tuple[float, float, float]) -> None:
        """Move the slice views to a point, mm."""

    def show_saliency(self, volume: Volume, path: str, title: str) -> None:
        """Show a saliency map over its volume."""

    def shown_map(self, volume: Volume) -> str:
        """Name of the file of the volume's map that the views show; "" where they show none of it."""

    def hide_saliency(self) -> None:
        """Show no map, and the views as they were before."""


class Installer(Protocol):
    """How packages get into the Python that computes; in Slicer `slicer.packaging` and the PyTorch extension."""

    def can_install_torch(self) -> str:
        """What the user must do first, one sentence; empty where the PyTorch extension is there."""

    def install_torch(self) -> None:
        """Install torch through the PyTorch extension, which asks the user; raises RuntimeError on refusal."""

    def install(self, requirements: tuple[str, ...]) -> None:
        """Install other packages, after asking the user; raises RuntimeError on refusal."""
