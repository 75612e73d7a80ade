"""The fields of a NIfTI header that place and describe voxels.

nibabel knows them all, but importing it takes a sixth of what the command does besides running the net, since it brings
pydicom along. Here are the few that are needed, and nibabel is their reference in the tests.

Source: nifti1.h and nifti2.h of the NIfTI Data Format Working Group.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from medfm_core.geometry import Affine

_FIELDS: dict[str, tuple[str, int, str, int]] = {  # name: type and byte in NIfTI-1, then in NIfTI-2
    "sizeof_hdr": ("i4", 0, "i4", 0), "magic": ("S4", 344, "S4", 4), "datatype": ("i2", 70, "i2", 12),
    "bitpix": ("i2", 72, "i2", 14), "dim": ("8i2", 40, "8i8", 16), "pixdim": ("8f4", 76, "8f8", 104),
    "vox_offset": ("f4", 108, "i8", 168), "scl_slope": ("f4", 112, "f8", 176), "scl_inter": ("f4", 116, "f8", 184),
    "qform_code": ("i2", 252, "i4", 344), "sform_code": ("i2", 254, "i4", 348), "quatern": ("3f4", 256, "3f8", 352),
    "qoffset": ("3f4", 268, "3f8", 376), "srow": ("(3,4)f4", 280, "(3,4)f8", 400), "xyzt_units": ("u1", 123, "i4", 500),
}  # fmt: skip
SIZES = {1: 348, 2: 540}
_LINE_ENDS = (4 + 4, b"\r\n\x1a\n")  # NIfTI-2 shows by them whether a file went through a text mode
_ALMOST_UNIT = {1: 3 * float(np.finfo(np.float32).eps), 2: 3 * float(np.finfo(np.float64).eps)}


def _layout(version: int) -> np.dtype:
    formats = [(field[0], field[1]) if version == 1 else (field[2], field[3]) for field in _FIELDS.values()]
    return np.dtype(
        {
            "names": list(_FIELDS),
            "formats": [kind for kind, _ in formats],
            "offsets": [at for _, at in formats],
            "itemsize": SIZES[version],
        }
    )


LAYOUTS = {version: _layout(version) for version in SIZES}


class NiftiHeader(NamedTuple):
    """A header: its `fields` by name (a structured array of no dimension, native order), and the file's byte order."""

    fields: np.ndarray
    version: int
    order: str

    def sform(self) -> np.ndarray:
        """The affine of the sform, `(4, 4)` float64."""
        matrix = np.eye(4)
        matrix[:3] = self.fields["srow"]
        return matrix

    def qform(self) -> np.ndarray | None:
        """The affine of the qform, `(4, 4)` float64; None where its quaternion has no real first part."""
        x, y, z = self.fields["quatern"].astype(np.longdouble)
        rest = 1 - (x * x + y * y + z * z)
        if abs(rest) < _ALMOST_UNIT[self.version]:
            rest = np.longdouble(0)
        if not rest >= 0:
            return None
        vector = np.array([x, y, z])
        double = vector * (2 / (rest + x * x + y * y + z * z))
        outer, (a, b, c) = np.outer(vector, double), np.sqrt(rest) * double
        turn = outer + np.array([[0, -c, b], [c, 0, -a], [-b, a, 0]])
        turn[np.diag_indices(3)] = 1 - (outer.trace() - outer.diagonal())
        steps = self.fields["pixdim"][1:4].astype(np.longdouble)
        steps[2] *= self.fields["pixdim"][0]
        matrix = np.eye(4)
        matrix[:3, :3] = turn * steps
        matrix[:3, 3] = self.fields["qoffset"]
        return matrix

    def plain_affine(self) -> np.ndarray:
        """What the voxel sizes alone say: axes left, anterior, superior around the volume's centre, `(4, 4)`."""
        steps = self.fields["pixdim"][1:4].astype(np.float64) * (-1, 1, 1)
        matrix = np.diag([*steps, 1.0])
        matrix[:3, 3] = -(self.fields["dim"][1:4].astype(np.float64) - 1) / 2 * steps
        return matrix


def parse_header(start: bytes) -> NiftiHeader | None:
    """Read a header from the first bytes of a file.

    Args:
        start: the first 540 bytes, or all of a shorter file.

    Returns:
        The header, or None where it is neither version in neither byte order.

    Raises:
        EOFError: the file ends within its header.
    """
    for version, size in SIZES.items():
        for order in "<>":
            if len(start) >= 4 and int(np.frombuffer(start[:4], f"{order}i4")[0]) == size:
                if len(start) < size:
                    raise EOFError
                stored = np.frombuffer(start[:size], LAYOUTS[version].newbyteorder(order))[0]
                return NiftiHeader(np.array(stored, LAYOUTS[version]), version, order)
    return None


def new_header(version: int) -> NiftiHeader:
    """A header of one file that says nothing yet but what it is."""
    fields = np.zeros((), LAYOUTS[version])
    fields["sizeof_hdr"], fields["magic"] = SIZES[version], b"n+1" if version == 1 else b"n+2"
    fields["scl_slope"], fields["pixdim"], fields["dim"] = 1, 1, 1
    return NiftiHeader(fields, version, "<")


def header_bytes(header: NiftiHeader) -> bytes:
    """The header as it stands in a file, little-endian."""
    little = np.zeros(
        (), header.fields.dtype.newbyteorder("<")
    )  # astype would leave whatever was in memory in the gaps
    for name in little.dtype.names:
        little[name] = header.fields[name]
    data = bytearray(little.tobytes())
    if header.version == 2:
        at, line_ends = _LINE_ENDS
        data[at : at + len(line_ends)] = line_ends
    return bytes(data)


def place(header: NiftiHeader, affine: Affine, code: int) -> None:
    """Write an affine as sform, and as qform too where it is not sheared."""
    fields = header.fields
    fields["pixdim"][:4] = 1, *affine.spacing
    fields["sform_code"], fields["srow"] = code, affine.matrix[:3]
    if affine.is_orthogonal:
        import nibabel  # the quaternion nearest to a matrix is left to it

        theirs = (nibabel.Nifti1Header if header.version == 1 else nibabel.Nifti2Header)()
        theirs.set_qform(affine.matrix, code=code)
        fields["qform_code"], fields["pixdim"][:4] = code, theirs["pixdim"][:4]
        fields["quatern"] = [theirs[f"quatern_{axis}"] for axis in "bcd"]
        fields["qoffset"] = [theirs[f"qoffset_{axis}"] for axis in "xyz"]
