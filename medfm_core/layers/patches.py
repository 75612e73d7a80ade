"""Volumes cut into patches, and back: a reshape, nothing learnt."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from medfm_core.errors import InputError


def patch_grid(sides: Sequence[int], patch: Sequence[int]) -> tuple[int, int, int]:
    """Count the patches along each of three axes.

    Args:
        sides: voxels of the volume per axis.
        patch: voxels of a patch per axis.

    Raises:
        InputError: a side is not a multiple of its patch side.
    """
    if len(sides) != 3 or any(side < size or side % size for side, size in zip(sides, patch, strict=False)):
        given, wanted = (" x ".join(map(str, shape)) for shape in (sides, patch))
        raise InputError(f"a volume of {given} voxels does not divide into patches of {wanted}", "crop or pad it")
    first, second, third = (side // size for side, size in zip(sides, patch, strict=True))
    return first, second, third


def patchify(volume: Tensor, patch: tuple[int, int, int]) -> Tensor:
    """Cut volumes into patches that do not overlap.

    Args:
        volume: `(B, C, A1, A2, A3)`.
        patch: voxels of a patch along the three axes.

    Returns:
        `(B, N, P)`: `N` patches, the last axis fastest, of `P = p1 * p2 * p3 * C` values each, the channel fastest.

    Raises:
        InputError: the volume does not divide into patches.
    """
    batch, channels, *sides = volume.shape
    (n1, n2, n3), (p1, p2, p3) = patch_grid(sides, patch), patch
    split = volume.reshape(batch, channels, n1, p1, n2, p2, n3, p3)
    return split.permute(0, 2, 4, 6, 3, 5, 7, 1).reshape(batch, n1 * n2 * n3, p1 * p2 * p3 * channels)


def unpatchify(patches: Tensor, grid: tuple[int, int, int], patch: tuple[int, int, int]) -> Tensor:
    """Put patches back into volumes; undoes `patchify`.

    Args:
        patches: `(B, N, P)`.
        grid: patches along the three axes, `N` in all.
        patch: voxels of a patch along the three axes.

    Returns:
        `(B, C, A1, A2, A3)`.
    """
    (n1, n2, n3), (p1, p2, p3) = grid, patch
    split = patches.reshape(len(patches), n1, n2, n3, p1, p2, p3, -1)
    joined = split.permute(0, 7, 1, 4, 2, 5, 3, 6)
    return joined.reshape(len(patches), split.shape[-1], n1 * p1, n2 * p2, n3 * p3)
