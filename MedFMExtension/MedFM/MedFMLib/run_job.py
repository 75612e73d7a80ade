"""The files and folders of one run."""

from __future__ import annotations

import shutil
import time
from dataclasses import dataclass, field
from pathlib import Path

from .host import SceneHost, Volume


@dataclass
class Job:
    """What belongs to one run.

    Attributes:
        volumes: what is analysed; more than one of brain MRI alone.
        sequences: of the volumes, where they are brain MRI.
        folder: a temporary one, for the copies of the voxels.
        out: where the result goes.
        started: seconds of the monotonic clock.
        request_id: of the request; "" before it was sent.
        stopped_because: one sentence, once it was stopped.
    """

    volumes: tuple[Volume, ...]
    sequences: tuple[str, ...]
    folder: Path
    out: Path
    started: float = field(default_factory=time.monotonic)
    request_id: str = ""
    stopped_because: str = ""

    def export(self, host: SceneHost) -> list[str]:
        """Write the volumes, the first into the folder and each other one into a folder of its own; their paths."""
        paths = []
        for number, volume in enumerate(self.volumes):
            place = self.folder / f"scan{number + 1}" if number else self.folder
            place.mkdir(exist_ok=True)
            paths.append(host.export(volume, str(place)))
        return paths

    def forget_input(self) -> None:
        """Delete the copies of the voxels; the result stays for the table, the maps and the report."""
        for path in self.folder.iterdir():
            if path != self.out and path.is_file():
                path.unlink(missing_ok=True)
            elif path != self.out:
                shutil.rmtree(path, ignore_errors=True)
