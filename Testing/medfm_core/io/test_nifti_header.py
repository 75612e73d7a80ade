"""The few header fields that are read here, against nibabel, which knows all of them."""

from __future__ import annotations

import nibabel
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from medfm_core.geometry import Affine
from medfm_core.io.nifti_header import SIZES, header_bytes, new_header, parse_header, place

THEIRS = {1: nibabel.Nifti1Header, 2: nibabel.Nifti2Header}
version = st.sampled_from([1, 2])


def filled(which: int, order: str, random: np.random.Generator):
    """A header of nibabel whose fields all hold something."""
    header = THEIRS[which](endianness=order)
    header.set_data_shape(tuple(random.integers(2, 300, 3)))
    header.set_data_dtype(np.int16)
    turn, _ = np.linalg.qr(random.normal(size=(3, 3)))
    matrix = np.eye(4)
    matrix[:3] = np.c_[turn * random.uniform(0.3, 5, 3), random.uniform(-500, 500, 3)]
    header.set_qform(matrix, code=1)
    matrix[:3, :3] += random.normal(0, 0.1, (3, 3))
    header.set_sform(matrix, code=2)
    header.set_xyzt_units("mm", "sec")
    header["scl_slope"], header["scl_inter"], header["vox_offset"] = 2, -1024, 560
    return header


@given(version, st.sampled_from("<>"), st.integers(0, 10_000))
@settings(max_examples=60, deadline=None)
def test_every_field_and_affine_is_read_as_nibabel_reads_it(which, order, seed):
    theirs = filled(which, order, np.random.default_rng(seed))
    ours = parse_header(theirs.binaryblock)
    assert (ours.version, ours.order) == (which, order)
    for name in ours.fields.dtype.names:
        split = {"quatern": "quatern_{}:bcd", "qoffset": "qoffset_{}:xyz", "srow": "srow_{}:xyz"}.get(name, name + ":-")
        field, parts = split.split(":")
        want = np.array([theirs[field.format(part)] for part in parts])
        assert np.array_equal(ours.fields[name], want if len(parts) > 1 else want[0]), name
    assert np.array_equal(ours.sform(), theirs.get_sform())
    np.testing.assert_allclose(ours.qform(), theirs.get_qform(), rtol=1e-15, atol=1e-15)
    assert np.array_equal(ours.plain_affine(), theirs.get_base_affine())


@pytest.mark.parametrize(
    "quaternion", [(0, 0, 0), (1, 0, 0), (0, 1, 0), (0.6, 0, -0.8), (0.6, 0.00001, 0.8), (0.57735026,) * 3]
)
@pytest.mark.parametrize("which", [1, 2])
def test_quaternions_of_half_turns(which, quaternion):
    theirs = THEIRS[which]()
    for axis, value in zip("bcd", quaternion, strict=True):
        theirs[f"quatern_{axis}"] = value
    theirs["qform_code"], theirs["pixdim"][:4] = 1, (-1, 2, 3, 4)
    found = parse_header(theirs.binaryblock).qform()
    try:
        want = theirs.get_qform()
    except ValueError:
        assert found is None
    else:
        np.testing.assert_allclose(found, want, rtol=1e-15, atol=1e-15)


def test_a_quaternion_that_is_none_has_no_affine():
    header = new_header(1)
    for value in (2.0, np.nan, np.inf):
        header.fields["quatern"] = value
        with np.errstate(invalid="ignore"):
            assert header.qform() is None


@given(version, st.integers(0, 10_000), st.booleans())
@settings(max_examples=40, deadline=None)
def test_a_new_header_is_the_one_nibabel_would_write(which, seed, sheared):
    random = np.random.default_rng(seed)
    theirs = filled(which, "<", random)
    affine = Affine(theirs.get_sform() if sheared else theirs.get_qform())
    want = THEIRS[which](endianness="<")
    want.set_data_shape((4, 5, 6))
    want.set_data_dtype(np.uint8)
    want["pixdim"][1:4] = affine.spacing
    want.set_sform(affine.matrix, code=1)
    if affine.is_orthogonal:
        want.set_qform(affine.matrix, code=1)
    made = new_header(which)
    made.fields["dim"][:4], made.fields["datatype"], made.fields["bitpix"] = (3, 4, 5, 6), 2, 8
    place(made, affine, code=1)
    assert len(header_bytes(made)) == SIZES[which]
    assert header_bytes(made) == want.binaryblock


def test_what_is_no_header_is_none_and_a_part_of_one_an_error():
    assert parse_header(b"PK\3\4" + bytes(600)) is None
    assert parse_header(b"\0") is None
    with pytest.raises(EOFError):
        parse_header(THEIRS[1](endianness="<").binaryblock[:300])


@pytest.mark.parametrize("version", [1, 2])
def test_nothing_but_the_fields_is_written(version):
    """What lies between the fields is zero, not what was in memory: files are reproducible and leak nothing."""
    header = new_header(version)
    junk = [np.full(SIZES[version], 0xAB, np.uint8) for _ in range(200)]
    del junk
    data = np.frombuffer(header_bytes(header), np.uint8).copy()
    for name in header.fields.dtype.names:
        kind, at = header.fields.dtype.fields[name][:2]
        data[at : at + kind.itemsize] = 0
    if version == 2:
        data[4:12] = 0  # "n+2" and the line ends that tell a damaged copy
    assert not data.any()
