"""Pixels of DICOM slices: scale, padding, transfer syntaxes and multi-frame files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pydicom
import pytest
from dicom_maker import make_enhanced, make_series, set_tags, stored_voxels
from pydicom.uid import ExplicitVRBigEndian, ImplicitVRLittleEndian, RLELossless

from medfm_core.errors import ResourceError
from medfm_core.geometry import Affine
from medfm_core.io import read_volume

HU = stored_voxels().astype(np.int32).transpose(2, 1, 0) - 1024  # (columns, rows, slices)


def read(folder: Path, **options: object) -> object:
    """Make and read a series."""
    make_series(folder / "dicom", **options)
    return read_volume(folder / "dicom")


@pytest.mark.parametrize("slope", [0.5, 1.3])
def test_float_slopes(tmp_path: Path, slope: float) -> None:
    volume = read(tmp_path, edit=set_tags(RescaleSlope=slope, RescaleIntercept=-1000.5))
    assert volume.voxels.dtype == np.float32
    np.testing.assert_allclose(volume.voxels, np.maximum((HU + 1024) * slope - 1000.5, -1024), rtol=1e-5)


def test_each_slice_has_its_own_slope(tmp_path: Path) -> None:
    def edit(made: pydicom.Dataset, k: int) -> None:
        made.RescaleSlope, made.RescaleIntercept = k + 1, -10 * k
        made.Modality = "PT"

    volume = read(tmp_path, edit=edit)
    expected = (HU + 1024) * (np.arange(6) + 1) - 10 * np.arange(6)
    np.testing.assert_array_equal(volume.voxels, expected)


def test_a_late_large_value_widens_the_type(tmp_path: Path) -> None:
    voxels = stored_voxels()
    voxels[5, 0, 0] = 65000
    volume = read(tmp_path, voxels=voxels)
    assert volume.voxels.dtype == np.float32
    np.testing.assert_array_equal(volume.voxels, voxels.transpose(2, 1, 0).astype(int) - 1024)


def test_signed_pixels_and_padding(tmp_path: Path) -> None:
    voxels = stored_voxels().astype(np.int16) - 1000
    voxels[:, 0, 0] = -2000
    volume = read(tmp_path, voxels=voxels, edit=set_tags(RescaleIntercept=0, PixelPaddingValue=-2000))
    assert (volume.voxels[0, 0] == -1024).all()
    np.testing.assert_array_equal(volume.voxels[1:], voxels.transpose(2, 1, 0)[1:])
    assert volume.meta["padding_voxels"] == 6
    assert volume.meta["padding_value"] == -2000
    assert volume.meta["warnings"] == ()


def test_padding_without_a_tag_is_clamped(tmp_path: Path) -> None:
    voxels = stored_voxels().astype(np.int16) - 1000
    voxels[2, 3, 3] = -3024
    volume = read(tmp_path, voxels=voxels, edit=set_tags(RescaleIntercept=0))
    assert volume.voxels[3, 3, 2] == -1024
    assert volume.meta["padding_voxels"] == 1


def test_padding_that_is_tissue_is_not_believed(tmp_path: Path) -> None:
    voxels = stored_voxels().astype(np.int16) - 1000
    volume = read(tmp_path, voxels=voxels, edit=set_tags(RescaleIntercept=0, PixelPaddingValue=0))
    np.testing.assert_array_equal(volume.voxels, voxels.transpose(2, 1, 0))
    assert "value of tissue" in " ".join(volume.meta["warnings"])


def test_monochrome1_and_missing_intercept_are_said(tmp_path: Path) -> None:
    def edit(made: pydicom.Dataset, k: int) -> None:
        made.PhotometricInterpretation = "MONOCHROME1"
        del made.RescaleIntercept, made.RescaleSlope, made.RescaleType

    volume = read(tmp_path, edit=edit)
    np.testing.assert_array_equal(volume.voxels, HU + 1024)
    text = " ".join(volume.meta["warnings"])
    assert "MONOCHROME1" in text
    assert "RescaleIntercept" in text


@pytest.mark.parametrize("syntax", [ImplicitVRLittleEndian, ExplicitVRBigEndian, RLELossless])
def test_transfer_syntaxes(tmp_path: Path, syntax: pydicom.uid.UID) -> None:
    def edit(made: pydicom.Dataset, k: int) -> None:
        if syntax == RLELossless:
            made.compress(RLELossless, generate_instance_uid=False)
        elif syntax == ExplicitVRBigEndian:
            made.PixelData = np.frombuffer(made.PixelData, "<u2").astype(">u2").tobytes()
            made["PixelData"].VR = "OW"
        made.file_meta.TransferSyntaxUID = syntax

    make_series(tmp_path / "dicom", edit=edit) if syntax != ExplicitVRBigEndian else _big_endian(
        tmp_path / "dicom", edit
    )
    np.testing.assert_array_equal(read_volume(tmp_path / "dicom").voxels, HU)


def _big_endian(folder: Path, edit: object) -> None:
    """pydicom writes big endian only for datasets that are marked so."""
    for path in make_series(folder):
        made = pydicom.dcmread(path)
        edit(made, 0)
        pydicom.dcmwrite(path, made, implicit_vr=False, little_endian=False, force_encoding=True)


def test_files_without_preamble(tmp_path: Path) -> None:
    for path in make_series(tmp_path / "dicom"):
        made = pydicom.dcmread(path)
        bare = pydicom.Dataset({element.tag: element for element in made})
        bare.save_as(path, implicit_vr=True, little_endian=True)
    np.testing.assert_array_equal(read_volume(tmp_path / "dicom").voxels, HU)


def test_a_missing_decoder_names_the_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def edit(made: pydicom.Dataset, k: int) -> None:
        made.file_meta.TransferSyntaxUID = pydicom.uid.JPEGLosslessSV1
        made.PixelData = pydicom.encaps.encapsulate([b"\0" * 64])
        made["PixelData"].VR = "OB"

    def lacks(*args: object, **options: object) -> None:
        raise RuntimeError("Unable to decompress: missing dependencies: pylibjpeg, gdcm")

    make_series(tmp_path / "dicom", edit=edit)
    monkeypatch.setattr("pydicom.pixels.pixel_array", lacks)
    with pytest.raises(ResourceError, match=r"JPEG Lossless.*pip install pylibjpeg"):
        read_volume(tmp_path / "dicom")


def test_enhanced_multi_frame(tmp_path: Path) -> None:
    make_enhanced(tmp_path / "enhanced.dcm", order=[3, 0, 5, 1, 4, 2])
    volume = read_volume(tmp_path / "enhanced.dcm")
    np.testing.assert_array_equal(volume.voxels, HU)
    expected = Affine.from_itk((-10, -20, 30), (0.7, 0.8, 2.5), np.eye(3))
    np.testing.assert_allclose(volume.affine.matrix, expected.matrix)
    make_enhanced(tmp_path / "enhanced.dcm", slopes=[1, 2, 1, 3, 1, 1])
    expected = (HU + 1024) * np.array([1, 2, 1, 3, 1, 1]) - 1024
    np.testing.assert_array_equal(read_volume(tmp_path).voxels, expected)
