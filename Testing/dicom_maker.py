"""Makes small DICOM series of nobody, for tests; the names are invented and must appear in no message."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pydicom
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.sequence import Sequence as DicomSequence
from pydicom.uid import CTImageStorage, EnhancedCTImageStorage, ExplicitVRLittleEndian, generate_uid

SECRETS = ("Testperson", "Imaginary", "FAKE-0001", "19010203", "1.2.826.0.1.3680043.8.498")  # in every file
ROWS, COLUMNS, SLICES = 8, 7, 6
AXIAL = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0)

Edit = Callable[[Dataset, int], None]


def stored_voxels(slices: int = SLICES, rows: int = ROWS, columns: int = COLUMNS, seed: int = 0) -> np.ndarray:
    """Stored values `(slices, rows, columns)`, uint16 from 0 to 2000: -1024 to 976 HU."""
    return np.random.default_rng(seed).integers(0, 2000, (slices, rows, columns)).astype(np.uint16)


def make_slice(pixels: np.ndarray, position: Sequence[float], *, series: str, number: int = 1) -> FileDataset:
    """A CT image with every tag that a stack needs."""
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = CTImageStorage
    meta.MediaStorageSOPInstanceUID = generate_uid()
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    made = FileDataset("", {}, file_meta=meta, preamble=b"\0" * 128)
    made.SOPClassUID, made.SOPInstanceUID = CTImageStorage, meta.MediaStorageSOPInstanceUID
    made.StudyInstanceUID, made.SeriesInstanceUID = generate_uid(entropy_srcs=["study"]), series
    made.PatientName, made.PatientID, made.PatientBirthDate = "Testperson^Imaginary", "FAKE-0001", "19010203"
    made.Modality, made.ImageType = "CT", ["ORIGINAL", "PRIMARY", "AXIAL"]
    made.SeriesNumber, made.SeriesDescription, made.InstanceNumber = 3, "Chest 2.5", number
    made.AcquisitionNumber, made.SliceThickness = 1, 2.5
    made.ImagePositionPatient, made.ImageOrientationPatient = [float(x) for x in position], list(AXIAL)
    made.PixelSpacing = [0.8, 0.7]
    made.Rows, made.Columns = pixels.shape
    made.SamplesPerPixel, made.PhotometricInterpretation = 1, "MONOCHROME2"
    made.BitsAllocated, made.BitsStored, made.HighBit = 16, 16, 15
    made.PixelRepresentation = int(pixels.dtype.kind == "i")
    made.RescaleSlope, made.RescaleIntercept, made.RescaleType = 1, -1024, "HU"
    made.PixelData = pixels.tobytes()
    return made


def make_series(
    folder: Path,
    voxels: np.ndarray | None = None,
    *,
    origin: Sequence[float] = (-10.0, -20.0, 30.0),
    step: Sequence[float] = (0.0, 0.0, 2.5),
    edit: Edit | None = None,
    skip: Sequence[int] = (),
    prefix: str = "image",
    seed: int = 0,
) -> list[Path]:
    """Write a series of single images in shuffled file order.

    Args:
        folder: made if missing.
        voxels: stored values, `(slices, rows, columns)`.
        origin: ImagePositionPatient of the first slice, LPS mm.
        step: from slice to slice, LPS mm.
        edit: changes the dataset of slice k before it is written.
        skip: slices that are not written.
        prefix: start of file names.
        seed: of the series' UID, voxels and file order.
    """
    folder.mkdir(parents=True, exist_ok=True)
    voxels = stored_voxels(seed=seed) if voxels is None else voxels
    uid = generate_uid(entropy_srcs=[prefix, str(seed)])
    names = np.random.default_rng(seed).permutation(len(voxels))
    paths = []
    for k, pixels in enumerate(voxels):
        if k in skip:
            continue
        position = np.asarray(origin) + k * np.asarray(step)
        # the instance numbers run backwards, as on many scanners
        made = make_slice(pixels, position, series=uid, number=len(voxels) - k)
        if edit is not None:
            edit(made, k)
        paths.append(folder / f"{prefix}{names[k]:03d}.dcm")
        save(made, paths[-1])
    return paths


def save(made: Dataset, path: Path) -> Path:
    """Write a dataset, also one with values that no scanner should write."""
    with pydicom.config.disable_value_validation():
        made.save_as(path, enforce_file_format=True)
    return path


def set_tags(**values: object) -> Edit:
    """An edit that sets the same tags on every slice."""

    def edit(made: Dataset, k: int) -> None:
        for keyword, value in values.items():
            setattr(made, keyword, value)

    return edit


def set_raw(made: Dataset, keyword: str, text: str) -> None:
    """Set a decimal string tag to any text, such as "nan"."""
    tag = pydicom.datadict.tag_for_keyword(keyword)
    made[tag] = pydicom.dataelem.RawDataElement(
        pydicom.tag.Tag(tag), "DS", len(text), text.encode().ljust(len(text) + len(text) % 2), 0, False, True
    )


def make_enhanced(
    path: Path,
    voxels: np.ndarray | None = None,
    *,
    step: Sequence[float] = (0.0, 0.0, 2.5),
    order: Sequence[int] = (),
    slopes: Sequence[float] = (),
) -> Path:
    """Write an enhanced CT: all slices in one file, each with its place in its functional groups."""
    voxels = stored_voxels() if voxels is None else voxels
    order = order or range(len(voxels))
    made = make_slice(voxels[0], (0, 0, 0), series=generate_uid(entropy_srcs=["enhanced"]))
    for keyword in ("ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing", "RescaleSlope",
                    "RescaleIntercept", "RescaleType"):  # fmt: skip
        delattr(made, keyword)
    made.SOPClassUID = made.file_meta.MediaStorageSOPClassUID = EnhancedCTImageStorage
    made.NumberOfFrames = len(order)
    shared, plane, measures = Dataset(), Dataset(), Dataset()
    plane.ImageOrientationPatient = list(AXIAL)
    measures.PixelSpacing, measures.SliceThickness = [0.8, 0.7], 2.5
    shared.PlaneOrientationSequence, shared.PixelMeasuresSequence = DicomSequence([plane]), DicomSequence([measures])
    groups = []
    for number, k in enumerate(order):
        own, place, scale, content = Dataset(), Dataset(), Dataset(), Dataset()
        place.ImagePositionPatient = [float(x) for x in np.array([-10.0, -20.0, 30.0]) + k * np.asarray(step)]
        scale.RescaleSlope, scale.RescaleIntercept = (slopes[k] if slopes else 1), -1024
        scale.RescaleType = "HU"
        content.InStackPositionNumber = number + 1
        own.PlanePositionSequence, own.PixelValueTransformationSequence = DicomSequence([place]), DicomSequence([scale])
        own.FrameContentSequence = DicomSequence([content])
        groups.append(own)
    made.SharedFunctionalGroupsSequence = DicomSequence([shared])
    made.PerFrameFunctionalGroupsSequence = DicomSequence(groups)
    made.PixelData = voxels[list(order)].tobytes()
    path.parent.mkdir(parents=True, exist_ok=True)
    return save(made, path)
