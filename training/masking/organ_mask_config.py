"""Which organ masks a run draws, and how they change in its course."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from training.masking.organ_masks import AttentionMask, NoMask, OrganDropMask, OrganMaskProvider, RandomTokenMask
from training.masking.saliency_guided import SaliencyGuidedMask


@dataclass(frozen=True)
class OrganMaskConfig:
    """What of the organs is hidden from the student.

    Attributes:
        kind: `none`; `random` tokens; `organ_drop`, whole organs alike; `attmask`, the most attended tokens; or
            `saliency`, organs by their share of the teacher's attention.
        ratio: share that is hidden, of tokens or, expected, of organs.
        share: share of the samples that anything is hidden of.
        hint: of `attmask`: share of the hidden tokens that are shown nevertheless.
        temperature: of `saliency`: low hides the dominant organ nearly always, high hides all alike.
        per_token: of `saliency`: compare attention per token, not its sum over an organ.
        unit: of `saliency`: hide whole organs, or the most attended `tokens` of each.
        least: of `saliency`: smallest probability of an organ.
        most: of `saliency`: largest probability of an organ.
        average: of `saliency`: decay of an average of the shares over steps, which then counts instead of a sample's
            own shares; 0 for its own.
        guide_from: share of the run before which `saliency` is not guided.
        guide_to: share of the run from which it is guided fully.
    """

    kind: Literal["none", "random", "organ_drop", "attmask", "saliency"] = "saliency"
    ratio: float = 0.4
    share: float = 1.0
    hint: float = 0.0
    temperature: float = 0.1
    per_token: bool = False
    unit: Literal["organ", "tokens"] = "organ"
    least: float = 0.05
    most: float = 0.95
    average: float = 0.0
    guide_from: float = 0.05
    guide_to: float = 0.25

    def __post_init__(self) -> None:
        if not 0 <= self.share <= 1 or not 0 <= self.average < 1:
            raise ValueError("share must lie in [0, 1] and average in [0, 1)")
        if not 0 <= self.guide_from <= self.guide_to <= 1:
            raise ValueError("guide_from and guide_to must ascend within [0, 1]")
        self.provider(1.0)

    @property
    def guided(self) -> bool:
        """Whether the provider looks at attention."""
        return self.kind in ("attmask", "saliency")

    def provider(self, progress: float) -> OrganMaskProvider:
        """Make the provider of a place in the run.

        Args:
            progress: share of the run that is done, 0 to 1.

        Raises:
            ValueError: a value is impossible.
        """
        if self.kind == "none":
            return NoMask()
        if self.kind == "random":
            return RandomTokenMask(self.ratio)
        if self.kind == "organ_drop":
            return OrganDropMask(self.ratio)
        if self.kind == "attmask":
            return AttentionMask(self.ratio, self.hint)
        return SaliencyGuidedMask(
            self.ratio, self.temperature, self.per_token, self.unit, self.least, self.most, self.guidance(progress)
        )

    def guidance(self, progress: float) -> float:
        """How much saliency counts at a place in the run: 0, then rising linearly to 1."""
        if progress >= self.guide_to:
            return 1.0
        return max(0.0, (progress - self.guide_from) / (self.guide_to - self.guide_from))
