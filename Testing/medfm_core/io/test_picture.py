"""Images that lie nowhere in the patient."""

import nibabel
import numpy as np
import pydicom
import pytest
from PIL import Image
from pydicom.dataset import FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, generate_uid

from medfm_core.errors import InputError
from medfm_core.image_source import open_image
from medfm_core.io import read_volume
from medfm_core.io.picture import read_image
from medfm_core.slices import slices_first


def write_dicom(path, pixels, modality, **more):
    """A DICOM image without a place; uint8, grey or RGB, one frame or several."""
    data = pydicom.Dataset()
    data.file_meta = FileMetaDataset()
    data.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    data.file_meta.MediaStorageSOPClassUID = data.SOPClassUID = "1.2.840.10008.5.1.4.1.1.1.1"
    data.file_meta.MediaStorageSOPInstanceUID = data.SOPInstanceUID = generate_uid()
    colour = pixels.ndim > 2 and pixels.shape[-1] == 3
    frames = pixels.ndim - (2 if not colour else 3)
    data.Modality, data.SamplesPerPixel = modality, 3 if colour else 1
    data.PhotometricInterpretation = "RGB" if colour else "MONOCHROME2"
    if colour:
        data.PlanarConfiguration = 0
    if frames:
        data.NumberOfFrames = pixels.shape[0]
    data.Rows, data.Columns = pixels.shape[frames : frames + 2]
    data.BitsAllocated = data.BitsStored = 8
    data.HighBit, data.PixelRepresentation = 7, 0
    data.PixelData = pixels.tobytes()
    for name, value in more.items():
        setattr(data, name, value)
    data.save_as(path, enforce_file_format=True)
    return path


GREY = np.arange(60, dtype=np.uint8).reshape(6, 10)


def test_a_radiograph_stands_upright_with_its_spacing(tmp_path):
    volume = read_image(write_dicom(tmp_path / "x.dcm", GREY, "DX", ImagerPixelSpacing=[0.5, 0.25]))
    assert volume.modality == "DX"
    slices = slices_first(volume)
    assert slices.shape == (1, 6, 10)
    assert slices.spacing[1:] == pytest.approx((0.5, 0.25))
    assert np.array_equal(slices.voxels[0], GREY)


def test_inverted_grey_is_turned(tmp_path):
    volume = read_image(write_dicom(tmp_path / "x.dcm", GREY, "CR", PhotometricInterpretation="MONOCHROME1"))
    assert np.array_equal(slices_first(volume).voxels[0], 59 - GREY)


def test_ultrasound_in_colour_and_frames(tmp_path):
    frames = np.stack([GREY, GREY + 100])
    volume = slices_first(read_image(write_dicom(tmp_path / "us.dcm", frames, "US")))
    assert sorted(volume.shape) == [2, 6, 10]
    colour = np.repeat(GREY[..., None], 3, axis=-1)
    volume = slices_first(read_image(write_dicom(tmp_path / "c.dcm", colour, "US")))
    assert volume.voxels[0] == pytest.approx(GREY, abs=1e-3)


def test_pictures(tmp_path):
    Image.fromarray(GREY).save(tmp_path / "x.png")
    volume = read_image(tmp_path / "x.png")
    assert volume.modality is None
    assert slices_first(volume).voxels[0] == pytest.approx(GREY, abs=1e-3)
    Image.fromarray(GREY.astype(np.uint16) * 1000).save(tmp_path / "deep.png")
    assert read_image(tmp_path / "deep.png").voxels.max() == 59000
    (tmp_path / "bad.jpg").write_bytes(b"\xff\xd8\xff and no more")
    with pytest.raises(InputError, match="cannot be read"):
        read_image(tmp_path / "bad.jpg")


def test_single_slices_are_images_here_and_no_volumes_elsewhere(tmp_path):
    nibabel.save(nibabel.Nifti1Image(GREY[..., None].astype(np.int16), np.eye(4)), tmp_path / "one.nii")
    assert read_image(tmp_path / "one.nii").shape == (6, 10, 1)
    with pytest.raises(InputError, match="at least 2 slices"):
        read_volume(tmp_path / "one.nii")


def test_what_it_is_told_or_guessed(tmp_path):
    hu = np.full((8, 8, 8), -1000, np.int16)
    hu[2:6, 2:6, 2:6] = 40
    nibabel.save(nibabel.Nifti1Image(hu, np.eye(4)), tmp_path / "ct.nii")
    assert open_image(tmp_path / "ct.nii").modality == "CT"
    assert open_image(tmp_path / "ct.nii", "MR").modality == "MR"
    nibabel.save(nibabel.Nifti1Image(hu.clip(0), np.eye(4)), tmp_path / "mr.nii")
    assert open_image(tmp_path / "mr.nii").modality is None
