"""What both SPAD objectives read of a batch: the volume, and the one degree of anisotropy that it has."""

from __future__ import annotations

import torch
from torch import Tensor

from medfm_core.errors import InputError
from medfm_core.layers.anisotropy import SINGLE_SLICE_DEGREE, degree_of_anisotropy
from training.engine.objective import Sample


def with_degree(sample: Sample) -> Sample:
    """Add `degree`, int64 without axes, to a sample that has none.

    Args:
        sample: `image` `(C, D, H, W)`, and `spacing_mm` `(3,)` along D, H, W; without it, one slice is a 2D image.

    Returns:
        The sample; as it was where nothing tells its degree.

    Raises:
        InputError: the spacing is none.
    """
    if "degree" in sample:
        return sample
    if "spacing_mm" in sample:
        degree = degree_of_anisotropy([float(value) for value in sample["spacing_mm"]])
    elif sample["image"].shape[1] == 1:
        degree = SINGLE_SLICE_DEGREE
    else:
        return sample
    return {**sample, "degree": torch.tensor(degree)}


def degree_of_batch(batch: dict[str, Tensor]) -> int:
    """The degree of anisotropy of all samples.

    Raises:
        InputError: they differ, and one batch is one degree.
    """
    degrees = set(batch["degree"].flatten().tolist())
    if len(degrees) != 1:
        raise InputError(
            f"a batch holds volumes of the degrees of anisotropy {sorted(degrees)}",
            "batch volumes of one degree together, or prepare all at one spacing",
        )
    return int(degrees.pop())
