"""How much of each part is in each voxel: structures are painted one over the other with soft edges."""

from __future__ import annotations

import numpy as np

from medfm_core.volume import foreground_box
from training.synthetic.brain.parts import Part


class Fractions:
    """Shares of the parts in every voxel, which add up to 1; all of it is air at first.

    Args:
        shape: voxels along each axis.
        edge_mm: width of a soft edge: the voxel size.

    Attributes:
        shares: `(parts, I, J, K)` float32.
    """

    def __init__(self, shape: tuple[int, int, int], edge_mm: float) -> None:
        self.shares = np.zeros((len(Part), *shape), np.float32)
        self.shares[Part.AIR] = 1
        self._edge = np.float32(1 / edge_mm)

    def paint(self, part: Part, distance: np.ndarray) -> None:
        """Fill what lies within a surface.

        Args:
            part: with what.
            distance: signed distance to the surface, negative inside, mm, `(I, J, K)`.
        """
        cover = np.float32(0.5) - distance * self._edge
        box = foreground_box(cover > 0)
        if box is None:
            return
        inside = tuple(slice(a, b) for a, b in zip(*box, strict=True))
        cover = np.clip(cover[inside], 0, 1)
        region = self.shares[(slice(None), *inside)]
        region *= 1 - cover
        region[part] += cover

    def of(self, parts: tuple[Part, ...]) -> np.ndarray:
        """Share of several parts together, `(I, J, K)` float32."""
        return self.shares[list(parts)].sum(axis=0)

    def largest(self) -> np.ndarray:
        """The part with the largest share in each voxel, uint8 `(I, J, K)`."""
        return self.shares.argmax(axis=0).astype(np.uint8)
