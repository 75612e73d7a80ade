"""Which organ of a batch fits which sentence of it: the targets of contrast, without false negatives.

In a batch of reports many sentences fit many organs ("The spleen is normal."), and taking every pair but a study's own
for a mismatch would teach the opposite of the truth. What is known of an organ, finding by finding, settles most pairs;
the others are left out of the loss.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

FITS, UNSETTLED, MISFITS = 1, 0, -1


@dataclass(frozen=True, eq=False)
class Organs:
    """What is known of the organs of a batch.

    Attributes:
        unit: number of the organ unit, `(B,)`.
        truth: per finding 1 there, -1 not, 0 unknown, `(B, F)`.
        relevant: whether a finding is looked for in the unit, `(B, F)` bool.
    """

    unit: Tensor
    truth: Tensor
    relevant: Tensor


@dataclass(frozen=True, eq=False)
class Sentences:
    """What the sentences of a batch say, `K` of each sample.

    Attributes:
        finding: number of the finding, -1 where the organ is called normal, `(B, K)`.
        says: 1 there, -1 not, `(B, K)`.
        detailed: whether it gives sizes or places that fit no other patient, `(B, K)` bool.
        own: whether it stands in the report of its sample, `(B, K)` bool.
    """

    finding: Tensor
    says: Tensor
    detailed: Tensor
    own: Tensor


def relate(organs: Organs, sentences: Sentences) -> tuple[Tensor, Tensor]:
    """Say of every organ and sentence whether they fit.

    Args:
        organs: `B` of them.
        sentences: `B` times `K` of them; those of sample j speak of its unit.

    Returns:
        The relation `(B, B, K)` int8 (organ, sample of the sentence, sentence) of FITS, UNSETTLED and MISFITS, and
        whether organ and sentence belong to the same unit, `(B, B, 1)` bool.
    """
    same = (organs.unit[:, None] == organs.unit[None, :])[:, :, None]
    fits = torch.where(same, _within(organs, sentences), _across(organs, sentences))
    others = ~torch.eye(len(organs.unit), dtype=torch.bool, device=fits.device)[:, :, None]
    particular = (sentences.detailed & (sentences.finding >= 0) & (sentences.says > 0))[None] & others
    fits = torch.where(particular & (fits == FITS), UNSETTLED, fits)  # another patient's size or place
    return fits.to(torch.int8), same


def _within(organs: Organs, sentences: Sentences) -> Tensor:
    """Sentences on the organ's own unit: what is true of it decides."""
    truth = organs.truth.long()
    claimed = truth[:, sentences.finding.clamp(min=0)] * sentences.says[None]
    has_any = ((truth > 0) & organs.relevant).any(1)
    knows_all = ((truth < 0) | ~organs.relevant).all(1)
    normal = torch.where(has_any, MISFITS, torch.where(knows_all, FITS, UNSETTLED))
    return torch.where(sentences.finding[None] < 0, normal[:, None, None], claimed)


def _across(organs: Organs, sentences: Sentences) -> Tensor:
    """Sentences on another unit: a misfit, unless the units share findings, such as both kidneys."""
    shared = (organs.relevant[:, None, :] & organs.relevant[None, :, :]).any(2)
    misfit = torch.where(shared, UNSETTLED, MISFITS)[:, :, None]
    return misfit.expand(-1, -1, sentences.finding.shape[1])
