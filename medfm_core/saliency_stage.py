"""What saliency adds to the pipeline: for findings that are present, where in the organ the score comes from."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from medfm_core.anatomy import load_findings
from medfm_core.errors import InputError
from medfm_core.finding_places import Place, places_of
from medfm_core.finding_scores import best_section
from medfm_core.io import clamp_air
from medfm_core.organ_boxes import OrganBox, find_boxes
from medfm_core.organ_finding import PRESENT, OrganFinding
from medfm_core.organ_volumes import OrganVolume, cut_organ, to_organ_grid
from medfm_core.saliency_result import SaliencyResult
from medfm_core.strict import unknown_name
from medfm_core.volume import Volume, resample_to

if TYPE_CHECKING:
    from torch import Tensor

    from medfm_core.analysis import Analysis, Work
    from medfm_core.findings_model import FindingsModel

PREFIX = "saliency_"
MOST = 6  # a report of more is not read
NONE, PRESENT_ONES = "none", "present"
METHOD = "attention_rollout"


def named(wish: Sequence[str]) -> tuple[str, ...]:
    """The findings that a wish names, which only a findings model can explain."""
    return tuple(name for name in wish if name not in (NONE, PRESENT_ONES))


def check_wish(wish: Sequence[str]) -> None:
    """Refuse what is neither "none" nor "present" nor the name of a finding.

    Raises:
        InputError: a name that the catalogue does not have; the nearest is given.
    """
    catalogue = load_findings()
    for name in named(wish):
        if name not in catalogue:
            known = [NONE, PRESENT_ONES, *(kind.name for kind in catalogue)]
            raise InputError(unknown_name("finding", name, known), "see `medfm findings list`")


def explain(analysis: Analysis, work: Work) -> Analysis:
    """Explain findings, write `saliency_<finding>_<organ>.nii.gz` on the scan's grid, and keep the maps for the report.

    Without a wish these are the findings that are present, the clearest `MOST` of them; findings that are named are
    explained in every organ in which they were scored, present or not.
    """
    chosen = choose(analysis.findings, analysis.options.saliency)
    if not chosen or analysis.findings_card.input.organs.whole:
        return analysis
    model = analysis.findings_model()
    image = to_organ_grid(clamp_air(analysis.image), model.card.input)
    labels = resample_to(analysis.segmentation.labels, image.grid)
    maps = []
    with work.progress.stage("saliency maps", len(chosen)) as stage:
        for finding in chosen:
            organ = cut_organ(image, labels, _box(finding, analysis, labels), model.card.input)
            maps.append(_explain(finding, organ, model, analysis.image, work.folder))
            stage.advance()
    return replace(analysis, saliency=tuple(maps))


def choose(findings: Sequence[OrganFinding], wish: Sequence[str]) -> list[OrganFinding]:
    """The findings to explain.

    Args:
        findings: of the scan.
        wish: "none", "present", or names of findings.
    """
    scored = [finding for finding in findings if finding.score is not None]
    if NONE in wish:
        return []
    asked = [finding for finding in scored if finding.name in wish]
    if PRESENT_ONES not in wish and asked:
        return asked
    there = [finding for finding in scored if finding.state == PRESENT and finding not in asked]
    there.sort(key=lambda finding: (finding.threshold or 0.0) - finding.score)
    return asked + there[:MOST]


def _box(finding: OrganFinding, analysis: Analysis, labels: Volume) -> OrganBox:
    """The box of the unit and section that gave the finding its score."""
    model, encoded = analysis.findings_model(), analysis.encoded
    place: Place = next(
        place for place in places_of(load_findings().by_name(finding.name), encoded.units)
        if place.organ == finding.organ
    )  # fmt: skip
    sections = [s for unit in place.units if unit.is_seen for s in encoded.embedding.sections(unit.name)]
    best = best_section(sections, model.sentences.wordings(finding.name), model.sentences.scale)
    boxes = find_boxes(labels, model.card.input.organs, [best.unit])
    return next(box for box in boxes if box.section == best.section)


def _explain(
    finding: OrganFinding, organ: OrganVolume, model: FindingsModel, scan: Volume, folder: Path
) -> SaliencyResult:
    start = time.perf_counter()
    heat = saliency_map(finding.name, organ, model)
    inside = time.perf_counter() - start
    from medfm_core.saliency import write_saliency

    write_saliency(heat, organ.grid, scan, folder / f"{PREFIX}{finding.name}_{finding.organ}.nii.gz")
    crop = Volume(heat.cpu().numpy().transpose(2, 1, 0), organ.grid.affine)
    return SaliencyResult(finding.name, finding.organ, crop, METHOD, finding.side, inside)


def saliency_map(finding: str, organ: OrganVolume, model: FindingsModel, method: str = METHOD) -> Tensor:
    """Where in an organ volume the score of a finding comes from, `(D, H, W)` float32, at least 0.

    Args:
        finding: of the catalogue.
        organ: the organ.
        model: a loaded findings model.
        method: of `medfm_core.saliency.METHODS`.
    """
    import torch

    from medfm_core.saliency import FixedInputs, explain, prompt_contrast

    encoder = model.image
    if encoder.size is not None:
        encoder = FixedInputs(encoder, size=organ.size[None].to(model.device))
    prompts = (torch.as_tensor(lines).to(model.device) for lines in model.sentences.wordings(finding))
    return explain(encoder, organ.voxels[None].to(model.device), prompt_contrast(*prompts), method)
