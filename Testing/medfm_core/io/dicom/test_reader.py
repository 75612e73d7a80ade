"""Reading DICOM series that were made for the test, and one real one against ITK."""

from __future__ import annotations

import logging
import shutil
import warnings
from pathlib import Path

import numpy as np
import pydicom
import pytest
import SimpleITK
from dicom_maker import SECRETS, make_series, save, set_raw, set_tags, stored_voxels
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydicom.uid import generate_uid

from medfm_core.errors import InputError, MedFMError
from medfm_core.geometry import Affine
from medfm_core.io import list_series, read_header, read_volume, write_labels
from medfm_core.io.dicom.scan import quiet
from medfm_core.volume import Kind, reorient

HU = stored_voxels().astype(np.int32).transpose(2, 1, 0) - 1024  # (columns, rows, slices)


def read(folder: Path, **options: object) -> object:
    """Make and read a series."""
    make_series(folder / "dicom", **options)
    return read_volume(folder / "dicom")


def test_folder_file_and_list(tmp_path: Path) -> None:
    paths = make_series(tmp_path / "dicom")
    for source in (tmp_path / "dicom", paths[3], paths, paths[::-1], str(tmp_path / "dicom")):
        volume = read_volume(source)
        np.testing.assert_array_equal(volume.voxels, HU)
        assert volume.voxels.dtype == np.int16
        assert volume.voxels.flags.f_contiguous
        assert volume.modality == "CT"
        assert volume.meta["format"] == "dicom"
        assert volume.meta["warnings"] == ()
        expected = Affine.from_itk((-10, -20, 30), (0.7, 0.8, 2.5), np.eye(3))
        np.testing.assert_allclose(volume.affine.matrix, expected.matrix)
    header = read_header(tmp_path / "dicom")
    assert header.grid.same_as(volume.grid)
    assert header.bytes == volume.voxels.nbytes
    assert header.meta["series"]["thickness_mm"] == 2.5


def test_itk_agrees(tmp_path: Path) -> None:
    make_series(tmp_path / "dicom", step=(0.0, 0.0, -2.5))
    volume = read_volume(tmp_path / "dicom")
    reader = SimpleITK.ImageSeriesReader()
    reader.SetFileNames(reader.GetGDCMSeriesFileNames(str(tmp_path / "dicom")))
    image = reader.Execute()
    np.testing.assert_array_equal(volume.voxels, SimpleITK.GetArrayFromImage(image).transpose(2, 1, 0))
    expected = Affine.from_itk(image.GetOrigin(), image.GetSpacing(), image.GetDirection())
    np.testing.assert_allclose(volume.affine.matrix, expected.matrix, atol=1e-6)


def test_nothing_of_the_patient_shows(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)

    def edit(made: pydicom.Dataset, k: int) -> None:
        set_raw(made, "SliceThickness", "Testperson")
        made.SOPInstanceUID = f"Testperson {k}"  # pydicom warns of values that do not suit their tags, and quotes them
        made.ImageType = ["Imaginary!"]

    with quiet():
        make_series(tmp_path / "dicom", edit=edit)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        volume = read_volume(tmp_path / "dicom")
    shown = (
        repr(dict(volume.meta)) + repr(list_series(tmp_path / "dicom")) + caplog.text + repr([str(w) for w in caught])
    )
    assert not [secret for secret in SECRETS if secret in shown]


def test_other_files_are_ignored_and_counted(tmp_path: Path) -> None:
    make_series(tmp_path / "dicom")
    (tmp_path / "dicom" / "readme.txt").write_text("hello")
    (tmp_path / "dicom" / "empty").write_bytes(b"")
    (tmp_path / "dicom" / ".hidden").write_text("x")
    (tmp_path / "dicom" / "deep").mkdir()
    (tmp_path / "dicom" / "deep" / "damaged.dcm").write_bytes(b"\0" * 128 + b"DICM" + b"\xff" * 40)
    volume = read_volume(tmp_path / "dicom")
    np.testing.assert_array_equal(volume.voxels, HU)
    assert "2 files that are not DICOM were ignored." in volume.meta["warnings"]


def test_localizers_reports_and_captures_are_passed_over(tmp_path: Path) -> None:
    make_series(tmp_path / "dicom")
    scout = set_tags(ImageType=["ORIGINAL", "PRIMARY", "LOCALIZER"], SeriesNumber=1)
    make_series(tmp_path / "dicom", prefix="scout", edit=scout, seed=1)
    make_series(tmp_path / "dicom", prefix="report", edit=set_tags(Modality="SR", SeriesNumber=99), seed=2)
    make_series(tmp_path / "dicom", prefix="one", skip=range(1, 6), edit=set_tags(SeriesNumber=7), seed=3)
    np.testing.assert_array_equal(read_volume(tmp_path / "dicom").voxels, HU)
    found = {info.number + info.modality: info for info in list_series(tmp_path / "dicom")}
    assert found["99SR"].problem == "a structured report"
    assert found["7CT"].problem == "a single image"
    assert found["1CT"].problem == "a localizer"
    assert [name for name, info in found.items() if info.is_volume] == ["3CT"]
    with pytest.raises(InputError, match="structured report"):
        read_volume(tmp_path / "dicom", series="99")


