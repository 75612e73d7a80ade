"""What an analysis of brain MRI is asked for and what it holds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from medfm_core.embedding import Encoder, OrganEmbedding, StudyEmbedding
from medfm_core.plausibility import Caution
from medfm_core.volume import Volume

if TYPE_CHECKING:
    from medfm_core.brain_encoding import EncodedBrain
    from medfm_core.brain_standard import StandardBrain, StandardPlan
    from medfm_core.cards import ModelCard


@dataclass(frozen=True)
class BrainOptions:
    """What a run is asked for.

    Attributes:
        card_id: brain encoder to use, id or path of a card; None for the one that is installed.
        device: "auto", "cpu", "cuda", "cuda:1", "mps".
        sequences: of each scan, in the order of the inputs; none to recognise them by their names.
        series: which series of a DICOM folder.
        nifti_form: which position of a NIfTI file counts: "auto", "sform" or "qform".
        strip: tool that takes the skull away, "auto" for any, None for none.
        register: whether scans are registered to a template.
        template: its file; None to look for one.
        saliency: whether saliency maps are made.
        threads: CPU threads; None for what the settings say.
        overwrite: allow a results folder that holds other files.
    """

    card_id: str | None = None
    device: str = "auto"
    sequences: tuple[str, ...] = ()
    series: str | None = None
    nifti_form: str = "auto"
    strip: str | None = None
    register: bool = False
    template: str | None = None
    saliency: bool = True
    threads: int | None = None
    overwrite: bool = False


def scan_name(sequence: str, number: int) -> str:
    """What a scan is called in a study: its sequence, with -2 behind it for the second scan of it."""
    return sequence if not number else f"{sequence}-{number + 1}"


@dataclass(frozen=True, eq=False)
class BrainScan:
    """One scan and what was made of it.

    Attributes:
        sequence: "T1w", "T2w" or "FLAIR".
        number: of this scan among those of its sequence, from 0.
        image: as read.
        voxels_sha256: of the voxels as stored.
        standard: as it was encoded.
        encoded: tokens, and routing where the encoder has experts.
        heat: relevance per patch, of the grid's shape; None where it was not asked for.
        cautions: doubts about it.
    """

    sequence: str
    number: int
    image: Volume
    voxels_sha256: str
    standard: StandardBrain
    encoded: EncodedBrain
    heat: np.ndarray | None
    cautions: tuple[Caution, ...] = ()

    @property
    def name(self) -> str:
        """The sequence, with -2 behind it for the second scan of it."""
        return scan_name(self.sequence, self.number)


@dataclass(frozen=True, eq=False)
class BrainStudy:
    """A finished analysis of all scans of a study.

    Attributes:
        options: what was asked for.
        created: when the run began, ISO 8601 with zone.
        card: the encoder's.
        encoder: which weights made the vectors.
        plan: what was done to each scan before it was encoded.
        scans: in the order of the inputs.
        device: where it ran.
        seconds: time per stage, over all scans.
    """

    options: BrainOptions
    created: str
    card: ModelCard
    encoder: Encoder
    plan: StandardPlan
    scans: tuple[BrainScan, ...]
    device: str = "cpu"
    seconds: Mapping[str, float] = field(default_factory=dict)

    @cached_property
    def embedding(self) -> StudyEmbedding:
        """A vector of length 1 per scan, as unit its sequence, and one of the study: the mean over the sequences."""
        ordered = sorted(self.scans, key=lambda scan: (scan.sequence, scan.number))
        return StudyEmbedding(
            self.encoder,
            tuple(OrganEmbedding(s.sequence, s.number, "present", s.encoded.direction) for s in ordered),
        )

    @property
    def has_experts(self) -> bool:
        """Whether the encoder sends patches to experts; where not, there is no routing to show."""
        return any(scan.encoded.routing for scan in self.scans)

    @property
    def cautions(self) -> tuple[Caution, ...]:
        """Doubts about all scans, each with the scan's name."""
        return tuple(
            Caution(doubt.code, f"{scan.name}: {doubt.sentence}") for scan in self.scans for doubt in scan.cautions
        )
