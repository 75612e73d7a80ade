"""One finding in one organ of one scan: what the encoder's scores are turned into, and what reports are made of."""

from __future__ import annotations

from dataclasses import dataclass

PRESENT, ABSENT, UNCERTAIN, NOT_ASSESSABLE = "present", "absent", "uncertain", "not_assessable"
STATES = (PRESENT, ABSENT, UNCERTAIN, NOT_ASSESSABLE)
LOW = "The score is low, but it is not called absent."  # what the reason of a finding begins with that `is_low`


@dataclass(frozen=True)
class OrganFinding:
    """One finding in one organ.

    Attributes:
        name: of the catalogue, e.g. "hepatic_steatosis".
        label: for readers, e.g. "Hepatic steatosis".
        organ: the organ unit or the place of the catalogue that was scored, e.g. "liver", "lung_lower_lobe_left".
        state: one of `STATES`.
        side: "left", "right" or None.
        score: of the two-way softmax over positive and negative wordings, 0 to 1; None where nothing was scored.
        spread: lowest and highest score over the single wordings.
        absent_below: scores below it count as absent; None where the weights are not calibrated for the finding.
        threshold: scores from it on count as present; None as before. Between the two the finding is uncertain.
        size_mm: largest diameter; None where it was not measured.
        reason: why it cannot be assessed, or what limits it, one sentence; "" where nothing is to be said.
    """

    name: str
    label: str
    organ: str
    state: str
    side: str | None = None
    score: float | None = None
    spread: tuple[float, float] | None = None
    absent_below: float | None = None
    threshold: float | None = None
    size_mm: float | None = None
    reason: str = ""

    def __post_init__(self) -> None:
        if self.state not in STATES:
            raise ValueError(f"state {self.state!r} must be one of {', '.join(STATES)}")

    @property
    def is_low(self) -> bool:
        """Whether it is uncertain for no other reason than that a part of the organ was not looked at."""
        return self.state == UNCERTAIN and self.reason.startswith(LOW)
