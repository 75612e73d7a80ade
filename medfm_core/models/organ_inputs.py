"""The organ embeddings of one study as tensors of a fixed order."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from medfm_core.errors import InputError
from medfm_core.strict import unknown_name


def arrange(organs: Mapping[str, Tensor], units: Sequence[str], width: int) -> tuple[Tensor, Tensor]:
    """Put a study's embeddings in the order of a model's organ units.

    Args:
        organs: embedding `(E,)` or tokens `(T, E)` by name of the unit, all with the same number of tokens; units that
            the study does not show are left out.
        units: names of all units, `U`.
        width: channels, `E`.

    Returns:
        Embeddings `(U, E)` or `(U, T, E)` float32, zero where there is none, and which are there, `(U,)` bool.

    Raises:
        InputError: an organ unit that is not known, embeddings of another width or unlike each other, or a value that
            is not finite.
    """
    place = {name: number for number, name in enumerate(units)}
    shapes = {tuple(value.shape) for value in organs.values()} or {(width,)}
    shape = min(shapes)
    if len(shapes) > 1 or len(shape) not in (1, 2) or shape[-1] != width:
        raise InputError(
            f"the study's embeddings have the shapes {sorted(shapes)}, and the model reads {width} channels",
            "use embeddings of the image encoder that the model was trained with",
        )
    embeddings, present = torch.zeros(len(place), *shape), torch.zeros(len(place), dtype=torch.bool)
    for name, value in organs.items():
        if name not in place:
            raise InputError(
                f"the study cannot be read: {unknown_name('organ unit', name, place)}",
                "use embeddings of the image encoder that the model was trained with",
            )
        if not torch.isfinite(value).all():
            raise InputError(f"the embedding of {name} holds values that are not finite", "compute it again")
        embeddings[place[name]] = value.float()
        present[place[name]] = True
    return embeddings, present
