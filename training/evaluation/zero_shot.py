"""Zero-shot findings of a cohort: what an organ-text model says of every organ, against what is true.

Scored as `medfm analyze` scores: the same places, the same sections, the same softmax.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from medfm_core.anatomy import FindingKind, load_findings
from medfm_core.finding_places import Place, places_of
from medfm_core.finding_scores import score_wordings
from medfm_core.measurements import State
from medfm_core.models.organ_text import OrganTextModel
from medfm_core.organ_units import OrganUnit
from medfm_core.progress import SILENT, Progress
from training.data.organ_pairs import OrganPairs
from training.data.organ_truth import UNKNOWN, unit_truth
from training.engine.draw import DrawKey

_BATCH = 64


@dataclass(frozen=True, eq=False)
class Cases:
    """One finding in every organ in which it is known whether it is there, over a cohort.

    Attributes:
        truth: whether it is there, `(R,)` bool.
        scores: of the two-way softmax, `(R,)`.
        studies: number of the study, `(R,)`.
        organs: name of the place, `R` of them.
    """

    truth: np.ndarray
    scores: np.ndarray
    studies: np.ndarray
    organs: tuple[str, ...]


@dataclass(frozen=True, eq=False)
class ZeroShot:
    """Scores and truth of a cohort.

    Attributes:
        subjects: of the studies, `S` of them.
        cases: by finding.
    """

    subjects: tuple[str, ...]
    cases: Mapping[str, Cases]


@torch.inference_mode()
def embed_organs(source: OrganPairs, model: OrganTextModel, progress: Progress = SILENT) -> Tensor:
    """Embed every organ of a cohort, `(items, E)` float32; the source must not augment.

    Args:
        source: the cohort.
        model: in evaluation mode.
        progress: advances by one per organ.
    """
    found = []
    with progress.stage("Embed the organs", len(source)) as stage:
        for first in range(0, len(source), _BATCH):
            items = range(first, min(first + _BATCH, len(source)))
            samples = [source.picture(item, DrawKey(0, item)) for item in items]
            volumes, sizes = (torch.stack([sample[name] for sample in samples]) for name in ("image", "size"))
            found.append(model.image(volumes, sizes if model.image.size is not None else None))
            stage.advance(len(items))
    return torch.cat(found)


def zero_shot(
    source: OrganPairs, embeddings: Tensor, prompts: Mapping[str, tuple[Tensor, Tensor]], scale: float
) -> ZeroShot:
    """Score the findings of every organ of every study: the highest score of its sections.

    Args:
        source: the cohort.
        embeddings: of its organs.
        prompts: per finding the embedded positive and negative wordings.
        scale: factor on cosines.

    Source: TotalFM spec, section 1.11.
    """
    vectors = embeddings.numpy()
    items: dict[tuple[int, str], list[int]] = {}
    for number, item in enumerate(source.items):
        items.setdefault((item.study, source.units[item.unit]), []).append(number)
    shown = [frozenset(unit for study, unit in items if study == number) for number in range(len(source.studies))]
    cases = {}
    for name, kind in wordings([name for name in source.findings if name in prompts]).items():
        rows = []
        places = {units: places_of(kind, _units(source, units)) for units in set(shown)}
        for study, units in enumerate(shown):
            for place in places[units]:
                mine = [n for unit in place.units for n in items.get((study, unit.name), ())]
                truth = _truth(source, study, place, name) if mine else UNKNOWN
                if truth != UNKNOWN:
                    scores = [_score(vectors[n], prompts[name], scale) for n in mine]
                    rows.append((truth > 0, max(scores), study, place.organ))
        truth, scores, studies, organs = zip(*rows, strict=True) if rows else ((), (), (), ())
        cases[name] = Cases(np.array(truth, bool), np.array(scores, float), np.array(studies, int), organs)
    return ZeroShot(tuple(study.subject for study in source.studies), cases)


def _units(source: OrganPairs, shown: frozenset[str]) -> list[OrganUnit]:
    """The organ units of a study."""
    return [
        OrganUnit(name, tuple(sorted(source.structures[name])), State.PRESENT if name in shown else State.OUTSIDE)
        for name in source.units
    ]


def _truth(source: OrganPairs, study: int, place: Place, finding: str) -> int:
    structures = frozenset().union(*(unit.structures for unit in place.units if unit.is_seen))
    return int(unit_truth(source.studies[study].statements, structures, (finding,))[0])


def _score(vector: np.ndarray, prompts: tuple[Tensor, Tensor], scale: float) -> float:
    return score_wordings(vector, prompts[0].numpy(), prompts[1].numpy(), scale).score


def wordings(findings: Sequence[str]) -> dict[str, FindingKind]:
    """The catalogue's entries of findings."""
    catalogue = load_findings()
    return {name: catalogue.by_name(name) for name in findings}
