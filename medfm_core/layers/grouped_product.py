"""Products of rows with one of several matrices each, the rows lying group by group."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

ALIGNMENT = 8
"""Rows to a multiple of which groups are filled up: what the grouped kernels ask of bf16 (16 bytes)."""

_KERNEL = getattr(functional, "grouped_mm", None) or getattr(torch, "_grouped_mm", None)


def grouped_product(rows: Tensor, matrices: Tensor, ends: Tensor) -> Tensor:
    """Multiply each group of rows with its matrix.

    On a GPU that has the kernel (compute capability 9 or more), in bf16, one kernel does all groups and the host never
    learns where they end. Elsewhere the ends are read once and contiguous slices are multiplied one after the other.

    Args:
        rows: `(R, I)`, group after group.
        matrices: `(E, O, I)`.
        ends: where each group ends, `(E,)` int32, not falling; the last is `R`. On the device of the rows.

    Returns:
        `(R, O)`.
    """
    if _has_kernel(rows, matrices):
        return _KERNEL(rows, matrices.transpose(1, 2), offs=ends)
    stops = ends.tolist()
    sizes = [stop - start for start, stop in zip([0, *stops], stops, strict=False)]
    parts = zip(rows.split(sizes), matrices.unbind(), strict=True)
    return torch.cat([part @ matrix.T for part, matrix in parts])


def _has_kernel(rows: Tensor, matrices: Tensor) -> bool:
    if _KERNEL is None or not rows.is_cuda or rows.dtype is not torch.bfloat16:
        return False
    aligned = all(side % ALIGNMENT == 0 for side in matrices.shape[1:])
    return aligned and torch.cuda.get_device_capability(rows.device) >= (9, 0)
