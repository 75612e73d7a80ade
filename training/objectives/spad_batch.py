"""What both SPAD objectives read of a batch: the volume, and the one degree of anisotropy that it has."""

from __future__ import annotations

from collections.abc import Callable

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
    degrees = set(degrees_of(batch))
    if len(degrees) != 1:
        raise InputError(
            f"a batch holds volumes of the degrees of anisotropy {sorted(degrees)}",
            "batch volumes of one degree together, or prepare all at one spacing",
        )
    return degrees.pop()


def by_degree(batch: dict[str, Tensor], read: Callable[[Tensor, int], Tensor]) -> Tensor:
    """Read one vector of each volume, those of one degree of anisotropy together.

    Args:
        batch: `image` `(B, C, D, H, W)`, and `degree` `(B,)` or what `with_degree` tells it by.
        read: from volumes of a degree, `(b, C, D, H, W)`, to vectors `(b, F)`.

    Returns:
        `(B, F)`, in the order of the batch.

    Raises:
        InputError: nothing tells the degrees.
    """
    images, degrees = batch["image"], degrees_of(batch)
    found: dict[int, Tensor] = {}
    for degree in sorted(set(degrees)):
        places = [place for place, one in enumerate(degrees) if one == degree]
        found.update(zip(places, read(images[places], degree), strict=True))
    return torch.stack([found[place] for place in range(len(images))])


def degrees_of(batch: dict[str, Tensor]) -> list[int]:
    """The degree of anisotropy of each sample of a batch.

    Raises:
        InputError: nothing tells it.
    """
    if "degree" in batch:
        return [int(value) for value in batch["degree"].flatten().tolist()]
    if "spacing_mm" in batch:
        return [degree_of_anisotropy(spacing) for spacing in batch["spacing_mm"].tolist()]
    if batch["image"].shape[2] == 1:
        return [SINGLE_SLICE_DEGREE] * len(batch["image"])
    raise InputError("the batch does not say how thick slices are", "choose a data source that gives spacing_mm")
