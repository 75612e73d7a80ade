"""A virtual head: one anatomy, its lesions, and a scan of it by each sequence, all from one seed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass

import numpy as np
from scipy import ndimage

from medfm_core.errors import InputError
from medfm_core.strict import unknown_name
from medfm_core.volume import Kind, Volume
from training.synthetic.brain.contrast import (
    SEQUENCES,
    Timing,
    describe_timing,
    draw_relaxation,
    draw_timing,
    signal,
    signals,
)
from training.synthetic.brain.fractions import Fractions
from training.synthetic.brain.head import procedural_head
from training.synthetic.brain.labelled import labelled_head, read_head
from training.synthetic.brain.lesion_plan import KINDS, PREVALENCE, LesionPlan, plan_lesion
from training.synthetic.brain.lesions import Patch, Scene, lesion_map, place_lesions
from training.synthetic.brain.parts import BRAIN, FLUID, TISSUE, VENTRICLES, Part, number_of_part
from training.synthetic.brain.person import Person, draw_person
from training.synthetic.brain.scanner import draw_acquisition, scan
from training.synthetic.brain.space import STRIPPED_MM, WHOLE_MM, HeadSpace, head_space
from training.synthetic.brain.withering import wither
from training.synthetic.physique import stream
from training.synthetic.texture import smooth_field

FINEST_MM, COARSEST_MM = 0.8, 4.0
_LOWEST_MM = -74.0
_WHITE_VALUE = 600.0  # stored value of white matter on average


@dataclass(frozen=True)
class BrainPlan:
    """How heads are made.

    Attributes:
        spacing_mm: voxel size.
        sequences: of `contrast.SEQUENCES`.
        kinds: each head draws one of these, by their prevalence: healthy, ms, stroke_acute, stroke_chronic, tumour.
        stripped: whether only the brain is left, 0 around it.
        mass_effect: whether tumours displace and old infarcts draw in what is around them.
        quality: 1 for ordinary scans, 0 for perfect ones.
        label_maps: files of label maps with FreeSurfer's numbers; heads come from one of them or from formulas alone.
        label_map_share: share of the heads that come from label maps, where there are any.

    Raises:
        InputError: a value out of range or a name that is not known.
    """

    spacing_mm: float = 2.0
    sequences: tuple[str, ...] = SEQUENCES
    kinds: tuple[str, ...] = KINDS
    stripped: bool = True
    mass_effect: bool = True
    quality: float = 1.0
    label_maps: tuple[str, ...] = ()
    label_map_share: float = 0.5

    def __post_init__(self) -> None:
        if not FINEST_MM <= self.spacing_mm <= COARSEST_MM:
            raise InputError(f"a spacing of {self.spacing_mm} mm is impossible", f"give {FINEST_MM} to {COARSEST_MM}")
        if not 0 <= self.quality <= 2 or not 0 <= self.label_map_share <= 1:
            raise InputError("quality must lie in 0 to 2 and label_map_share in 0 to 1", "correct them")
        for what, given, known in (("sequence", self.sequences, SEQUENCES), ("kind", self.kinds, KINDS)):
            if not given or len(set(given)) < len(given):
                raise InputError(f"{what}s must be given, each once", f"choose from {', '.join(known)}")
            for name in given:
                if name not in known:
                    raise InputError(unknown_name(what, name, known))


@dataclass(frozen=True, eq=False)
class VirtualBrain:
    """One head with everything that is true of it.

    Attributes:
        scans: int16 MR by sequence.
        labels: FreeSurfer's numbers, uint16, on the grid of the scans.
        lesions: `lesions.LESION_NAMES`, uint8, on the same grid.
        person: whose head it is.
        plan: what is wrong with it.
        truth: volumes, side and timing, as JSON can hold them.
    """

    scans: Mapping[str, Volume]
    labels: Volume
    lesions: Volume
    person: Person
    plan: LesionPlan
    truth: Mapping[str, object]


def synthesize_brain(seed: int, plan: BrainPlan | None = None, **person: object) -> VirtualBrain:
    """Make a head; a pure function of its arguments.

    Args:
        seed: who it is.
        plan: how it is made; None for the defaults.
        person: fields of `Person` to fix.

    Returns:
        The head; arrays run towards Right, Anterior, Superior.

    Raises:
        InputError: an unknown field, or a label map that cannot be used.
    """
    plan = plan or BrainPlan()
    who = draw_person(seed, **person)
    chances = np.array([PREVALENCE[kind] for kind in plan.kinds])
    kind = str(stream(seed, "kind").choice(plan.kinds, p=chances / chances.sum()))
    disease = plan_lesion(stream(seed, "plan"), kind, plan.mass_effect)
    space = head_space(who, seed, plan.spacing_mm, STRIPPED_MM if plan.stripped else WHOLE_MM, disease.push)
    tissue, origin = _anatomy(space, who, seed, plan)
    patches = place_lesions(Scene(tissue, space, stream(seed, "lesions")), disease, who.white_matter_ml)
    keep = brain_mask(tissue, space, seed) if plan.stripped else None
    timings: dict[str, Timing] = {}
    scans = {}
    for sequence in plan.sequences:
        timings[sequence] = draw_timing(stream(seed, f"timing {sequence}"), sequence)
        voxels = _scan(tissue, patches, timings[sequence], (space, keep), (seed, plan.quality))
        scans[sequence] = Volume(voxels, space.affine, Kind.IMAGE, "MR")
    found = lesion_map(patches, space.shape)
    truth = _truth(tissue, found, space, disease) | {
        "anatomy": origin,
        "timing": {name: describe_timing(timing) for name, timing in timings.items()},
    }
    labels = Volume(_labels(tissue, space), space.affine, Kind.LABEL)
    return VirtualBrain(scans, labels, Volume(found, space.affine, Kind.LABEL), who, disease, truth)


def brain_mask(tissue: Fractions, space: HeadSpace, seed: int) -> np.ndarray:
    """What skull stripping leaves: the brain with its sulci and a thin rim of fluid, bool `(I, J, K)`."""
    solid = tissue.of(TISSUE) > 0.5
    near = ndimage.distance_transform_edt(~solid, space.spacing) < 5.0
    depth = ndimage.distance_transform_edt(near, space.spacing)
    ragged = 0.6 * smooth_field(stream(seed, "strip"), space.shape, space.spacing, 12.0)
    kept = (depth > 4.0 + ragged) | (tissue.of(BRAIN) > 0.6)
    return kept & (space.z > _LOWEST_MM + ragged)  # the cord is cut off


def _anatomy(space: HeadSpace, who: Person, seed: int, plan: BrainPlan) -> tuple[Fractions, str]:
    """Parts of the head, and where they come from."""
    rng = stream(seed, "anatomy")
    if plan.label_maps and rng.random() < plan.label_map_share:
        head = read_head(plan.label_maps[int(rng.integers(len(plan.label_maps)))])
        tissue = labelled_head(head, space, bool(rng.random() < 0.5))
        wither(tissue, space, who.atrophy)
        return tissue, head.name
    return procedural_head(space, who, seed, not plan.stripped), "procedural"


def _scan(tissue: Fractions, patches: Sequence[Patch], timing: Timing, where, how) -> np.ndarray:
    """One sequence's picture, int16 `(I, J, K)`."""
    (space, keep), (seed, quality) = where, how
    sequence = timing.sequence
    relaxation = draw_relaxation(stream(seed, "relaxation"))
    levels = signals(relaxation, timing)
    image = np.tensordot(levels, tissue.shares, (0, 0)).astype(np.float32)
    grain = 1 + np.float32(0.025) * smooth_field(stream(seed, "texture"), space.shape, space.spacing, 5.0)
    image *= grain
    for patch in patches:
        lift = np.float32(signal(patch.relaxation, timing)) * grain
        image += patch.cover * (lift - image)
    rng = stream(seed, f"scan {sequence}")
    acquisition = draw_acquisition(rng, sequence, quality)
    white = float(levels[Part.WHITE])
    image = scan(image, space.spacing, acquisition, white, rng)
    image *= np.float32(_WHITE_VALUE * np.exp(rng.normal(0, 0.25)) / white)
    if keep is not None:
        image *= keep
    return np.clip(np.rint(image), 0, 32767).astype(np.int16)