def test_a_localizer_within_the_series_is_left_out(tmp_path: Path) -> None:
    def edit(made: pydicom.Dataset, k: int) -> None:
        if k == 5:
            made.ImageType = ["ORIGINAL", "PRIMARY", "LOCALIZER"]
            made.ImageOrientationPatient = [1, 0, 0, 0, 0, -1]

    volume = read(tmp_path, edit=edit)
    np.testing.assert_array_equal(volume.voxels, HU[:, :, :5])
    assert "1 localizer images" in volume.meta["warnings"][0]


def test_choosing_among_series(tmp_path: Path) -> None:
    make_series(tmp_path / "dicom", prefix="a", edit=set_tags(SeriesNumber=4, SeriesDescription="Lung"))
    make_series(tmp_path / "dicom", prefix="b", seed=1)
    infos = list_series(tmp_path / "dicom")
    assert [info.number for info in infos] == ["3", "4"]
    assert all(info.images == 6 and info.is_volume and len(info.hash) == 8 for info in infos)
    for wanted in ("4", "lung", infos[1].hash):
        np.testing.assert_array_equal(read_volume(tmp_path / "dicom", series=wanted).voxels, HU)
    with pytest.raises(InputError) as caught:
        read_volume(tmp_path / "dicom")
    assert str(infos[0]) in str(caught.value)
    assert infos[0].hash in str(caught.value)


def test_one_file_names_its_series(tmp_path: Path) -> None:
    first = make_series(tmp_path / "dicom", prefix="a")
    make_series(tmp_path / "dicom", prefix="b", seed=1)
    np.testing.assert_array_equal(read_volume(first[2]).voxels, HU)


def test_phases_of_one_series_are_told_apart(tmp_path: Path) -> None:
    uid = generate_uid()
    for phase in (1, 2):
        make_series(
            tmp_path / "dicom", prefix=f"phase{phase}", seed=phase,
            edit=set_tags(AcquisitionNumber=phase, SeriesInstanceUID=uid),
        )  # fmt: skip
    assert [info.number for info in list_series(tmp_path / "dicom")] == ["3.1", "3.2"]
    expected = stored_voxels(seed=2).transpose(2, 1, 0).astype(int) - 1024
    np.testing.assert_array_equal(read_volume(tmp_path / "dicom", series="3.2").voxels, expected)
    with pytest.raises(InputError, match="2 series that could be meant"):
        read_volume(tmp_path / "dicom")


