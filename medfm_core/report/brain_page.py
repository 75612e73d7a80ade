"""The report of a brain analysis: one HTML file that needs nothing else."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from medfm_core import RESEARCH_USE, __version__
from medfm_core.brain_encoding import BlockRouting
from medfm_core.brain_maps import expert_colours, expert_shares, heat_on_scan, routing_on_scan, tissue_patches
from medfm_core.brain_study import BrainScan, BrainStudy
from medfm_core.report.brain_figures import BrainCanvas, BrainPicture
from medfm_core.report.page import css_colour, environment

_FORMATS = {"nifti": "NIfTI", "nrrd": "NRRD", "mha": "MetaImage", "dicom": "DICOM"}
_SHOWN = 0.05  # share of the brain's patches from which on an expert stands in the legend
_TIMES = "\u202f\u00d7\u202f"


@dataclass(frozen=True)
class RoutingFigure:
    """The routing of one block.

    Attributes:
        block: its number, from 0.
        pictures: three planes.
        legend: experts with the largest shares first: number, colour, share in per cent.
        others: how many further experts serve a patch of the brain.
        patches: how many patches show the brain.
    """

    block: int
    pictures: tuple[BrainPicture, ...]
    legend: tuple[tuple[int, str, str], ...]
    others: int
    patches: int


@dataclass(frozen=True)
class ScanSection:
    """What the page shows of one scan."""

    name: str
    facts: tuple[tuple[str, str], ...]
    warnings: tuple[str, ...]
    plain: tuple[BrainPicture, ...]
    heat: tuple[BrainPicture, ...]
    routing: tuple[RoutingFigure, ...]
    registered: tuple[BrainPicture, ...]


def render_brain_page(study: BrainStudy, machine: Mapping[str, Any]) -> str:
    """Write the report of a finished analysis.

    Args:
        study: all scans.
        machine: versions, threads and peak memory, as in the manifest.

    Returns:
        The page; images and styles are inside.
    """
    sections = tuple(_section(scan, study) for scan in study.scans)
    return (
        environment()
        .get_template("brain.html.j2")
        .render(
            notice=RESEARCH_USE,
            version=__version__,
            study=study,
            card=study.card,
            sections=sections,
            likeness=_likeness(study),
            warnings=[caution.sentence for caution in study.cautions],
            machine=machine,
        )
    )


def _section(scan: BrainScan, study: BrainStudy) -> ScanSection:
    canvas, to_scan = BrainCanvas(scan.image), scan.standard.to_scan
    heat = () if scan.heat is None else canvas.heat(heat_on_scan(scan.encoded, scan.heat, scan.image, to_scan))
    registered = ()
    if scan.standard.registration is not None:
        registered = BrainCanvas(scan.standard.image).outlined(study.plan.template)
    return ScanSection(
        scan.name,
        _facts(scan),
        tuple(caution.sentence for caution in scan.cautions),
        canvas.plain(),
        heat,
        tuple(_routing(scan, routing, canvas) for routing in scan.encoded.routing),
        registered,
    )


def _routing(scan: BrainScan, routing: BlockRouting, canvas: BrainCanvas) -> RoutingFigure:
    colours, tissue = expert_colours(routing.experts), tissue_patches(scan.encoded)
    shares = expert_shares(routing, tissue)
    order = [int(expert) for expert in (-shares).argsort(kind="stable") if shares[expert] >= _SHOWN]
    labels = routing_on_scan(scan.encoded, routing, scan.image, scan.standard.to_scan)
    return RoutingFigure(
        routing.block,
        canvas.labels(labels, colours, f"the experts of block {routing.block}"),
        tuple((expert, css_colour(colours[expert]), f"{shares[expert]:.0%}") for expert in order),
        int((shares > 0).sum()) - len(order),
        int(tissue.sum()),
    )


def _facts(scan: BrainScan) -> tuple[tuple[str, str], ...]:
    image = scan.image
    stored = str(image.meta.get("format", "unknown format"))
    facts = [
        ("Image", f"{image.modality or 'MR (not said by the file)'}, {_FORMATS.get(stored, stored)}"),
        ("Voxels", _TIMES.join(str(n) for n in image.shape)),
        ("Voxel size", _TIMES.join(f"{mm:.3g}" for mm in image.spacing) + " mm"),
        ("Array axes", image.affine.codes),
    ]
    found = scan.standard.registration
    if found is not None:
        facts.append(("Registration", f"{found.overlap:.0%} of scan and template overlap"))
    return tuple(facts)


def _likeness(study: BrainStudy) -> list[tuple[str, str, str]]:
    """Cosines between the vectors of the scans, each pair once."""
    vectors = [(scan.name, scan.encoded.direction.astype(float)) for scan in study.scans]
    return [
        (one, other, f"{float(a @ b):.3f}")
        for at, (one, a) in enumerate(vectors)
        for other, b in vectors[at + 1 :]
    ]  # fmt: skip
