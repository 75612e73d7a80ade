"""Reading NRRD and MetaImage: values and places as ITK sees them."""

from __future__ import annotations

import bz2
import gzip
from pathlib import Path

import numpy as np
import pytest
import SimpleITK
from bad_files import MHA, NRRD, PLACE, mha, nrrd, written
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from medfm_core.errors import GeometryError, InputError, MedFMError
from medfm_core.geometry import Affine
from medfm_core.io import read_header, read_volume
from medfm_core.volume import Kind

VOXELS = np.random.default_rng(0).integers(0, 100, (7, 8, 9))  # (K, J, I) as ITK and the files hold them
DATA = VOXELS.astype("<i2").tobytes()


def itk_image(dtype: str = "int16") -> SimpleITK.Image:
    """An oblique image written by ITK."""
    image = SimpleITK.GetImageFromArray(VOXELS.astype(dtype))
    angle = np.radians(25)
    turn = np.array([[np.cos(angle), -np.sin(angle), 0], [np.sin(angle), np.cos(angle), 0], [0, 0, 1]])
    image.SetDirection((turn @ np.array([[0, 1, 0], [0, 0, -1], [1, 0, 0.0]])).ravel().tolist())
    image.SetSpacing((0.7, 0.8, 2.5))
    image.SetOrigin((-11.5, 22.25, 33))
    return image


@pytest.mark.parametrize("suffix", [".nrrd", ".nhdr", ".mha", ".mhd"])
@pytest.mark.parametrize("dtype", ["uint8", "int8", "int16", "uint16", "int32", "int64", "float32", "float64"])
@pytest.mark.parametrize("packed", [True, False])
def test_what_itk_writes(tmp_path: Path, suffix: str, dtype: str, packed: bool) -> None:
    path = tmp_path / f"scan{suffix}"
    image = itk_image(dtype)
    SimpleITK.WriteImage(image, str(path), useCompression=packed)
    volume = read_volume(path)
    np.testing.assert_array_equal(volume.voxels, VOXELS.transpose(2, 1, 0))
    expected = Affine.from_itk(image.GetOrigin(), image.GetSpacing(), image.GetDirection())
    np.testing.assert_allclose(volume.affine.matrix, expected.matrix, atol=1e-5)
    assert volume.meta["format"] == ("nrrd" if "n" in suffix else "mha")
    assert volume.meta["warnings"] == ()
    assert volume.modality is None
    header = read_header(path)
    assert header.grid.same_as(volume.grid)
    assert header.bytes >= volume.voxels.nbytes


def test_modality_of_metaimage(tmp_path: Path) -> None:
    lines = (
        "ElementSpacing = 1 1 1\nTransformMatrix = 1 0 0 0 1 0 0 0 1\nModality = MET_MOD_CT\nElementDataFile = LOCAL"
    )
    assert read_volume(mha(lines, DATA)(tmp_path)).modality == "CT"


def test_missing_orientation_is_said(tmp_path: Path) -> None:
    volume = read_volume(mha("ElementSpacing = 1 2 3\nElementDataFile = LOCAL", DATA)(tmp_path))
    assert volume.affine.codes == "LPS"
    assert "orientation" in volume.meta["warnings"][0]
    bare = NRRD.replace("space: left-posterior-superior\n", "") + "spacings: 1 2 3"
    volume = read_volume(nrrd(bare, DATA)(tmp_path))
    assert volume.affine.codes == "LPS"
    assert volume.spacing == (1, 2, 3)
    assert "no patient space" in volume.meta["warnings"][0]


@pytest.mark.parametrize(("space", "codes"), [("right-anterior-superior", "RAS"), ("LAS", "LAS"), ("LPS", "LPS")])
def test_spaces_of_nrrd(tmp_path: Path, space: str, codes: str) -> None:
    path = nrrd(NRRD.replace("left-posterior-superior", space) + PLACE, DATA)(tmp_path)
    assert read_volume(path).affine.codes == codes
    assert read_volume(path).affine.origin.tolist() == [0, 0, 0]


def test_ras_nrrd_lies_where_itk_puts_it(tmp_path: Path) -> None:
    place = "space directions: (1,0.1,0) (0,2,0) (0,0,3)\nspace origin: (5,6,7)"
    path = nrrd(NRRD.replace("left-posterior-superior", "right-anterior-superior") + place, DATA)(tmp_path)
    theirs = SimpleITK.ReadImage(str(path))
    expected = Affine.from_itk(theirs.GetOrigin(), theirs.GetSpacing(), theirs.GetDirection())
    np.testing.assert_allclose(read_volume(path).affine.matrix, expected.matrix, atol=1e-6)


@pytest.mark.parametrize(("encoding", "pack"), [("gzip", gzip.compress), ("bzip2", bz2.compress), ("raw", bytes)])
def test_encodings_and_detached_data(tmp_path: Path, encoding: str, pack: object) -> None:
    header = NRRD.replace("raw", encoding) + PLACE
    np.testing.assert_array_equal(read_volume(nrrd(header, pack(DATA))(tmp_path)).voxels, VOXELS.transpose(2, 1, 0))
    written(tmp_path, "body.bin", pack(DATA))
    detached = written(tmp_path, "scan.nhdr", f"NRRD0004\n{header}\ndata file: body.bin\n".encode())
    np.testing.assert_array_equal(read_volume(detached).voxels, VOXELS.transpose(2, 1, 0))


def test_byte_skip_and_byte_order(tmp_path: Path) -> None:
    for skip in ("5", "-1"):
        path = nrrd(NRRD + PLACE + f"\nbyte skip: {skip}", b"abcde" + DATA)(tmp_path)
        np.testing.assert_array_equal(read_volume(path).voxels, VOXELS.transpose(2, 1, 0))
    swapped = nrrd(NRRD.replace("little", "big") + PLACE, VOXELS.astype(">i2").tobytes())(tmp_path)
    np.testing.assert_array_equal(read_volume(swapped).voxels, VOXELS.transpose(2, 1, 0))


