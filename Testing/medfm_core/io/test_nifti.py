"""Reading NIfTI: values and places as nibabel sees them, and every odd corner of the header."""

from __future__ import annotations

import gzip
import time
from pathlib import Path

import nibabel
import numpy as np
import pytest
from bad_files import image, patched, save_nifti
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from medfm_core.errors import GeometryError, InputError, MedFMError, ResourceError
from medfm_core.io import read_header, read_volume
from medfm_core.volume import Kind

OTHER = np.array([[2, 0, 0, 30], [0, 2, 0, 0], [0, 0, 3, 0], [0, 0, 0, 1.0]])


@pytest.mark.parametrize(
    "dtype", ["uint8", "int8", "int16", "uint16", "int32", "uint32", "int64", "float32", "float64"]
)
@pytest.mark.parametrize("kind", [nibabel.Nifti1Image, nibabel.Nifti2Image])
@pytest.mark.parametrize("suffix", [".nii", ".nii.gz"])
def test_types(tmp_path: Path, dtype: str, kind: type, suffix: str) -> None:
    voxels = np.random.default_rng(0).integers(0, 100, (5, 6, 7)).astype(dtype)
    made = kind(voxels, np.diag([-1.0, 2, 3, 1]), dtype=dtype)
    path = save_nifti(tmp_path, made, f"scan{suffix}")
    volume = read_volume(path)
    np.testing.assert_array_equal(volume.voxels, voxels)
    assert volume.voxels.dtype in (np.uint8, np.int16, np.float32)
    assert volume.voxels.flags.f_contiguous
    assert volume.voxels.dtype.isnative
    np.testing.assert_array_equal(volume.affine.matrix, nibabel.load(path).affine)
    assert volume.meta["format"] == "nifti"
    assert volume.modality is None
    assert volume.meta["warnings"] == ()
    header = read_header(path)
    assert header.grid.same_as(volume.grid)
    assert header.bytes >= volume.voxels.nbytes


def test_big_endian(tmp_path: Path) -> None:
    header = nibabel.Nifti1Header(endianness=">")
    voxels = np.random.default_rng(0).integers(-100, 100, (5, 6, 7)).astype(">i2")
    path = save_nifti(tmp_path, nibabel.Nifti1Image(voxels, np.eye(4), header))
    np.testing.assert_array_equal(read_volume(path).voxels, voxels)


def test_pair_of_files(tmp_path: Path) -> None:
    made = nibabel.Nifti1Pair(image().get_fdata().astype(np.int16), np.eye(4))
    nibabel.save(made, tmp_path / "scan.hdr")
    for name in ("scan.hdr", "scan.img"):
        np.testing.assert_array_equal(read_volume(tmp_path / name).voxels, made.get_fdata())
    (tmp_path / "scan.img").unlink()
    with pytest.raises(InputError, match=r"needs scan\.img beside it"):
        read_volume(tmp_path / "scan.hdr")


def test_content_decides_and_not_the_name(tmp_path: Path) -> None:
    packed = save_nifti(tmp_path, name="a.nii.gz")
    (tmp_path / "b.nii").write_bytes(packed.read_bytes())
    (tmp_path / "c.dat").write_bytes(gzip.decompress(packed.read_bytes()))
    for name in ("b.nii", "c.dat"):
        np.testing.assert_array_equal(read_volume(tmp_path / name).voxels, read_volume(packed).voxels)


@pytest.mark.parametrize(
    ("slope", "inter", "dtype"),
    [(1, -1024, np.int16), (2, 0, np.int16), (0.5, 0, np.float32), (1, 0.25, np.float32), (1000, 0, np.float32)],
)
def test_slope_and_intercept_are_applied_once(tmp_path: Path, slope: float, inter: float, dtype: type) -> None:
    path = patched(tmp_path, (112, "2f", (slope, inter)))
    volume = read_volume(path)
    assert volume.voxels.dtype == dtype
    np.testing.assert_allclose(volume.voxels, nibabel.load(path).get_fdata(), rtol=1e-6)


@pytest.mark.parametrize("slope", [0.0, float("nan")])
def test_no_slope_means_none(tmp_path: Path, slope: float) -> None:
    path = patched(tmp_path, (112, "2f", (slope, 99.0)))
    np.testing.assert_array_equal(read_volume(path).voxels, image().get_fdata())


def test_uint16_with_offset_stays_int16(tmp_path: Path) -> None:
    voxels = np.random.default_rng(0).integers(0, 4000, (5, 6, 7)).astype(np.uint16)
    path = save_nifti(tmp_path, nibabel.Nifti1Image(voxels, np.eye(4)))
    assert read_volume(path).voxels.dtype == np.int16
    voxels[0, 0, 0] = 40000
    assert read_volume(save_nifti(tmp_path, nibabel.Nifti1Image(voxels, np.eye(4)))).voxels.max() == 40000


