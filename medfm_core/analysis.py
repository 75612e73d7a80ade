"""What one analysis is asked for and what it holds: the context that the pipeline's stages hand on."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from medfm_core.plausibility import Caution

if TYPE_CHECKING:
    from medfm_core.cards import ModelCard
    from medfm_core.findings_model import LoadingFindingsModel
    from medfm_core.inference.memory import MemoryPlan
    from medfm_core.io.reading import Source
    from medfm_core.label_statistics import LabelStatistics
    from medfm_core.measurements import OrganMeasurement
    from medfm_core.organ_encoding import EncodedOrgans
    from medfm_core.organ_finding import OrganFinding
    from medfm_core.progress import Progress
    from medfm_core.saliency_result import SaliencyResult
    from medfm_core.segmentation import Segmentation
    from medfm_core.volume import Volume
    from medfm_core.whole_body import WholeBody

    Predictor = Callable[[Volume, Progress], Segmentation]


@dataclass(frozen=True)
class Options:
    """What a run is asked for.

    Attributes:
        card_id: model to use; None for the default organ segmenter.
        device: "auto", "cpu", "cuda", "cuda:1", "mps".
        series: which series of a DICOM folder.
        nifti_form: which position of a NIfTI file counts: "auto" (the sform if usable), "sform" or "qform".
        force: go on although the image does not look like a CT in Hounsfield units.
        hu_offset: added to every voxel before anything else, HU.
        deterministic: the same result on every run of the same machine, bit by bit.
        threads: CPU threads; None for what the settings say.
        organs: names of organs, groups or systems to keep; empty for all.
        overwrite: allow a results folder that holds other files.
        findings: whether findings are assessed; None for where a findings model is there.
        findings_card: findings model to use; None for the default one.
        saliency: what is explained: "present" for what is present, "none", or names of findings.
        body_card: whole-body model to use; None for one that takes the findings model's vectors, "none" for none.
    """

    card_id: str | None = None
    device: str = "auto"
    series: str | None = None
    nifti_form: str = "auto"
    force: bool = False
    hu_offset: float = 0.0
    deterministic: bool = False
    threads: int | None = None
    organs: tuple[str, ...] = ()
    overwrite: bool = False
    findings: bool | None = None
    findings_card: str | None = None
    saliency: tuple[str, ...] = ("present",)
    body_card: str | None = None


@dataclass(frozen=True, eq=False)
class Analysis:
    """One scan and what is known of it so far; every stage returns a copy that knows more.

    Attributes:
        options: what was asked for.
        created: when the run began, ISO 8601 with zone.
        card: the organ segmenter's card.
        image: the scan as read, in HU, NaN and all.
        voxels_sha256: of the voxels as stored, before any offset: first index fastest, little-endian.
        cautions: doubts about the input and the result.
        segmentation: label map and what its model covers.
        statistics: sums per label.
        measurements: one per structure.
        seconds: time per finished stage.
        memory: the tile and the peak planned from the header.
        predictor: what will outline the organs; None again once it has.
        findings_card: the findings model's card; None where findings are not assessed.
        findings_model: gives the loaded findings model.
        encoded: embeddings of the organs, and of which organs there are none.
        findings: one per finding and organ, in the catalogue's order.
        saliency: where in the organs the explained findings come from.
        body_card: the whole-body model's card; None where there is none.
        body: the organs taken together.
    """

    options: Options
    created: str
    card: ModelCard
    image: Volume | None = None
    voxels_sha256: str = ""
    cautions: tuple[Caution, ...] = ()
    segmentation: Segmentation | None = None
    statistics: LabelStatistics | None = None
    measurements: tuple[OrganMeasurement, ...] = ()
    seconds: Mapping[str, float] = field(default_factory=dict)
    memory: MemoryPlan | None = None
    predictor: Predictor | None = None
    findings_card: ModelCard | None = None
    findings_model: LoadingFindingsModel | None = None
    encoded: EncodedOrgans | None = None
    findings: tuple[OrganFinding, ...] = ()
    saliency: tuple[SaliencyResult, ...] = ()
    body_card: ModelCard | None = None
    body: WholeBody | None = None


@dataclass(frozen=True)
class Work:
    """What the stages work with: the input, the folder to fill, and where progress goes."""

    source: Source
    folder: Path
    progress: Progress
    predictor: Predictor | None = None