def test_acquisition_numbers_alone_do_not_split(tmp_path: Path) -> None:
    volume = read(tmp_path, edit=lambda made, k: setattr(made, "AcquisitionNumber", k // 3))
    assert volume.shape[2] == 6


def test_copies_are_dropped(tmp_path: Path) -> None:
    paths = make_series(tmp_path / "dicom")
    shutil.copy(paths[1], tmp_path / "dicom" / "copy.dcm")
    again = pydicom.dcmread(paths[2])
    again.SOPInstanceUID = again.file_meta.MediaStorageSOPInstanceUID = generate_uid()
    save(again, tmp_path / "dicom" / "again.dcm")
    volume = read_volume(tmp_path / "dicom")
    np.testing.assert_array_equal(volume.voxels, HU)
    assert volume.meta["warnings"] == ("2 images are copies of others at the same place and were dropped.",)


def test_gantry_tilt(tmp_path: Path) -> None:
    volume = read(tmp_path, step=(0.0, 0.5, 2.5))
    np.testing.assert_allclose(volume.affine.to_world([0, 0, 5]), [10, 17.5, 42.5])
    text = " ".join(volume.meta["warnings"])
    assert "gantry tilt, 11.3 degrees" in text
    assert "sheared" in text


def test_dicomdir_reads_its_folder_and_follows_nothing(tmp_path: Path) -> None:
    make_series(tmp_path / "disc" / "images")
    make_series(tmp_path / "outside", seed=1)
    meta = pydicom.dataset.FileMetaDataset()
    meta.MediaStorageSOPClassUID = "1.2.840.10008.1.3.10"
    meta.MediaStorageSOPInstanceUID = generate_uid()
    meta.TransferSyntaxUID = pydicom.uid.ExplicitVRLittleEndian
    table = pydicom.dataset.FileDataset("", {}, file_meta=meta, preamble=b"\0" * 128)
    record = pydicom.Dataset()
    record.ReferencedFileID = ["OUTSIDE", "IMAGE000"]
    table.DirectoryRecordSequence = [record]
    save(table, tmp_path / "disc" / "DICOMDIR")
    for source in (tmp_path / "disc" / "DICOMDIR", tmp_path / "disc"):
        np.testing.assert_array_equal(read_volume(source).voxels, HU)


def test_labels_of_a_series_lie_on_it(tmp_path: Path) -> None:
    volume = read(tmp_path)
    labels = volume.with_voxels((volume.voxels > 0).astype(np.uint8), Kind.LABEL)
    write_labels(labels, tmp_path / "out.nii.gz", {1: "dense"})
    image = SimpleITK.ReadImage(str(tmp_path / "out.nii.gz"))
    np.testing.assert_allclose(image.GetOrigin(), (-10, -20, 30), atol=1e-5)
    np.testing.assert_allclose(image.GetSpacing(), (0.7, 0.8, 2.5), atol=1e-6)
    np.testing.assert_allclose(image.GetDirection(), np.eye(3).ravel(), atol=1e-6)


RAW = [
    "nan",
    "inf",
    "-1",
    "0",
    "1e400",
    "abc",
    "",
    "1\\2\\3\\4",
    "1\\0\\0\\0\\1\\0",
    "-10\\-20\\32.5",
    "0.8\\0.7",
    "1e9",
]
TAGS = ["ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing", "RescaleSlope", "RescaleIntercept",
        "SliceThickness"]  # fmt: skip
WHOLE = ["Rows", "Columns", "BitsAllocated", "BitsStored", "HighBit", "PixelRepresentation", "SamplesPerPixel"]


@given(
    st.lists(st.tuples(st.integers(0, 3), st.sampled_from(TAGS), st.sampled_from(RAW)), max_size=3),
    st.lists(st.tuples(st.integers(0, 3), st.sampled_from(WHOLE), st.integers(0, 70)), max_size=2),
    st.lists(st.tuples(st.integers(0, 3), st.sampled_from([*TAGS, *WHOLE, "PixelData", "Modality"])), max_size=2),
    st.none() | st.tuples(st.integers(0, 3), st.integers(1, 1200)),
)
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_fuzzed_series_end_in_a_volume_or_a_sentence(
    tmp_path: Path, texts: list, whole: list, dropped: list, cut: tuple | None
) -> None:
    def edit(made: pydicom.Dataset, k: int) -> None:
        for slice_, keyword, text in texts:
            if slice_ == k:
                set_raw(made, keyword, text)
        for slice_, keyword, value in whole:
            if slice_ == k:
                setattr(made, keyword, value)
        for slice_, keyword in dropped:
            if slice_ == k and keyword in made:
                delattr(made, keyword)

    shutil.rmtree(tmp_path / "dicom", ignore_errors=True)
    paths = make_series(tmp_path / "dicom", voxels=stored_voxels(4), edit=edit)
    if cut is not None:
        paths[cut[0]].write_bytes(paths[cut[0]].read_bytes()[: -cut[1]])
    try:
        sentence = f"{read_volume(tmp_path / 'dicom').shape}."
    except MedFMError as error:
        sentence = str(error)
    assert "\n" not in sentence
    assert sentence.endswith(".")
    assert not [secret for secret in SECRETS if secret in sentence]


def test_real_series(real_data: Path) -> None:
    folder = real_data / "dicom" / "abdomen_series"
    volume = read_volume(folder)
    reader = SimpleITK.ImageSeriesReader()
    reader.SetFileNames(reader.GetGDCMSeriesFileNames(str(folder)))
    image = reader.Execute()
    assert volume.shape == (512, 512, 20)
    np.testing.assert_array_equal(volume.voxels, SimpleITK.GetArrayFromImage(image).transpose(2, 1, 0))
    expected = Affine.from_itk(image.GetOrigin(), image.GetSpacing(), image.GetDirection())
    np.testing.assert_allclose(volume.affine.matrix, expected.matrix, atol=1e-6)
    organs = read_volume(real_data / "dicom" / "abdomen_series_organs.nii.gz", kind=Kind.LABEL)
    assert reorient(organs, volume.affine.codes).grid.same_as(volume.grid, 1e-2)
    assert volume.meta["warnings"] == ()


def test_real_segmentation_is_no_volume(real_data: Path) -> None:
    with pytest.raises(InputError, match="a segmentation"):
        read_volume(real_data / "dicom" / "seg_example" / "liver.dcm")
    assert read_volume(real_data / "dicom" / "seg_example").shape[2] == 3
