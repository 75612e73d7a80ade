"""What is written lies exactly where the input lay, for nibabel and for ITK."""

from __future__ import annotations

import time
from pathlib import Path

import nibabel
import numpy as np
import pytest
import SimpleITK
from bad_files import file_size_limit
from hypothesis import given, settings
from hypothesis import strategies as st

from medfm_core.errors import InputError, ResourceError
from medfm_core.geometry import Affine
from medfm_core.io import read_volume, write_labels, write_scalar
from medfm_core.volume import Kind, Volume, crop, flip

NAMES = {1: "spleen", 5: "liver", 300: "a <strange> & long name"}


def labels_on(volume: Volume, high: int = 5) -> Volume:
    voxels = np.random.default_rng(0).choice([0, 1, high], volume.shape).astype(np.uint16)
    return volume.with_voxels(voxels, Kind.LABEL)


def nifti(
    path: Path, *, qform: np.ndarray | None, sform: np.ndarray | None, codes: tuple[int, int], kind: type
) -> Path:
    image = kind(np.random.default_rng(1).integers(-1000, 1000, (6, 7, 8)).astype(np.int16), None)
    image.header.set_qform(qform, codes[0]) if qform is not None else image.header.set_qform(None, 0)
    image.header.set_sform(sform, codes[1]) if sform is not None else image.header.set_sform(None, 0)
    image.header.set_xyzt_units("mm", "sec")
    image.header["descrip"] = b"Testperson Imaginary"
    image.to_filename(path)
    return path


def rigid(seed: int) -> np.ndarray:
    random = np.random.default_rng(seed)
    basis, _ = np.linalg.qr(random.normal(size=(3, 3)))
    matrix = np.eye(4)
    matrix[:3, :3] = basis * random.uniform(0.5, 4, 3)
    matrix[:3, 3] = random.uniform(-300, 300, 3)
    return matrix


def itk_geometry(path: Path) -> tuple:
    image = SimpleITK.ReadImage(str(path))
    return image.GetSize(), image.GetOrigin(), image.GetSpacing(), image.GetDirection()


@given(st.integers(0, 999), st.sampled_from(["both", "sform", "qform", "none", "other"]), st.booleans())
@settings(max_examples=25, deadline=None)
def test_nifti_labels_lie_bit_for_bit_where_the_input_lay(
    tmp_path_factory: object, seed: int, which: str, second: bool
) -> None:
    folder = tmp_path_factory.mktemp("labels")
    kind = nibabel.Nifti2Image if second else nibabel.Nifti1Image
    qform = rigid(seed) if which in ("both", "qform", "other") else None
    sform = rigid(seed + (which == "other")) if which in ("both", "sform", "other") else None
    source = nifti(folder / "in.nii.gz", qform=qform, sform=sform, codes=(1, 4), kind=kind)
    write_labels(labels_on(read_volume(source)), folder / "out.nii.gz", NAMES)
    before, after = nibabel.load(source), nibabel.load(folder / "out.nii.gz")
    assert type(after) is type(before)
    assert after.affine.tobytes() == before.affine.tobytes()
    assert after.shape == before.shape
    for field in ("qform_code", "sform_code", "pixdim", "srow_x", "srow_y", "srow_z", "quatern_b", "qoffset_x"):
        first, second_ = (
            image.header[field][..., :4] if field == "pixdim" else image.header[field] for image in (before, after)
        )
        np.testing.assert_array_equal(first, second_)
    assert after.header.get_xyzt_units()[0] == "mm"
    if second:
        return  # ITK reads NIfTI-1 only
    assert itk_geometry(source) == itk_geometry(folder / "out.nii.gz")