def test_forms_that_disagree(tmp_path: Path) -> None:
    made = image()
    made.header.set_sform(OTHER, 1)
    made.header.set_qform(np.diag([2.0, 2, 3, 1]), 1)
    path = save_nifti(tmp_path, nibabel.Nifti1Image(made.get_fdata().astype(np.int16), None, made.header))
    volume = read_volume(path)
    assert volume.affine.origin[0] == 30
    assert "disagree by up to 30 mm" in volume.meta["warnings"][0]
    assert read_volume(path, nifti_form="qform").affine.origin[0] == 0
    assert read_volume(path, nifti_form="sform").affine.origin[0] == 30
    with pytest.raises(InputError, match="auto, sform, qform"):
        read_volume(path, nifti_form="best")


def test_zero_sform_with_code_falls_back_to_qform(tmp_path: Path) -> None:
    """Seen in the wild, nibabel #624."""
    path = patched(tmp_path, (252, "2h", (1, 1)), (280, "12f", (0,) * 12))
    volume = read_volume(path)
    assert volume.spacing == (2, 2, 3)
    assert "sform is unusable" in volume.meta["warnings"][0]
    with pytest.raises(GeometryError, match="no usable sform"):
        read_volume(path, nifti_form="sform")


def test_no_form_at_all(tmp_path: Path) -> None:
    path = patched(tmp_path, (252, "2h", (0, 0)))
    volume = read_volume(path)
    np.testing.assert_array_equal(volume.affine.matrix, nibabel.load(path).affine)
    assert "left and right may be exchanged" in volume.meta["warnings"][0]


def test_odd_qfac_and_negative_zooms_are_read_as_nibabel_does(tmp_path: Path) -> None:
    path = patched(tmp_path, (252, "2h", (1, 0)), (76, "4f", (0, -2, 2, 3)))
    np.testing.assert_array_equal(read_volume(path).affine.matrix, nibabel.load(path).affine)


def test_shear_and_anisotropy_are_kept_and_said(tmp_path: Path) -> None:
    matrix = np.array([[1.0, 0, 0, 0], [0, 1, 2, 0], [0, 0, 10, 0], [0, 0, 0, 1]])
    volume = read_volume(save_nifti(tmp_path, image(affine=matrix)))
    np.testing.assert_array_equal(volume.affine.matrix, matrix)
    text = " ".join(volume.meta["warnings"])
    assert "sheared" in text
    assert "anisotropic" in text


def test_one_frame_of_four_dimensions_is_fine(tmp_path: Path) -> None:
    assert read_volume(save_nifti(tmp_path, image((9, 8, 7, 1)))).shape == (9, 8, 7)
    assert read_volume(save_nifti(tmp_path, image((9, 8, 7, 1, 1)))).shape == (9, 8, 7)


def test_non_finite_voxels_are_counted_and_filled(tmp_path: Path) -> None:
    voxels = np.random.default_rng(0).normal(size=(5, 6, 7)).astype(np.float32)
    voxels[0, 0, :3] = np.nan, np.inf, -np.inf
    volume = read_volume(save_nifti(tmp_path, nibabel.Nifti1Image(voxels, np.eye(4))))
    assert np.isfinite(volume.voxels).all()
    assert volume.meta["non_finite_voxels"] == 3
    assert volume.voxels[0, 0, 0] == np.sort(voxels.ravel())[1]
    assert volume.meta["warnings"][0].startswith("3 voxels")


def test_floats_beyond_float32_count_as_not_finite(tmp_path: Path) -> None:
    voxels = np.random.default_rng(0).normal(size=(5, 6, 7))
    voxels[1, 1, 1] = 1e300
    assert read_volume(save_nifti(tmp_path, nibabel.Nifti1Image(voxels, np.eye(4)))).meta["non_finite_voxels"] == 1


def test_labels(tmp_path: Path) -> None:
    voxels = np.random.default_rng(0).integers(0, 118, (5, 6, 7)).astype(np.float64)
    volume = read_volume(save_nifti(tmp_path, nibabel.Nifti1Image(voxels, np.eye(4))), kind=Kind.LABEL)
    assert volume.kind is Kind.LABEL
    assert volume.voxels.dtype == np.uint8
    np.testing.assert_array_equal(volume.voxels, voxels)
    blank = save_nifti(tmp_path, nibabel.Nifti1Image(np.zeros((5, 6, 7), np.uint8), np.eye(4)))
    assert read_volume(blank, kind=Kind.LABEL).voxels.max() == 0
    voxels[0, 0, 0] = 0.5
    with pytest.raises(InputError, match="no label map"):
        read_volume(save_nifti(tmp_path, nibabel.Nifti1Image(voxels, np.eye(4))), kind=Kind.LABEL)


