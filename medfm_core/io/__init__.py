"""Read images and write results; LPS formats meet the RAS+ of `medfm_core.geometry` here and nowhere else."""

from medfm_core.io.atomic import atomic_bytes, atomic_text, atomic_write
from medfm_core.io.dicom import SeriesInfo, list_series
from medfm_core.io.header import Header
from medfm_core.io.reading import read_header, read_volume
from medfm_core.io.values import clamp_air
from medfm_core.io.writing import write_labels, write_scalar

__all__ = [
    "Header",
    "SeriesInfo",
    "atomic_bytes",
    "atomic_text",
    "atomic_write",
    "clamp_air",
    "list_series",
    "read_header",
    "read_volume",
    "write_labels",
    "write_scalar",
]
