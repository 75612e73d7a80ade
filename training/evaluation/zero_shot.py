"""Zero-shot findings of a cohort: what an organ-text model says of every study, against what is true."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from medfm_core.anatomy import FindingKind, load_findings
from medfm_core.models.organ_text import OrganTextModel
from medfm_core.progress import SILENT, Progress
from training.data.organ_pairs import OrganPairs
from training.data.organ_truth import ABSENT, PRESENT
from training.data.statements import StudyStatements
from training.engine.draw import DrawKey

_BATCH = 64


@dataclass(frozen=True, eq=False)
class ZeroShot:
    """Scores and truth of a cohort.

    Attributes:
        findings: names, `F` of them.
        subjects: of the studies, `S` of them.
        scores: of the two-way softmax, `(S, F)`; NaN where no organ of the finding is in the scan.
        truth: 1 there, -1 not, 0 unknown, `(S, F)`.
    """

    findings: tuple[str, ...]
    subjects: tuple[str, ...]
    scores: np.ndarray
    truth: np.ndarray

    def cases(self, finding: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Truth (bool), scores and subjects of the studies in which a finding is known and was scored."""
        column = self.findings.index(finding)
        usable = (self.truth[:, column] != 0) & np.isfinite(self.scores[:, column])
        subjects = np.array(self.subjects)[usable]
        return self.truth[usable, column] > 0, self.scores[usable, column], subjects


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


@torch.inference_mode()
def score_items(embeddings: Tensor, positive: Tensor, negative: Tensor, scale: float) -> Tensor:
    """Two-way softmax of the mean logit over positive and over negative wordings.

    Args:
        embeddings: `(N, E)` of length 1.
        positive: `(P, E)` of length 1.
        negative: the same for the wordings that deny.
        scale: factor on cosines.

    Returns:
        `(N,)`, 0 to 1.

    Source: TotalFM spec, section 1.11.
    """
    return torch.sigmoid(scale * (embeddings @ positive.T).mean(1) - scale * (embeddings @ negative.T).mean(1))


def zero_shot(
    source: OrganPairs, embeddings: Tensor, prompts: Mapping[str, tuple[Tensor, Tensor]], scale: float
) -> ZeroShot:
    """Score the findings of every study: the highest score of all organs in which a finding is looked for.

    Args:
        source: the cohort.
        embeddings: of its organs.
        prompts: per finding the embedded positive and negative wordings.
        scale: factor on cosines.
    """
    findings = tuple(name for name in source.findings if name in prompts)
    studies = np.array([item.study for item in source.items])
    units = np.array([item.unit for item in source.items])
    scores = np.full((len(source.studies), len(findings)), np.nan)
    for column, name in enumerate(findings):
        asked = source.relevant[units, source.findings.index(name)]
        values = score_items(embeddings, *prompts[name], scale).numpy()
        for study in range(len(source.studies)):
            mine = values[asked & (studies == study)]
            if len(mine):
                scores[study, column] = mine.max()
    truth = np.stack([study_truth(study.statements, findings) for study in source.studies])
    return ZeroShot(findings, tuple(study.subject for study in source.studies), scores, truth)


def study_truth(study: StudyStatements, findings: Sequence[str]) -> np.ndarray:
    """Whether a study has each finding anywhere: 1, -1, or 0 for unknown, `(F,)` int8."""
    lines = [line for line in study.statements if not (study.complete and line.text)]
    states = {name: {line.state for line in lines if line.finding == name} for name in findings}
    found = np.zeros(len(findings), np.int8)
    for column, name in enumerate(findings):
        if "present" in states[name]:
            found[column] = PRESENT
        elif "uncertain" in states[name] or name in study.hidden:
            continue
        elif study.complete or "absent" in states[name]:
            found[column] = ABSENT
    return found


def wordings(findings: Sequence[str]) -> dict[str, FindingKind]:
    """The catalogue's entries of findings."""
    catalogue = load_findings()
    return {name: catalogue.by_name(name) for name in findings}
