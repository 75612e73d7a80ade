"""From parts to the signal of a sequence: relaxation times, then the signal equations of the three sequences.

Times are those of about 1.5 to 3 T (ms), proton density is relative to water. Every scan draws its own timing, and
every person tissue times a few percent off, so that no two scans have quite the same contrast.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass

import numpy as np

from training.synthetic.brain.parts import Part

SEQUENCES = ("T1w", "T2w", "FLAIR")

Relaxation = tuple[float, float, float]  # T1 ms, T2 ms, proton density

RELAXATION: dict[Part, Relaxation] = {
    Part.AIR: (1000, 10, 0.0), Part.SKIN: (1100, 42, 0.55), Part.FAT: (380, 110, 0.80), Part.MUSCLE: (1250, 36, 0.72),
    Part.BONE: (900, 8, 0.06), Part.MARROW: (520, 75, 0.45), Part.EYE: (3600, 900, 0.98), Part.MUCOSA: (1400, 90, 0.8),
    Part.BLOOD: (1750, 110, 0.35), Part.CSF: (4000, 1200, 1.0), Part.CORTEX: (1260, 92, 0.82),
    Part.WHITE: (820, 73, 0.71), Part.LATERAL_VENTRICLE: (4000, 1400, 1.0), Part.THIRD_VENTRICLE: (4000, 1200, 1.0),
    Part.FOURTH_VENTRICLE: (4000, 1200, 1.0), Part.CHOROID: (1900, 180, 0.88), Part.THALAMUS: (1060, 80, 0.79),
    Part.CAUDATE: (1190, 86, 0.82), Part.PUTAMEN: (1120, 80, 0.81), Part.PALLIDUM: (930, 66, 0.77),
    Part.HIPPOCAMPUS: (1290, 98, 0.83), Part.AMYGDALA: (1280, 95, 0.83), Part.BRAINSTEM: (900, 80, 0.73),
    Part.CEREBELLAR_CORTEX: (1250, 90, 0.82), Part.CEREBELLAR_WHITE: (840, 74, 0.72),
}  # fmt: skip
FIELD_T1 = (0.84, 1.04)  # factor on all T1 of tissue: 1.5 T to 3 T


@dataclass(frozen=True)
class Timing:
    """How a scan is acquired.

    Attributes:
        sequence: of `SEQUENCES`.
        repetition_ms: TR.
        echo_ms: TE.
        inversion_ms: TI; 0 without an inversion.
    """

    sequence: str
    repetition_ms: float
    echo_ms: float
    inversion_ms: float = 0.0


def draw_timing(rng: np.random.Generator, sequence: str) -> Timing:
    """Draw the timing of a sequence; T1w is an inversion-prepared gradient echo or a spin echo."""
    if sequence == "T1w":
        if rng.random() < 0.7:
            return Timing(sequence, rng.uniform(1900, 2500), rng.uniform(2.5, 4.5), rng.uniform(850, 1050))
        return Timing(sequence, rng.uniform(450, 650), rng.uniform(8, 15))
    if sequence == "T2w":
        return Timing(sequence, rng.uniform(3500, 6000), rng.uniform(80, 115))
    repetition = rng.uniform(7500, 10000)
    null = 4000 * np.log(2 / (1 + np.exp(-repetition / 4000)))
    return Timing(sequence, repetition, rng.uniform(95, 135), null * rng.uniform(0.94, 1.03))


def draw_relaxation(rng: np.random.Generator, spread: float = 0.035) -> dict[Part, Relaxation]:
    """Draw a person's relaxation times on the day's scanner.

    Args:
        rng: source.
        spread: relative deviation of each.
    """
    field = rng.uniform(*FIELD_T1)
    out = {}
    for part, (t1, t2, density) in RELAXATION.items():
        draws = np.exp(rng.normal(0, spread, 3))
        fluid = t1 > 3000
        out[part] = (t1 * (1 if fluid else field * draws[0]), t2 * draws[1], min(density * draws[2], 1.0))
    return out


def signal(relaxation: Relaxation, timing: Timing) -> float:
    """Magnitude of the signal of one tissue.

    Source: the steady-state solutions of the Bloch equations for spin echo and inversion recovery.
    """
    t1, t2, density = relaxation
    recovery = np.exp(-timing.repetition_ms / t1)
    along = 1 - recovery
    if timing.inversion_ms:
        along = 1 - 2 * np.exp(-timing.inversion_ms / t1) + recovery
    return float(density * abs(along) * np.exp(-timing.echo_ms / t2))


def signals(relaxation: Mapping[Part, Relaxation], timing: Timing) -> np.ndarray:
    """Signal of every part, `(parts,)` float32."""
    return np.array([signal(relaxation[part], timing) for part in Part], np.float32)


def describe_timing(timing: Timing) -> dict[str, object]:
    """The timing as JSON can hold it."""
    return {name: value if isinstance(value, str) else round(float(value), 1) for name, value in asdict(timing).items()}
