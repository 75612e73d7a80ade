"""DICOM series: find them, order their images by place, and read them as volumes."""

from medfm_core.io.dicom.reader import list_series, open_dicom
from medfm_core.io.dicom.series import SeriesInfo

__all__ = ["SeriesInfo", "list_series", "open_dicom"]
