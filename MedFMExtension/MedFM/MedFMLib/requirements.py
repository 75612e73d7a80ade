"""What the Python that computes needs: the packages of pyproject.toml, how big they are, and who brings them."""

from __future__ import annotations

import re
from dataclasses import dataclass

TORCH, SLICER, PIP = "the PyTorch extension", "Slicer", "pip"


@dataclass(frozen=True)
class Requirement:
    """One package.

    Attributes:
        package: its name.
        minimum: lowest version.
        megabytes: about what it takes on the disk, with what it alone needs.
        brought_by: `TORCH`, `SLICER` (never to be replaced) or `PIP`.
    """

    package: str
    minimum: str
    megabytes: int
    brought_by: str = PIP

    @property
    def line(self) -> str:
        """As pip takes it."""
        return f"{self.package}>={self.minimum}"

    def is_met_by(self, version: str) -> bool:
        """Whether a version is one of those; "" and "broken" are none."""
        return bool(version) and version != "broken" and _numbers(version) >= _numbers(self.minimum)


REQUIREMENTS = (
    Requirement("torch", "2.8", 800, TORCH),
    Requirement("numpy", "1.26", 70, SLICER),
    Requirement("scipy", "1.11", 130, SLICER),
    Requirement("SimpleITK", "2.3", 180, SLICER),
    Requirement("pydicom", "3.0.2", 20, SLICER),
    Requirement("nibabel", "5.2", 15),
    Requirement("safetensors", "0.4.5", 2),
    Requirement("huggingface_hub", "1.0", 10),
    Requirement("filelock", "3.12", 1),
    Requirement("isal", "1.6.1", 1),
    Requirement("rich", "13.7", 15),
    Requirement("jinja2", "3.1.5", 3),
    Requirement("matplotlib", "3.8", 60),
    Requirement("contourpy", "1.2", 2),
    Requirement("pillow", "10.3", 20),
)


def _numbers(version: str) -> tuple[int, ...]:
    """The release's numbers, e.g. (2, 13, 0) of "2.13.0+cpu"; enough to compare with a minimum."""
    return tuple(int(part) for part in re.findall(r"\d+", re.split(r"[^\d.]", version, maxsplit=1)[0]))
