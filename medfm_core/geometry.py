"""Where voxels lie in the patient: affines and grids.

World coordinates are RAS+ millimetres, as in NIfTI and nibabel: x grows towards the patient's Right, y towards
Anterior, z towards Superior. DICOM and ITK speak LPS (x towards Left, y towards Posterior); `Affine.from_itk` and
`Affine.to_itk` are the one place where the two meet. Arrays are indexed `[i, j, k]` in the order of the affine's
columns.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from itertools import permutations, product
from math import acos, degrees

import numpy as np

from medfm_core.errors import GeometryError

_LETTERS = (("L", "R"), ("P", "A"), ("I", "S"))  # per world axis: the code of an axis that goes down, up
_LPS_TO_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])
_FLATTEST = 1e-3  # volume of the unit parallelepiped below which three directions count as lying in one plane


@dataclass(frozen=True, eq=False)
class Affine:
    """A 4x4 float64 map from voxel indices to RAS+ millimetres; read-only.

    Args:
        matrix: `(4, 4)`, last row 0 0 0 1; columns 0..2 are the steps of one voxel, column 3 the centre of voxel 0 0 0.

    Raises:
        GeometryError: not 4x4, not finite, another last row, or singular.
    """

    matrix: np.ndarray

    def __post_init__(self) -> None:
        matrix = np.array(self.matrix, dtype=np.float64)
        with np.errstate(all="ignore"):  # what overflows is refused by name
            _check(matrix)
        matrix.flags.writeable = False
        object.__setattr__(self, "matrix", matrix)

    @cached_property
    def spacing(self) -> tuple[float, float, float]:
        """Distance between neighbouring voxel centres along each axis, mm."""
        return tuple(float(length) for length in np.linalg.norm(self.matrix[:3, :3], axis=0))

    @property
    def direction(self) -> np.ndarray:
        """Unit vector of each axis in its column, `(3, 3)`, RAS+."""
        return self.matrix[:3, :3] / np.array(self.spacing)

    @property
    def origin(self) -> np.ndarray:
        """Centre of voxel (0, 0, 0), `(3,)`, RAS+ mm."""
        return self.matrix[:3, 3].copy()

    @cached_property
    def _nearest(self) -> tuple[int, int, int]:
        """World axis nearest to each array axis, each used once."""
        size = np.abs(self.direction)
        return max(permutations(range(3)), key=lambda world: sum(size[world[axis], axis] for axis in range(3)))

    @cached_property
    def codes(self) -> str:
        """Nearest axis codes: "LPS" says that the axes grow towards Left, Posterior and Superior in turn."""
        return "".join(_LETTERS[w][int(self.matrix[w, axis] > 0)] for axis, w in enumerate(self._nearest))

    @property
    def is_orthogonal(self) -> bool:
        """Whether the axes are at right angles (cosines below 1e-3), so that nothing is sheared."""
        return bool(np.abs(self.direction.T @ self.direction - np.eye(3)).max() < 1e-3)

    @property
    def obliqueness_deg(self) -> float:
        """Largest angle between an axis and its nearest world axis, degrees."""
        cosines = [abs(self.direction[world, axis]) for axis, world in enumerate(self._nearest)]
        return degrees(acos(min(1.0, min(cosines))))

    @property
    def voxel_volume_ml(self) -> float:
        """Volume of one voxel, mL."""
        return float(abs(np.linalg.det(self.matrix[:3, :3]))) / 1000.0

    def to_world(self, indices: np.ndarray) -> np.ndarray:
        """Map voxel indices `(..., 3)` to RAS+ mm `(..., 3)`, float64."""
        return np.asarray(indices, dtype=np.float64) @ self.matrix[:3, :3].T + self.matrix[:3, 3]

    def to_voxel(self, points: np.ndarray) -> np.ndarray:
        """Map RAS+ mm `(..., 3)` to continuous voxel indices `(..., 3)`, float64."""
        shifted = np.asarray(points, dtype=np.float64) - self.matrix[:3, 3]
        return shifted @ np.linalg.inv(self.matrix[:3, :3]).T

    def inverse(self) -> np.ndarray:
        """Return the `(4, 4)` map from RAS+ mm to voxel indices, a plain array since its columns are no voxel steps."""
        return np.linalg.inv(self.matrix)

    def __matmul__(self, step: np.ndarray) -> Affine:
        """Compose with a change of index: in `affine @ m` an index x lies where index `m x` lies in `affine`.

        Args:
            step: `(4, 4)` map from new indices to indices of this affine.
        """
        return Affine(self.matrix @ np.asarray(step, dtype=np.float64))

    def matches(self, other: Affine, tolerance: float = 1e-4) -> bool:
        """Whether every entry of the two matrices differs by at most `tolerance` (mm)."""
        return bool(np.abs(self.matrix - other.matrix).max() <= tolerance)

    @classmethod
    def from_itk(cls, origin: np.ndarray, spacing: np.ndarray, direction: np.ndarray) -> Affine:
        """Build from ITK's LPS geometry.

        Args:
            origin: `(3,)`, LPS mm.
            spacing: `(3,)`, mm.
            direction: `(3, 3)` or 9 numbers row by row; columns are the axes.
        """
        matrix = np.eye(4)
        matrix[:3, :3] = np.reshape(np.asarray(direction, dtype=np.float64), (3, 3)) * np.asarray(spacing, np.float64)
        matrix[:3, 3] = origin
        return cls(_LPS_TO_RAS @ matrix)

    def to_itk(self) -> tuple[tuple[float, ...], tuple[float, ...], tuple[float, ...]]:
        """Return ITK's (origin, spacing, direction) in LPS mm; direction as 9 numbers row by row."""
        direction = _LPS_TO_RAS[:3, :3] @ self.direction
        origin = _LPS_TO_RAS[:3, :3] @ self.matrix[:3, 3]
        return tuple(origin.tolist()), self.spacing, tuple(direction.ravel().tolist())


