"""What the whole-body self-distillation is given."""

from __future__ import annotations

from dataclasses import dataclass, field

from training.heads.prototypes import PrototypeConfig
from training.masking.organ_mask_config import OrganMaskConfig


@dataclass(frozen=True)
class PanFMObjectiveConfig:
    """What is hidden, what is compared, and how the teacher follows.

    Attributes:
        mask: what the student does not see.
        views: how often each study is seen, each time with other noise and another mask.
        jitter: deviation of the noise added to known values, which have a deviation near 1.
        dropped_weight: weight of views from which hidden tokens are left out, as if the organ had not been imaged; 0
            leaves these views out.
        body_weight: weight of the agreement on the whole body.
        token_weight: weight of the agreement on hidden tokens.
        spread_weight: weight of the spread of a batch's vectors.
        organ_weight: weight of what the student's vectors of the body say of all organs that the teacher sees
            (`OrganDecoder`): of each masked view, and of each from which hidden tokens are left out.
        head: of body and tokens, one each.
        ema: share of the teacher that is kept at each step in the beginning; it rises to 1 in a cosine.
        student_temperature: of the student's softmax.
        teacher_temperature: of the teacher's, after the warm-up.
        teacher_temperature_start: of the teacher's, in the beginning.
        temperature_warm_up: share of the run over which it rises.
        centre_momentum: share of the teacher's centres that is kept at each step.

    Source: losses of DINO (arXiv:2104.14294), iBOT (arXiv:2111.07832) and KoLeo (arXiv:1806.03198) with the values of
        that family; that Pan-FM uses these is a reconstruction (Pan-FM spec, section 2.4).
    """

    mask: OrganMaskConfig = field(default_factory=OrganMaskConfig)
    views: int = 2
    jitter: float = 0.2
    dropped_weight: float = 1.0
    body_weight: float = 1.0
    token_weight: float = 1.0
    spread_weight: float = 0.1
    organ_weight: float = 0.0
    head: PrototypeConfig = field(default_factory=PrototypeConfig)
    ema: float = 0.992
    student_temperature: float = 0.1
    teacher_temperature: float = 0.07
    teacher_temperature_start: float = 0.04
    temperature_warm_up: float = 0.3
    centre_momentum: float = 0.9

    def __post_init__(self) -> None:
        if not 1 <= self.views <= 8:
            raise ValueError(f"views {self.views} must lie between 1 and 8")
        weights = (self.body_weight, self.token_weight, self.organ_weight)
        if min(self.jitter, self.dropped_weight, self.spread_weight, *weights) < 0 or sum(weights) == 0:
            raise ValueError(
                "weights and jitter must be at least 0, and body_weight, token_weight or organ_weight above 0"
            )
        if not 0 <= self.ema <= 1 or not 0 <= self.centre_momentum < 1 or not 0 <= self.temperature_warm_up <= 1:
            raise ValueError("ema and temperature_warm_up must lie in [0, 1], and centre_momentum in [0, 1)")
        if min(self.student_temperature, self.teacher_temperature, self.teacher_temperature_start) <= 0:
            raise ValueError("temperatures must be above 0")