def _labels(tissue: Fractions, space: HeadSpace) -> np.ndarray:
    """FreeSurfer's number of each voxel's largest part, uint16."""
    right = (space.sources[0] > 0).astype(np.uint8)
    return number_of_part()[tissue.largest(), right]


def _truth(tissue: Fractions, found: np.ndarray, space: HeadSpace, disease: LesionPlan) -> dict[str, object]:
    """Volumes and side, measured on what was made."""
    millilitre = float(np.prod(space.spacing)) / 1000
    counts = np.bincount(found.ravel(), minlength=9) * millilitre
    lesion = found > 1
    left = float((lesion & (space.x < 0)).sum()) / max(int(lesion.sum()), 1)
    side = "" if not lesion.any() else "left" if left > 0.85 else "right" if left < 0.15 else "both"
    volume = {name: float(tissue.of(parts).sum()) * millilitre for name, parts in _MEASURED.items()}
    return {
        "kind": disease.kind if lesion.any() else "healthy",
        "variety": disease.variety if lesion.any() else "",
        "side": side,
        "lesion_ml": round(float(counts[2:].sum()), 3),
        "oedema_ml": round(float(counts[8]), 3),
        "white_matter_ml": round(float(counts[1]), 3),
        "lesions_ml": {str(number): round(float(ml), 3) for number, ml in enumerate(counts) if number and ml},
        **{f"{name}_ml": round(ml, 2) for name, ml in volume.items()},
    }


_MEASURED = {
    "brain": TISSUE,
    "ventricles": tuple(part for part in VENTRICLES if part in FLUID),
    "cortex": (Part.CORTEX,),
    "hippocampi": (Part.HIPPOCAMPUS,),
}


def describe_person(person: Person) -> dict[str, object]:
    """A person as JSON can hold it."""
    return {name: list(value) if isinstance(value, tuple) else value for name, value in asdict(person).items()}
