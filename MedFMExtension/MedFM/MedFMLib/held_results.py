"""The results of this session, and those that the scene carries: which of them is shown, and of which volumes it is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from .host import SceneHost, Volume
from .results import Result, ResultError, read_result
from .signals import Signal
from .taking import take_in

NOTICE = "Research use only, not a diagnosis."
_CARRIED = "Listed as the scene carries it; for the report, other maps and questions open the folder of the result."


@dataclass(frozen=True)
class Held:
    """A result and what it was made of.

    Attributes:
        volume: what it was made of; of brain MRI the first scan.
        result: what was found.
        scans: of brain MRI, the volume of each scan by its name in the result; empty for CT.
    """

    volume: Volume
    result: Result
    scans: Mapping[str, Volume] = field(default_factory=dict)

    def is_of(self, volume: Volume) -> bool:
        """Whether it was made of a volume."""
        return volume == self.volume or volume in self.scans.values()


class HeldResults:
    """One result per volume; the latest is shown.

    Args:
        host: the scene.

    Attributes:
        changed: called when what is shown or said changed.
        finished: called with the volume and the `Result` once another one is shown.
        message: how the last action ended; one or two sentences.
    """

    def __init__(self, host: SceneHost) -> None:
        self._host = host
        self._known: list[Held] = []
        self._shown: Held | None = None
        self.changed, self.finished = Signal(), Signal()
        self.message = ""

    @property
    def result(self) -> Result | None:
        """What is shown; None for nothing."""
        return self._shown.result if self._shown else None

    @property
    def volume(self) -> Volume | None:
        """What it was made of; of brain MRI the first scan."""
        return self._shown.volume if self._shown else None

    @property
    def scans(self) -> Mapping[str, Volume]:
        """Of brain MRI, the volume of each scan by its name in the result; empty for CT."""
        return self._shown.scans if self._shown else {}

    def open(self, volumes: Sequence[Volume], folder: str | Path, sequences: Sequence[str] = ()) -> bool:
        """Take a result that was made before into the scene; whether it could be, else `message` says why.

        Args:
            volumes: what it was made of; more than one of brain MRI alone.
            folder: of the result.
            sequences: of the volumes, where these are brain MRI.
        """
        try:
            result = read_result(folder)
            scans = take_in(self._host, volumes, sequences, result)
        except ResultError as error:
            self.message = str(error)
            self.changed.emit()
            return False
        self._take(Held(next(iter(scans.values()), volumes[0]), result, scans))
        self._tell("Opened.")
        return True

    def recall(self, volume: Volume) -> bool:
        """Show what was found in a volume before: in this session, else what the scene carries.

        Returns:
            Whether another result is shown now.

        Raises:
            ResultError: what the scene carries cannot be read.
        """
        if self._shown is not None and self._shown.is_of(volume):
            return False
        carried = self._host.carried(volume)
        if carried is None:
            return False
        known = next((one for one in self._known if one.is_of(volume)), None)
        if known is None:
            known = Held(next(iter(carried.scans.values()), volume), carried.result, carried.scans)
        self._take(known)
        self._tell(_CARRIED if known.result.folder is None else "Found before.")
        return True

    def _take(self, held: Held) -> None:
        """Show a result, in the place of earlier ones of its volumes."""
        volumes = (held.volume, *held.scans.values())
        self._known = [one for one in self._known if not any(map(one.is_of, volumes))]
        self._known.append(held)
        self._shown = held

    def _tell(self, message: str) -> None:
        self.message = f"{message} {NOTICE}"
        self.changed.emit()
        self.finished.emit(self.volume, self.result)

    def _drop(self, volume: Volume) -> None:
        """A volume is gone."""
        self._known = [one for one in self._known if not one.is_of(volume)]
        if self._shown is not None and self._shown.is_of(volume):
            self._shown = None
            self.changed.emit()

    def _forget(self) -> None:
        self._known, self._shown = [], None
