"""The report for people: one HTML file that needs nothing else."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from medfm_core import RESEARCH_USE, __version__
from medfm_core.analysis import Analysis
from medfm_core.anatomy import Vocabulary, load_vocabulary
from medfm_core.cards import ModelCard
from medfm_core.measurements import STATE_TITLES, OrganMeasurement, State
from medfm_core.report.body_section import body_section
from medfm_core.report.findings_section import findings_section
from medfm_core.report.views import WINDOW_LEVEL_HU, WINDOW_WIDTH_HU, make_views

_FORMATS = {"nifti": "NIfTI", "nrrd": "NRRD", "mha": "MetaImage", "dicom": "DICOM"}
_MINUS, _THIN_SPACE, _DASH = "\u2212", "\u202f", "\u2013"


@dataclass(frozen=True)
class Row:
    """A line of the measurement table, formatted."""

    title: str
    colour: str | None
    state: State
    state_title: str
    cut_by: str
    runs_on: bool
    reason: str
    is_sum: bool
    depth: int
    volume: str
    mean: str
    median: str
    size: str
    dice: str


def render_html(analysis: Analysis, machine: Mapping[str, Any]) -> str:
    """Write the report of a finished analysis.

    Args:
        analysis: with image, segmentation, statistics and measurements.
        machine: versions, threads and peak memory, as in the manifest.

    Returns:
        The page; images, styles and outlines are inside.
    """
    vocabulary = load_vocabulary()
    seen = [m for m in analysis.measurements if m.is_seen]
    drawn = {m.id for m in seen if not m.parts}
    views = make_views(analysis)
    return (
        environment()
        .get_template("report.html.j2")
        .render(
            notice=RESEARCH_USE,
            version=__version__,
            analysis=analysis,
            card=analysis.card,
            machine=machine,
            facts=_facts(analysis),
            found=findings_section(analysis),
            body=body_section(analysis),
            counts=_counts(analysis.measurements),
            rows=_rows(analysis, vocabulary),
            uncovered=_uncovered(analysis.measurements, vocabulary),
            legend=_legend(seen, vocabulary),
            views={name: [view for view in views if view.plane == name] for name in ("axial", "coronal", "sagittal")},
            titles={m.id: m.title for m in seen},
            colours={label: css_colour(vocabulary.colour(label)) for label in drawn},
            window=f"level {WINDOW_LEVEL_HU}, width {WINDOW_WIDTH_HU} HU",
            measured=_measured(analysis.card, vocabulary),
            dice_on=next((m.on for m in analysis.card.measured if m.metric.lower() == "dice"), ""),
        )
    )


def css_colour(colour: tuple[int, int, int]) -> str:
    """An RGB colour of 0..255 for a style sheet."""
    return "#{:02x}{:02x}{:02x}".format(*colour)


def number(value: float | None, digits: int | None = None) -> str:
    """A number for people: three significant figures unless told, thin spaces, a true minus; a dash for nothing."""
    if value is None:
        return _DASH
    if digits is None:
        digits = 0 if abs(value) >= 100 else 1 if abs(value) >= 1 else 2
    text = f"{value:,.{digits}f}".replace(",", _THIN_SPACE)
    is_zero = not any(c in "123456789" for c in text)
    return text.lstrip("-") if is_zero else text.replace("-", _MINUS)


@lru_cache(maxsize=1)
def environment() -> Environment:
    """The templates of the reports, with their filters."""
    made = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters["number"] = number
    made.filters["list"] = lambda values: ", ".join(values)
    return made


def _facts(analysis: Analysis) -> list[tuple[str, str]]:
    """Geometry of the scan, as label and value."""
    image = analysis.image
    stored = str(image.meta.get("format", "unknown format"))
    times = f"{_THIN_SPACE}\u00d7{_THIN_SPACE}"
    extent = (n * mm for n, mm in zip(image.shape, image.spacing, strict=True))
    facts = [
        ("Image", f"{image.modality or 'CT (not said by the file)'}, {_FORMATS.get(stored, stored)}"),
        ("Voxels", times.join(str(n) for n in image.shape)),
        ("Voxel size", times.join(f"{mm:.3g}" for mm in image.spacing) + " mm"),
        ("Extent", times.join(f"{mm:.0f}" for mm in extent) + " mm"),
        ("Array axes", image.affine.codes),
    ]
    if analysis.options.hu_offset:
        facts.append(("HU offset", f"{number(analysis.options.hu_offset, 0)} HU was added"))
    return facts


def _counts(measurements: Iterable[OrganMeasurement]) -> list[tuple[State, str, int]]:
    """How many structures are in which state; those that run on beyond any CT of the trunk beside the cut ones."""
    singles = [m for m in measurements if not m.parts and m.state is not State.NOT_COVERED]
    counts = []
    for state, title in STATE_TITLES.items():
        counts.append((state, title, sum(m.state is state and not m.runs_on for m in singles)))
        if state is State.CUT:
            counts.append((state, "running on beyond the trunk", sum(m.runs_on for m in singles)))
    return [entry for entry in counts if entry[-1]]


def _rows(analysis: Analysis, vocabulary: Vocabulary) -> list[tuple[str, list[Row]]]:
    """Per system its rows: each sum followed by its parts, each part under the smallest sum that holds it."""
    listed = [m for m in analysis.measurements if m.state is not State.NOT_COVERED and (m.is_seen or not m.parts)]
    dice = next((m.values for m in analysis.card.measured if m.metric.lower() == "dice"), {})
    sums = sorted((m for m in listed if m.parts), key=lambda m: len(m.parts))
    children: dict[str | None, list[OrganMeasurement]] = {}
    for m in listed:
        leaves = set(m.parts or (m.name,))
        parent = next((s.name for s in sums if s is not m and leaves < {*s.parts, None}), None)
        children.setdefault(parent, []).append(m)

    def under(parent: str | None, depth: int) -> Iterable[tuple[OrganMeasurement, int]]:
        for m in sorted(children.get(parent, ()), key=lambda m: (not m.is_seen, _first_id(m, vocabulary))):
            yield m, depth
            yield from under(m.name, depth + 1)

    ordered = list(under(None, 0))
    systems = []
    for system, heading in vocabulary.systems.items():
        rows = [_row(m, vocabulary, depth, dice.get(m.name)) for m, depth in ordered if m.system == system]
        if rows:
            systems.append((heading, rows))
    return systems


def _first_id(m: OrganMeasurement, vocabulary: Vocabulary) -> int:
    return min((vocabulary.by_name(part).id for part in m.parts), default=m.id)


def _row(m: OrganMeasurement, vocabulary: Vocabulary, depth: int, dice: float | None) -> Row:
    size = f"{_THIN_SPACE}\u00d7{_THIN_SPACE}".join(f"{v:.0f}" for v in m.extent_mm or ())
    return Row(
        title=m.title,
        colour=css_colour(vocabulary.colour(m.id)) if m.is_seen and not m.parts else None,
        state=m.state,
        state_title=STATE_TITLES[m.state],
        cut_by=", ".join(face.replace(" of the scan", "") for face in m.faces),
        runs_on=m.runs_on,
        reason=m.reason,
        is_sum=bool(m.parts),
        depth=depth,
        volume=number(m.volume_ml),
        mean=_DASH if m.mean_hu is None else f"{number(m.mean_hu, 0)} \u00b1 {number(m.sd_hu, 0)}",
        median=number(m.median_hu, 0),
        size=size or _DASH,
        dice="" if dice is None else f"{dice:.2f}",
    )


def _legend(seen: list[OrganMeasurement], vocabulary: Vocabulary) -> list[tuple[str, list[tuple[str, str]]]]:
    groups = []
    for system, heading in vocabulary.systems.items():
        mine = [(m.title, css_colour(vocabulary.colour(m.id))) for m in seen if m.system == system and not m.parts]
        if mine:
            groups.append((heading, mine))
    return groups


def _uncovered(measurements: Iterable[OrganMeasurement], vocabulary: Vocabulary) -> list[tuple[str, str, list[str]]]:
    """Per system what the model does not tell apart: (heading, how, titles), parts of a whole kept apart."""
    missing = [m for m in measurements if m.state is State.NOT_COVERED]
    groups = []
    for system, heading in vocabulary.systems.items():
        for reason in dict.fromkeys(m.reason for m in missing if m.system == system):
            titles = [m.title for m in missing if m.system == system and m.reason == reason]
            groups.append((heading, reason, titles))
    return groups


def _measured(card: ModelCard, vocabulary: Vocabulary) -> list[dict[str, Any]]:
    names = {organ.name: organ.title for organ in (*vocabulary.organs, *vocabulary.composites)}
    return [
        {
            "on": m.on,
            "metric": m.metric,
            "note": m.note,
            "n": m.n,
            "methods": list(m.baselines),
            "rows": [
                (names.get(key, key), value, m.interval.get(key), [b.get(key) for b in m.baselines.values()])
                for key, value in m.values.items()
            ],
        }
        for m in card.measured
    ]