@pytest.mark.parametrize("suffix", [".nii.gz", ".nii", ".nrrd", ".seg.nrrd"])
@pytest.mark.parametrize("high", [5, 300])
@pytest.mark.parametrize("order", ["C", "F"])
def test_round_trip_of_labels(tmp_path: Path, suffix: str, high: int, order: str) -> None:
    matrix = rigid(5)
    voxels = np.array(np.random.default_rng(0).choice([0, 1, high], (6, 7, 8)), np.uint16, order=order)
    labels = Volume(voxels, Affine(matrix), Kind.LABEL)
    path = tmp_path / f"labels{suffix}"
    write_labels(labels, path, NAMES)
    back = read_volume(path, kind=Kind.LABEL)
    assert back.voxels.dtype == (np.uint8 if high < 256 else np.uint16)
    np.testing.assert_array_equal(back.voxels, voxels)
    np.testing.assert_allclose(back.affine.matrix, matrix, atol=1e-4)
    theirs = SimpleITK.ReadImage(str(path))
    np.testing.assert_array_equal(SimpleITK.GetArrayFromImage(theirs).transpose(2, 1, 0), voxels)
    itk = Affine.from_itk(theirs.GetOrigin(), theirs.GetSpacing(), theirs.GetDirection())
    np.testing.assert_allclose(itk.matrix, matrix, atol=1e-4)


@pytest.mark.parametrize("dtype", ["uint8", "int16", "float32", "float64", "int32"])
@pytest.mark.parametrize("suffix", [".nii.gz", ".nrrd"])
def test_round_trip_of_scalars(tmp_path: Path, dtype: str, suffix: str) -> None:
    voxels = np.random.default_rng(2).integers(0, 99, (4, 5, 6)).astype(dtype)
    volume = Volume(voxels, Affine(rigid(1)))
    write_scalar(volume, tmp_path / f"map{suffix}")
    back = read_volume(tmp_path / f"map{suffix}")
    np.testing.assert_array_equal(back.voxels, voxels)
    assert back.voxels.dtype == (dtype if dtype in ("uint8", "int16") else np.float32)


def test_a_changed_grid_does_not_inherit_the_header(tmp_path: Path) -> None:
    source = nifti(tmp_path / "in.nii.gz", qform=rigid(1), sform=rigid(1), codes=(1, 1), kind=nibabel.Nifti1Image)
    volume = read_volume(source)
    for changed in (crop(volume, (1, 1, 1), (4, 4, 4)), flip(volume, 1)):
        write_labels(labels_on(changed), tmp_path / "out.nii.gz", NAMES)
        np.testing.assert_allclose(nibabel.load(tmp_path / "out.nii.gz").affine, changed.affine.matrix, atol=1e-4)


def test_nothing_of_the_patient_is_copied(tmp_path: Path) -> None:
    source = nifti(tmp_path / "in.nii.gz", qform=None, sform=rigid(1), codes=(0, 1), kind=nibabel.Nifti1Image)
    write_labels(labels_on(read_volume(source)), tmp_path / "out.nii", NAMES)
    assert b"Testperson" not in (tmp_path / "out.nii").read_bytes()


def test_sheared_labels_are_kept_by_nibabel(tmp_path: Path) -> None:
    matrix = np.array([[-0.7, 0, 0, 10], [0, -0.7, 1.2, 20], [0, 0, 2.5, 30], [0, 0, 0, 1.0]])
    write_labels(labels_on(Volume(np.zeros((5, 6, 7), np.int16), Affine(matrix))), tmp_path / "out.nii.gz", NAMES)
    image = nibabel.load(tmp_path / "out.nii.gz")
    np.testing.assert_allclose(image.affine, matrix, atol=1e-5)
    assert image.header["qform_code"] == 0


def test_names_travel_in_the_header(tmp_path: Path) -> None:
    labels = labels_on(Volume(np.zeros((5, 6, 7), np.int16), Affine(np.eye(4))), high=300)
    write_labels(labels, tmp_path / "out.nii.gz", NAMES, {5: (255, 0, 127)})
    (extension,) = nibabel.load(tmp_path / "out.nii.gz").header.extensions
    text = extension.get_content()
    text = text.decode() if isinstance(text, bytes) else text
    assert '<Label Key="5" Red="1.0000" Green="0.0000" Blue="0.4980" Alpha="1">liver</Label>' in text
    assert "a &lt;strange&gt; &amp; long name" in text