@dataclass(frozen=True, eq=False)
class Grid:
    """A box of voxels in the patient: how many along each axis, and where.

    Raises:
        GeometryError: not three whole numbers of at least 1.
    """

    shape: tuple[int, int, int]
    affine: Affine

    def __post_init__(self) -> None:
        shape = tuple(int(n) for n in self.shape)
        if len(shape) != 3 or min(shape) < 1 or shape != tuple(self.shape):
            raise GeometryError(f"a grid of shape {tuple(self.shape)} is no volume", "give three whole numbers above 0")
        object.__setattr__(self, "shape", shape)

    @property
    def voxels(self) -> int:
        """Number of voxels."""
        return self.shape[0] * self.shape[1] * self.shape[2]

    @property
    def extent_mm(self) -> tuple[float, float, float]:
        """Length along each axis from the outer face of the first voxel to that of the last, mm."""
        return tuple(n * step for n, step in zip(self.shape, self.affine.spacing, strict=True))

    def corners(self) -> np.ndarray:
        """Centres of the eight corner voxels, `(8, 3)`, RAS+ mm."""
        return self.affine.to_world(np.array(list(product(*((0, n - 1) for n in self.shape)))))

    def same_as(self, other: Grid, tolerance_mm: float = 1e-3) -> bool:
        """Whether both have the same shape and no voxel centre lies further apart than `tolerance_mm`."""
        if self.shape != other.shape:
            return False
        return bool(np.linalg.norm(self.corners() - other.corners(), axis=1).max() <= tolerance_mm)


def _check(matrix: np.ndarray) -> None:
    if matrix.shape != (4, 4):
        raise GeometryError(f"an affine of shape {matrix.shape} is not 4x4")
    if not np.isfinite(matrix).all():
        raise GeometryError("the affine holds NaN or infinite values", "write the file again with its true position")
    if not np.allclose(matrix[3], [0, 0, 0, 1], atol=1e-6):
        raise GeometryError(f"the affine's last row is {matrix[3].tolist()} instead of 0 0 0 1")
    lengths = np.linalg.norm(matrix[:3, :3], axis=0)
    if not np.isfinite(lengths).all() or lengths.min() < 1e-6:
        raise GeometryError("the affine gives an axis no length", "write the file again with its true spacing")
    if abs(np.linalg.det(matrix[:3, :3] / lengths)) < _FLATTEST:
        raise GeometryError(
            "the affine is singular: its axes lie in a plane", "write the file again with its true axes"
        )
