"""A virtual patient: anatomy, findings, picture and report from one seed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from types import SimpleNamespace

import numpy as np

from medfm_core.errors import InputError
from medfm_core.geometry import Affine
from medfm_core.volume import Kind, Volume
from training.synthetic.anatomy import build_anatomy
from training.synthetic.appearance import render
from training.synthetic.contrast import draw_contrast, draw_phase
from training.synthetic.lesions import Finding, Scene, draw_kinds, physique_for, place_kinds
from training.synthetic.physique import draw_physique, stream
from training.synthetic.scanner import Protocol, draw_protocol, field_of_view, scan, thick_slices
from training.synthetic.sentences import Sentence, write_report
from training.synthetic.texture import axis_towards

_MARGINS_MM = {"P": (45.0, 80.0), "A": (8.0, 40.0), "R": (6.0, 40.0), "L": (6.0, 40.0)}


@dataclass(frozen=True, eq=False)
class VirtualPatient:
    """One patient with everything that is true of them.

    Args:
        image: CT, int16 HU.
        labels: organ ids of the vocabulary, uint8; 0 outside the field of view.
        lesions: which finding's lesion each voxel belongs to (`Finding.lesion_ids`), uint8.
        tissues: `Tissue` codes, and `lesions.Material` codes (from 100) where a lesion is.
        findings: what the patient has in this scan.
        report: the report's sentences, in order.
        phase: contrast phase.
        parameters: what was drawn: seed, region, physique, protocol, HU of the tissues.
    """

    image: Volume
    labels: Volume
    lesions: Volume
    tissues: Volume
    findings: tuple[Finding, ...]
    report: tuple[Sentence, ...]
    phase: str
    parameters: Mapping[str, object]


def synthesize_patient(
    seed: int,
    *,
    spacing_mm: float | tuple[float, float, float] = 3.0,
    region: str = "torso",
    findings: str | Sequence[str] = "random",
    prevalence: float = 1.0,
    phase: str | None = None,
    thickness_mm: float | None = None,
    fov_mm: float | str | None = "random",
    protocol: Protocol | None = None,
    **physique,
) -> VirtualPatient:
    """Make a patient; a pure function of its arguments.

    Args:
        seed: who it is; the same seed is the same body at every spacing and region.
        spacing_mm: voxel size of the picture, one number or three (right-left, front-back, head-feet).
        region: scanned range, one of `anatomy.REGIONS`.
        findings: "random", or names of kinds (`lesions.KINDS`); an empty sequence for a healthy patient.
        prevalence: factor on every kind's probability in a random patient.
        phase: contrast phase; None draws one.
        thickness_mm: slices this thick, averaged from the finer grid; None leaves the spacing.
        fov_mm: diameter of the reconstruction circle; "random" draws one (mostly none), None for the whole grid.
        protocol: acquisition instead of a drawn one (its own `fov_mm` and `thickness_mm` count).
        physique: fields of `Physique` to fix; they win over what the findings would set.

    Returns:
        The patient; arrays run towards Right, Anterior, Superior.

    Raises:
        InputError: unknown region, phase, finding or physique field, or an impossible spacing.
    """
    _check_circle(fov_mm)
    kinds = draw_kinds(stream(seed, "findings"), findings, prevalence)
    phase = phase or draw_phase(stream(seed, "phase"))
    contrast = draw_contrast(stream(seed, "contrast"), phase)
    rng = stream(seed, "lesion physique")
    overrides = {**physique_for(rng, [kind for kind, _ in kinds], asdict(draw_physique(seed))), **physique}
    anatomy = build_anatomy(seed, spacing_mm, region, **overrides)
    labels, tissues, affine = _with_margins(anatomy, seed)
    scene = Scene(labels, tissues.copy(), anatomy.labels.spacing, contrast, stream(seed, "lesions"))
    found = place_kinds(scene, kinds)
    base = np.where(scene.tissues >= 100, tissues, scene.tissues)
    body = SimpleNamespace(labels=Volume(scene.labels, affine, Kind.LABEL), tissues=Volume(base, affine, Kind.LABEL))
    hu = render(body, seed, contrast=contrast.shifted(scene.shifts), edits=scene.edits)
    if protocol is None:
        protocol = draw_protocol(seed, fov_mm=_circle(seed, fov_mm, hu.shape, affine), thickness_mm=thickness_mm)
    maps = [scene.labels, scene.lesions, scene.tissues]
    image, maps, affine = _acquire(hu, maps, affine, seed, protocol)
    found = _visible(found, maps[1])
    report = write_report(seed, found, _organs(maps[0]), phase=phase, region=region)
    parameters = {
        "seed": seed, "region": region, "physique": asdict(anatomy.physique), "protocol": asdict(protocol),
        "hu": {name: round(value, 1) for name, value in contrast.shifted(scene.shifts).hu.items()},
        "oral": contrast.oral,
    }  # fmt: skip
    volumes = [Volume(m, affine, Kind.LABEL) for m in maps]
    return VirtualPatient(Volume(image, affine, Kind.IMAGE, "CT"), *volumes, tuple(found), report, phase, parameters)


def _with_margins(anatomy, seed: int) -> tuple[np.ndarray, np.ndarray, Affine]:
    """Air around the patient: room for the table behind, a little at the other sides."""
    rng = stream(seed, "margins")
    matrix, spacing = np.array(anatomy.labels.affine.matrix), anatomy.labels.spacing
    widths = [[0, 0], [0, 0], [0, 0]]
    for letter, limits in _MARGINS_MM.items():
        axis, sign = axis_towards(matrix, letter)
        widths[axis][sign > 0] = round(rng.uniform(*limits) / spacing[axis])
    matrix[:3, 3] -= matrix[:3, :3] @ np.array([before for before, _ in widths])
    labels, tissues = (np.pad(v.voxels, widths) for v in (anatomy.labels, anatomy.tissues))
    return labels, tissues, Affine(matrix)


def _check_circle(wanted) -> None:
    if wanted not in (None, "random") and not (isinstance(wanted, (int, float)) and wanted > 0):
        raise InputError(f"a field of view of {wanted!r} mm is impossible", 'give millimetres, None or "random"')


def _circle(seed: int, wanted, shape, affine: Affine) -> float | None:
    """The reconstruction circle: mostly around the whole patient, sometimes cutting the flanks or the shoulders."""
    if wanted != "random":
        return wanted
    rng = stream(seed, "field of view")
    extent = [n * s for n, s in zip(shape, affine.spacing, strict=True)]
    draw = rng.random()
    if draw < 0.5:
        return None
    if draw < 0.8:
        return float(max(extent[0], extent[1]) * rng.uniform(0.97, 1.05))
    return float(max(extent[0], extent[1]) * rng.uniform(0.7, 0.95))


def _acquire(hu: np.ndarray, maps: list, affine: Affine, seed: int, protocol: Protocol):
    """Scan, cut to the square of the field of view, thicken the slices; labels end where the picture ends."""
    matrix = np.array(affine.matrix)
    if protocol.fov_mm is not None:
        box, shift = [], np.zeros(3)
        for axis, size in enumerate(hu.shape):
            keep = size
            if axis != axis_towards(matrix, "S")[0]:
                keep = min(size, round(protocol.fov_mm / affine.spacing[axis]))
            shift[axis] = (size - keep) // 2
            box.append(slice(int(shift[axis]), int(shift[axis]) + keep))
        hu, maps = hu[tuple(box)], [m[tuple(box)] for m in maps]
        matrix[:3, 3] += matrix[:3, :3] @ shift
        outside = ~field_of_view(hu.shape, matrix, protocol.fov_mm)
        maps = [np.where(outside, 0, m).astype(np.uint8) for m in maps]
    image = scan(hu, matrix, seed, protocol)
    if protocol.thickness_mm is not None:
        image, maps, matrix = thick_slices(image, maps, matrix, protocol.thickness_mm)
    return np.ascontiguousarray(image), [np.ascontiguousarray(m) for m in maps], Affine(matrix)


def _visible(found: list[Finding], lesions: np.ndarray) -> list[Finding]:
    """The findings of which something is in the picture, without the lesions that are not."""
    there = set(np.unique(lesions).tolist())
    out = []
    for finding in found:
        ids = tuple(number for number in finding.lesion_ids if number in there)
        if finding.lesion_ids and not ids:
            continue
        each = len(finding.lesion_ids) > 1 and finding.count == len(finding.lesion_ids)
        out.append(replace(finding, lesion_ids=ids, count=len(ids) if each else finding.count))
    return out


def _organs(labels: np.ndarray) -> frozenset[int]:
    """Ids in the picture."""
    return frozenset((np.flatnonzero(np.bincount(labels.ravel(), minlength=256)[1:] > 8) + 1).tolist())
