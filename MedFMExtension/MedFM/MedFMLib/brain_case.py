"""The MR volumes that are analysed together, and what sequence each of them is."""

from __future__ import annotations

from dataclasses import dataclass

from .host import SceneHost, Volume, VolumeFacts
from .input_check import check_input
from .model_line import BRAINS, ORGANS, ModelLine
from .mr_sequence import SEQUENCES, sequence_of
from .results import ResultError
from .signals import Signal
from .weights import WeightsModel

MOST_SCANS = 3
NO_FINDINGS = (
    "Brain models give no findings: of each scan they give a vector, a saliency map and, where the model has experts, "
    "a map of them."
)
NO_MODEL = (
    "No model for brain MRI is here: fetch or import one under Weights, or train one and export it into the Resources "
    "of MedFM (docs/neuro_jepa.md)."
)


@dataclass(frozen=True)
class BrainScan:
    """One chosen volume.

    Attributes:
        volume: of the host.
        facts: of it.
        sequence: one of `SEQUENCES`; "" where it is not known.
    """

    volume: Volume
    facts: VolumeFacts
    sequence: str


class BrainCase:
    """Up to three volumes of one study; the first is the panel's own input.

    Args:
        host: the scene.

    Attributes:
        changed: called when a volume or a sequence was chosen.
        volumes: the chosen ones; None for none.
        chosen: the sequence of each that the user chose; "" where its name decides.
    """

    def __init__(self, host: SceneHost) -> None:
        self._host = host
        self.changed = Signal()
        self.volumes: list[Volume | None] = [None] * MOST_SCANS
        self._facts: list[VolumeFacts | None] = [None] * MOST_SCANS
        self.chosen = [""] * MOST_SCANS

    def set_volume(self, place: int, volume: Volume | None) -> None:
        """Choose a volume; its sequence is what its name says until another one is chosen."""
        if volume != self.volumes[place]:
            self.chosen[place] = ""
        self.volumes[place], self._facts[place] = volume, None
        try:
            self._facts[place] = None if volume is None else self._host.facts(volume)
        except ResultError:  # a volume without voxels; what is wrong with it is said of the panel's input alone
            self.volumes[place] = volume if place == 0 else None
        self.changed.emit()

    def set_sequence(self, place: int, sequence: str) -> None:
        """Say what sequence a volume is; "" for what its name says."""
        self.chosen[place] = sequence if sequence in SEQUENCES else ""
        self.changed.emit()

    def sequence(self, place: int) -> str:
        """What a volume is taken for; "" where it is not known."""
        facts = self._facts[place]
        return self.chosen[place] or ("" if facts is None else sequence_of(facts.name))

    def volume_removed(self, volume: Volume) -> None:
        """The host says that a volume left the scene."""
        for place in range(1, MOST_SCANS):
            if self.volumes[place] == volume:
                self.set_volume(place, None)

    def forget(self) -> None:
        """The scene was closed."""
        self.volumes, self._facts = [None] * MOST_SCANS, [None] * MOST_SCANS
        self.chosen = [""] * MOST_SCANS
        self.changed.emit()

    def scans(self) -> tuple[BrainScan, ...]:
        """The chosen volumes, in order."""
        found = zip(self.volumes, self._facts, range(MOST_SCANS), strict=True)
        return tuple(
            BrainScan(volume, facts, self.sequence(place)) for volume, facts, place in found if facts is not None
        )

    def problem(self) -> str:
        """Why these volumes cannot be analysed together, one sentence; "" where they can."""
        scans = self.scans()
        for scan in scans:
            check = check_input(scan.facts, ("MR",))
            if check.problems:
                return f"{scan.facts.name}: {check.problems[0]}"
            if not scan.sequence:
                return f"Choose whether {scan.facts.name} is T1w, T2w or FLAIR."
        for index, scan in enumerate(scans):
            if any(scan.volume == other.volume for other in scans[:index]):
                return f"{scan.facts.name} is chosen twice; choose another volume, or none."
        return ""


def is_mr(facts: VolumeFacts | None) -> bool:
    """Whether a volume is MR: as DICOM says, or, where nothing says it, as its name does."""
    return facts is not None and (facts.modality == "MR" or (not facts.modality and bool(sequence_of(facts.name))))


def offered_models(weights: WeightsModel, facts: VolumeFacts | None) -> tuple[ModelLine, ...]:
    """The models that a volume can be analysed with: those for brains where it is MR, both kinds where nobody says."""
    organs, brains = weights.models_for(ORGANS), weights.models_for(BRAINS)
    if is_mr(facts):
        return brains
    return (*organs, *brains) if facts is not None and not facts.modality else organs
