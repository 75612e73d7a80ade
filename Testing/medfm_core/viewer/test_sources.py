"""The result and its scan are found, and another scan is refused."""

from __future__ import annotations

import json

import nibabel
import numpy as np
import pytest

from medfm_core.errors import InputError
from medfm_core.viewer.sources import AIR_HU, open_result


def test_the_scan_that_was_analysed_is_taken(viewed):
    shown = open_result(viewed.folder, viewed.file)
    assert shown.has_scan
    assert np.array_equal(shown.scan.voxels, viewed.scan.voxels)


def test_without_the_scan_there_is_air_on_its_grid(viewed):
    shown = open_result(viewed.folder, None)
    assert not shown.has_scan
    assert shown.scan.shape == viewed.scan.shape
    assert np.array_equal(shown.scan.affine.matrix, viewed.scan.affine.matrix)
    assert (shown.scan.voxels == AIR_HU).all()


def test_another_scan_is_refused(viewed, tmp_path):
    other = viewed.scan.voxels.copy()
    other[3, 4, 5] += 1
    nibabel.Nifti1Image(other, viewed.scan.affine.matrix).to_filename(tmp_path / "other.nii.gz")
    with pytest.raises(InputError, match="was not made of"):
        open_result(viewed.folder, tmp_path / "other.nii.gz")


@pytest.mark.parametrize("key", ["input", "options"])
def test_a_damaged_manifest_is_one_sentence(viewed, key):
    manifest = json.loads((viewed.folder / "analysis.json").read_text())
    del manifest[key]
    (viewed.folder / "analysis.json").write_text(json.dumps(manifest))
    with pytest.raises(InputError, match="damaged"):
        open_result(viewed.folder, None)


def test_a_folder_without_result_is_refused(tmp_path):
    with pytest.raises(InputError, match="no result"):
        open_result(tmp_path, None)