def test_slicer_segmentation_names_what_occurs(tmp_path: Path) -> None:
    labels = labels_on(Volume(np.zeros((5, 6, 7), np.int16), Affine(np.eye(4))), high=300)
    write_labels(labels, tmp_path / "out.seg.nrrd", NAMES, {1: (255, 0, 0)})
    reader = SimpleITK.ImageFileReader()
    reader.SetFileName(str(tmp_path / "out.seg.nrrd"))
    reader.ReadImageInformation()
    meta = {key: reader.GetMetaData(key) for key in reader.GetMetaDataKeys()}
    assert meta["Segment0_Name"] == "spleen"
    assert meta["Segment0_LabelValue"] == "1"
    assert meta["Segment0_Color"] == "1 0 0"
    assert meta["Segment1_Name"] == NAMES[300]
    assert "Segment2_Name" not in meta
    assert meta["Segment0_Extent"] == "0 4 0 5 0 6"


def test_the_same_volume_gives_the_same_bytes(tmp_path: Path) -> None:
    labels = labels_on(Volume(np.zeros((5, 6, 7), np.int16), Affine(np.eye(4))))
    for suffix in (".nii.gz", ".seg.nrrd"):
        first, second = tmp_path / f"a{suffix}", tmp_path / f"b{suffix}"
        write_labels(labels, first, NAMES)
        write_labels(labels, second, NAMES)
        assert first.read_bytes() == second.read_bytes()


@pytest.mark.parametrize("name", ["out.txt", "out.nii.bz2", "out.mha", "out"])
def test_unknown_endings_are_refused(tmp_path: Path, name: str) -> None:
    labels = labels_on(Volume(np.zeros((5, 6, 7), np.int16), Affine(np.eye(4))))
    with pytest.raises(InputError, match=r"\.nii\.gz"):
        write_labels(labels, tmp_path / name, NAMES)
    assert not list(tmp_path.iterdir())


def test_what_is_no_label_map_is_refused(tmp_path: Path) -> None:
    image = Volume(np.zeros((5, 6, 7), np.int16), Affine(np.eye(4)))
    for wrong in (image, image.with_voxels(np.full((5, 6, 7), -1, np.int32), Kind.LABEL)):
        with pytest.raises(InputError):
            write_labels(wrong, tmp_path / "out.nii.gz", NAMES)
    with pytest.raises(InputError, match="NaN"):
        write_scalar(image.with_voxels(np.full((5, 6, 7), np.nan)), tmp_path / "out.nii.gz")


def test_a_full_disk_leaves_nothing(tmp_path: Path) -> None:
    noise = np.random.default_rng(3).integers(0, 60000, (60, 60, 60)).astype(np.uint16)
    labels = Volume(noise, Affine(np.eye(4)), Kind.LABEL)
    for name in ("out.nii.gz", "out.nii", "out.seg.nrrd"):
        with file_size_limit(20_000), pytest.raises(ResourceError, match="no space is left"):
            write_labels(labels, tmp_path / name, {})
    assert not list(tmp_path.iterdir())


def test_a_chest_ct_is_written_quickly(tmp_path: Path) -> None:
    """512 x 512 x 133 labels take 0.1 s; the bound leaves room for a busy machine."""
    voxels = np.zeros((133, 512, 512), np.uint8).transpose(2, 1, 0)
    voxels[100:400, 150:350, 20:100] = 5
    start = time.process_time()
    write_labels(Volume(voxels, Affine(np.eye(4)), Kind.LABEL), tmp_path / "out.nii.gz", NAMES)
    assert time.process_time() - start < 2.0