def test_several_gzip_members_and_bytes_behind_the_end(tmp_path: Path) -> None:
    plain = gzip.decompress(save_nifti(tmp_path).read_bytes())
    path = tmp_path / "scan.nii.gz"
    path.write_bytes(gzip.compress(plain[:700]) + gzip.compress(plain[700:]))
    np.testing.assert_array_equal(read_volume(path).voxels, image().get_fdata())
    path.write_bytes(gzip.compress(plain + bytes(5000)))
    np.testing.assert_array_equal(read_volume(path).voxels, image().get_fdata())


def test_a_wrong_checksum_is_noticed(tmp_path: Path) -> None:
    path = save_nifti(tmp_path)
    data = bytearray(path.read_bytes())
    data[-6] ^= 255
    path.write_bytes(data)
    with pytest.raises(InputError, match="damaged"):
        read_volume(path)


def test_more_than_the_memory_is_refused_before_reading(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = save_nifti(tmp_path)
    monkeypatch.setenv("MEDFM_MEMORY_GB", "0.0000001")
    with pytest.raises(ResourceError, match="GB of memory"):
        read_volume(path)
    assert read_header(path).bytes == 9 * 8 * 7 * 2


FIELDS = {"dim": (40, "8h"), "datatype": (70, "h"), "bitpix": (72, "h"), "pixdim": (76, "8f"), "offset": (108, "f"),
          "scaling": (112, "2f"), "units": (123, "b"), "codes": (252, "2h"), "quatern": (256, "6f"),
          "srow": (280, "12f"), "magic": (344, "4s")}  # fmt: skip
PLAUSIBLE = {"h": st.sampled_from([0, 1, 2, 3, 4, 7, 8, 16, 64, 128, 256, 512, -1, 32767]) | st.integers(-32768, 32767),
             "f": st.sampled_from([0.0, 1.0, -1.0, 352.0, float("nan"), float("inf"), 1e30]) | st.floats(width=32),
             "b": st.integers(-128, 127)}  # fmt: skip


def assert_volume_or_sentence(path: Path) -> None:
    """Any other exception fails the test."""
    try:
        volume = read_volume(path)
    except MedFMError as error:
        sentence = str(error)
    else:
        sentence = "."
        assert np.isfinite(volume.voxels).all()
        assert np.isfinite(volume.affine.matrix).all()
    assert "\n" not in sentence
    assert sentence.endswith(".")


@st.composite
def edits(draw: st.DrawFn) -> list[tuple[int, str, tuple]]:
    made = []
    for name in draw(st.lists(st.sampled_from(sorted(FIELDS)), min_size=1, max_size=4, unique=True)):
        at, form = FIELDS[name]
        if form.endswith("s"):
            made.append((at, form, (draw(st.binary(min_size=4, max_size=4)),)))
        else:
            count = int(form[:-1] or 1)
            made.append((at, form, tuple(draw(PLAUSIBLE[form[-1]]) for _ in range(count))))
    return made


@given(edits())
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_fuzzed_fields_end_in_a_volume_or_a_sentence(tmp_path: Path, changes: list) -> None:
    path = patched(tmp_path, *changes)
    assert_volume_or_sentence(path)


@given(st.data())
@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_fuzzed_bytes_end_in_a_volume_or_a_sentence(tmp_path: Path, data: st.DataObject) -> None:
    raw = bytearray(save_nifti(tmp_path, name="plain.nii").read_bytes())
    for at, value in data.draw(st.lists(st.tuples(st.integers(0, 355), st.integers(0, 255)), min_size=1, max_size=12)):
        raw[at] = value
    keep = data.draw(st.integers(0, len(raw)) | st.just(len(raw)))
    packed = data.draw(st.booleans())
    (tmp_path / "scan.nii").write_bytes(gzip.compress(bytes(raw[:keep])) if packed else bytes(raw[:keep]))
    assert_volume_or_sentence(tmp_path / "scan.nii")


def test_real_chest_ct(real_data: Path) -> None:
    path = real_data / "ct" / "chest_LIDC-IDRI-0001.nii.gz"
    start = time.process_time()
    volume = read_volume(path)
    assert time.process_time() - start < 3.0  # 0.3 s on a free core
    theirs = nibabel.load(path)
    assert volume.voxels.dtype == np.int16
    assert np.array_equal(volume.voxels, np.asarray(theirs.dataobj))
    assert np.array_equal(volume.affine.matrix, theirs.affine)
