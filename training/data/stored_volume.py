"""One stored volume: its facts, and crops that read only the blocks they touch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from medfm_core.errors import InputError
from medfm_core.geometry import Affine
from medfm_core.volume import Kind, Volume

DAMAGED = "prepare it again (`python -m training.prepare` replaces what is damaged)"


@dataclass(frozen=True)
class FilePart:
    """Where an array lies: a whole file, or a part of one.

    Attributes:
        path: the file.
        offset: its first byte there.
        bytes: how many there are.
    """

    path: Path
    offset: int
    bytes: int


@dataclass(frozen=True, eq=False)
class StoredVolume:
    """A volume in a store, `(D, H, W)`; its arrays are opened when they are first read.

    Attributes:
        key: what it is stored under.
        facts: its `volume.json`.
        image_part: where its voxels lie.
        labels_part: where its label map lies, None if it has none.
    """

    key: str
    facts: Mapping[str, Any]
    image_part: FilePart
    labels_part: FilePart | None = None
    _open: dict[str, Any] = field(default_factory=dict, repr=False)

    @property
    def shape(self) -> tuple[int, int, int]:
        """Voxels along each axis."""
        return tuple(self.facts["shape"])

    @property
    def affine(self) -> Affine:
        """Places voxel indices in RAS+ mm."""
        return Affine(np.array(self.facts["affine"]))

    @property
    def spacing(self) -> tuple[float, float, float]:
        """Distance between voxel centres along each axis, mm."""
        return tuple(self.facts["spacing_mm"])

    @property
    def modality(self) -> str:
        """`CT`, `MR`, ..."""
        return self.facts["modality"]

    @property
    def has_labels(self) -> bool:
        """Whether a label map is stored with it."""
        return self.labels_part is not None

    @property
    def label_names(self) -> dict[int, str]:
        """Name of each value of the label map; empty for the vocabulary's own numbers."""
        return {int(value): name for value, name in self.facts["label_names"].items()}

    def crop(
        self,
        start: Sequence[int],
        size: Sequence[int],
        pad_value: float | None = None,
        dtype: type = np.float32,
    ) -> np.ndarray:
        """Read a box of voxels; what lies outside the volume is filled.

        Args:
            start: `(3,)` first voxel; may be negative.
            size: `(3,)` voxels along each axis.
            pad_value: for what lies outside, in the units of the image; by default air for CT, else the minimum.
            dtype: float32 gives values in their units; int16 gives them as stored (`stored * scale + offset`).

        Returns:
            A new array of shape `size`.

        Raises:
            InputError: an impossible size, or the file is damaged.
        """
        scale, offset = self.facts["scale"], self.facts["offset"]
        pad = self.facts["outside"] if pad_value is None else pad_value
        inside, place = _overlap(start, size, self.shape)
        stored = self._read("image", self.image_part, inside)
        if np.dtype(dtype) == np.int16:
            return _padded(stored, size, place, np.int16(round((pad - offset) / scale)), np.int16)
        values = stored.astype(np.float32)
        if (scale, offset) != (1.0, 0.0):
            values *= np.float32(scale)
            values += np.float32(offset)
        return _padded(values, size, place, np.float32(pad), np.float32)

    def labels_crop(self, start: Sequence[int], size: Sequence[int], pad_value: int = 0) -> np.ndarray:
        """Read a box of the label map, uint8 or uint16; arguments as for `crop`.

        Raises:
            InputError: it has no label map, or as for `crop`.
        """
        if self.labels_part is None:
            raise InputError(f"the stored volume {self.key[:12]} has no labels", "add a column labels to the manifest")
        inside, place = _overlap(start, size, self.shape)
        labels = self._read("labels", self.labels_part, inside)
        return _padded(labels, size, place, pad_value, labels.dtype)

    def points(self, label: int | None = None) -> np.ndarray:
        """Some voxels of the foreground, or of a label, `(N, 3)`; none where there is none."""
        flat = (
            self.facts["points"]["foreground"] if label is None else self.facts["points"]["labels"].get(str(label), [])
        )
        return np.stack(np.unravel_index(np.array(flat, dtype=np.int64), self.shape), axis=1)

    def volume(self) -> Volume:
        """All of it, float32."""
        return Volume(self.crop((0, 0, 0), self.shape), self.affine, Kind.IMAGE, self.modality)

    def labels(self) -> Volume:
        """The whole label map.

        Raises:
            InputError: it has none.
        """
        return Volume(self.labels_crop((0, 0, 0), self.shape), self.affine, Kind.LABEL, self.modality)

    def hold(self) -> None:
        """Open its files now; they can be read from then on even if somebody removes them.

        Raises:
            InputError: a file is missing or damaged.
        """
        box = (slice(0, 1),) * 3
        self._read("image", self.image_part, box)
        if self.labels_part is not None:
            self._read("labels", self.labels_part, box)

    def _read(self, name: str, part: FilePart, box: tuple[slice, ...]) -> np.ndarray:
        try:
            if name not in self._open:
                self._open[name] = open_array(part)
            return self._open[name][box]
        except (RuntimeError, OSError, ValueError) as error:
            raise InputError(f"the stored {name} {self.key[:12]} cannot be read, it is damaged", DAMAGED) from error

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_open": {}}


def open_array(part: FilePart) -> Any:
    """Open a blosc2 array for reading, mapped into memory; one thread, since data workers are many.

    Raises:
        InputError: it is not there or not whole.
    """
    import blosc2

    try:
        size = part.path.stat().st_size
    except OSError as error:
        raise InputError(f"the stored file {part.path} is not there", DAMAGED) from error
    if size < part.offset + part.bytes:
        raise InputError(f"the stored file {part.path} is cut short: {size:,} bytes", DAMAGED)
    return blosc2.open(
        str(part.path), mode="r", offset=part.offset, mmap_mode="r", dparams=blosc2.DParams(nthreads=1)
    )  # fmt: skip


def _overlap(
    start: Sequence[int], size: Sequence[int], shape: Sequence[int]
) -> tuple[tuple[slice, ...], tuple[slice, ...]]:
    """The box within the volume, and where it lies in the crop; both empty where they do not meet."""
    if min(size) < 1:
        raise InputError(f"a crop of {tuple(size)} voxels is impossible", "give at least 1 along each axis")
    inside, place = [], []
    for first, count, length in zip(start, size, shape, strict=True):
        low, high = min(max(first, 0), length), max(min(first + count, length), 0)
        high = max(low, high)
        inside.append(slice(low, high))
        place.append(slice(low - first, high - first))
    return tuple(inside), tuple(place)


def _padded(values: np.ndarray, size: Sequence[int], place: tuple[slice, ...], pad: Any, dtype: Any) -> np.ndarray:
    if values.shape == tuple(size):
        return values
    whole = np.full(tuple(size), pad, dtype)
    if values.size:
        whole[place] = values
    return whole