def test_an_axis_of_one_value_is_dropped(tmp_path: Path) -> None:
    header = NRRD.replace("dimension: 3", "dimension: 4").replace("9 8 7", "1 9 8 7")
    place = PLACE.replace("(1,0,0)", "none (1,0,0)")
    assert read_volume(nrrd(header + place, DATA)(tmp_path)).shape == (9, 8, 7)


@pytest.mark.parametrize(
    ("change", "error", "word"),
    [
        (("sizes: 9 8 7", "sizes: 9 8"), InputError, "damaged"),
        (("sizes: 9 8 7", "sizes: 9 8 x"), InputError, "whole numbers"),
        (("dimension: 3\nsizes: 9 8 7", "dimension: 4\nsizes: 9 8 7 2"), InputError, "4D data"),
        (("dimension: 3\nsizes: 9 8 7", "dimension: 2\nsizes: 63 8"), InputError, "spatial axes"),
        (("encoding: raw", "encoding: hex"), InputError, "hex"),
        (("endian: little", "endian: middle"), InputError, "byte order"),
        (("left-posterior-superior", "scanner-xyz"), GeometryError, "scanner-xyz"),
        (("(0,1,0)", "(0,1)"), GeometryError, "space directions"),
        (("(0,1,0)", "(0,0,0)"), GeometryError, "no length"),
        (("space origin: (0,0,0)", "data file: LIST"), InputError, "several files"),
        (("space origin: (0,0,0)", "line skip: 3"), InputError, "skips lines"),
        (("space origin: (0,0,0)", "kinds: RGB-color domain domain"), InputError, "RGB"),
    ],
)
def test_bad_nrrd(tmp_path: Path, change: tuple[str, str], error: type, word: str) -> None:
    path = nrrd((NRRD + PLACE).replace(*change), DATA)(tmp_path)
    with pytest.raises(error, match=word):
        read_volume(path)


@pytest.mark.parametrize(
    ("change", "error", "word"),
    [
        (("DimSize = 9 8 7", "DimSize = 9 8"), InputError, "axes"),
        (("DimSize = 9 8 7", "DimSize = 9 8 7 2"), (InputError, GeometryError), "."),
        (("DimSize = 9 8 7", "DimSize = 9 8 0"), InputError, "impossible"),
        (("MET_SHORT", "MET_OTHER"), InputError, "MET_OTHER"),
        (("BinaryData = True", "BinaryData = False"), InputError, "text"),
        (("ElementSpacing = 1 1 1\n", ""), GeometryError, "ElementSpacing"),
        (("ElementDataFile", "Comment"), InputError, "ElementDataFile"),
        (("ElementSpacing = 1 1 1", "ElementSpacing = 1 1 1\nHeaderSize = -3"), InputError, "HeaderSize"),
        (("ElementSpacing = 1 1 1", "ElementSpacing = 1 0 1"), GeometryError, "no length"),
    ],
)
def test_bad_metaimage(tmp_path: Path, change: tuple[str, str], error: type, word: str) -> None:
    text = (MHA + "ElementSpacing = 1 1 1\nElementDataFile = LOCAL\n").replace(*change)
    with pytest.raises(error, match=word):
        read_volume(written(tmp_path, "scan.mha", text.encode() + DATA))


def fuzzed(text: str) -> st.SearchStrategy[bytes]:
    """A header with some bytes replaced, dropped or repeated."""
    raw = text.encode()

    def change(edits: list[tuple[int, bytes]]) -> bytes:
        data = bytearray(raw)
        for at, piece in edits:
            at %= len(data)
            data[at : at + len(piece) // 2] = piece
        return bytes(data)

    piece = st.binary(max_size=3) | st.sampled_from([b"-", b"nan", b"9" * 30, b"none", b" ", b"\n", b"(", b"%d", b"0"])
    return st.lists(st.tuples(st.integers(0, 2000), piece), min_size=1, max_size=5).map(change)


@given(fuzzed("NRRD0004\n" + NRRD + PLACE + "\nbyte skip: 0\nkinds: domain domain domain\n\n"))
@settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_fuzzed_nrrd(tmp_path: Path, header: bytes) -> None:
    assert_volume_or_sentence(written(tmp_path, "scan.nrrd", header + DATA))


@given(fuzzed(MHA + "HeaderSize = 0\nElementSpacing = 1 1 1\nOffset = 0 0 0\nElementDataFile = LOCAL\n"))
@settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_fuzzed_metaimage(tmp_path: Path, header: bytes) -> None:
    assert_volume_or_sentence(written(tmp_path, "scan.mha", header + DATA))


def assert_volume_or_sentence(path: Path) -> None:
    """Any other exception fails the test."""
    try:
        sentence = f"{read_volume(path).shape}."
    except MedFMError as error:
        sentence = str(error)
    assert sentence.endswith(".")
    assert "\n" not in sentence


def test_real_slicer_segmentation(real_data: Path) -> None:
    path = real_data / "dicom" / "seg_example" / "liver_seg.nrrd"
    theirs = SimpleITK.ReadImage(str(path))
    volume = read_volume(path, kind=Kind.LABEL)
    np.testing.assert_array_equal(volume.voxels, SimpleITK.GetArrayFromImage(theirs).transpose(2, 1, 0))
    expected = Affine.from_itk(theirs.GetOrigin(), theirs.GetSpacing(), theirs.GetDirection())
    np.testing.assert_allclose(volume.affine.matrix, expected.matrix, atol=1e-6)
