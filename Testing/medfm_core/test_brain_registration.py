"""Registration to a template and back, and skull stripping by a program of somebody else."""

from __future__ import annotations

import stat
import sys

import nibabel
import numpy as np
import pytest
from brain_toys import toy_brain
from scipy import ndimage

from medfm_core import skull_stripping
from medfm_core.brain_registration import Registration, register, to_template
from medfm_core.brain_standard import StandardPlan, standard_plan, to_standard
from medfm_core.brain_template import find_template, read_template
from medfm_core.errors import InputError, ResourceError
from medfm_core.geometry import Affine
from medfm_core.report.brain_figures import registration_figure
from medfm_core.skull_stripping import Stripper, find_stripper, strip_skull
from medfm_core.volume import Volume, resample_to

MAP = np.array([[0.93, 0.10, 0.03, 9], [-0.11, 0.98, -0.06, -14], [-0.02, 0.07, 0.9, 11], [0, 0, 0, 1.0]])


@pytest.fixture(scope="module")
def registered():
    """A brain, the same brain elsewhere with its contrast inverted, and how they were found to lie."""
    template, scan = toy_brain(), toy_brain(MAP, seed=1)
    scan = scan.with_voxels(np.where(scan.voxels > 0, 900 - scan.voxels, 0).astype(np.float32))
    return template, scan, register(scan, template)


def test_a_known_map_is_found(registered):
    template, _, found = registered
    points = template.affine.to_world(np.argwhere(template.voxels > 0)[::97])
    moved = np.c_[points, np.ones(len(points))].T
    error = np.linalg.norm(((found.to_scan - MAP) @ moved)[:3], axis=0)
    assert error.mean() < 2.0  # mm; voxels are of 3
    assert found.overlap > 0.9
    assert found.doubts() == ()


def test_it_is_the_same_every_time(registered):
    template, scan, found = registered
    assert np.array_equal(register(scan, template).to_scan, found.to_scan)


def test_the_way_there_and_back(registered):
    """A voxel that is computed in the template's space lands where it was in the scan."""
    template, scan, found = registered
    there = to_template(scan, found, template)
    assert there.grid.same_as(template.grid)
    smooth = scan.with_voxels(ndimage.gaussian_filter(scan.voxels, 2))  # two interpolations leave sharp edges dull
    back = resample_to(found.placed_back(to_template(smooth, found, template)), scan.grid, fill=0.0)
    inner = ndimage.binary_erosion(scan.voxels > 0, iterations=5)
    assert np.corrcoef(back.voxels[inner], smooth.voxels[inner])[0, 1] > 0.99
    round_trip = found.placed_back(found.moved(scan))
    assert np.allclose(round_trip.affine.matrix, scan.affine.matrix, atol=1e-9)
    assert there.voxels.min() >= 0
    assert there.voxels.max() <= scan.voxels.max()


def test_the_way_is_exact_where_voxels_meet():
    """The same array elsewhere: with the map that moved it, every voxel comes to its own and back."""
    template, scan = toy_brain(), toy_brain(MAP)
    known = Registration(MAP, 1.0, 1.0)
    there = to_template(scan, known, template)
    assert np.allclose(there.voxels, template.voxels, atol=1e-2)
    back = resample_to(known.placed_back(there), scan.grid, fill=0.0)
    assert np.allclose(back.voxels, scan.voxels, atol=1e-2)


def test_its_picture(registered):
    template, scan, found = registered
    assert registration_figure(to_template(scan, found, template), template).startswith(b"\x89PNG")
    with pytest.raises(InputError, match="scan's grid"):
        registration_figure(scan, template)


def test_nothing_to_register():
    template = toy_brain()
    with pytest.raises(InputError, match="brighter than its background"):
        register(template.with_voxels(np.zeros_like(template.voxels)), template)


def test_templates(tmp_path, monkeypatch):
    brain = toy_brain()
    place = tmp_path / "data" / "standard"
    place.mkdir(parents=True)
    path = place / "MNI152_T1_1mm_brain.nii.gz"
    nibabel.save(nibabel.Nifti1Image(brain.voxels, brain.affine.matrix), path)
    monkeypatch.setenv("FSLDIR", str(tmp_path))
    assert find_template() == path
    assert read_template(path).shape == brain.shape
    with pytest.raises(InputError, match="no template"):
        find_template(tmp_path / "none.nii.gz")
    small = tmp_path / "small.nii.gz"
    nibabel.save(nibabel.Nifti1Image(brain.voxels, np.diag([1.0, 1, 1, 1])), small)
    with pytest.raises(InputError, match="no stripped brain in MNI space"):
        read_template(small)


def test_no_tool(monkeypatch):
    monkeypatch.setattr(skull_stripping, "find_program", lambda names: None)
    with pytest.raises(ResourceError, match="no tool for skull stripping is installed; install HD-BET"):
        find_stripper()
    with pytest.raises(ResourceError, match="hd-bet is not installed"):
        standard_plan(strip="hd-bet")
    with pytest.raises(InputError, match="synthstrip"):
        find_stripper("synthstrp")


def program(folder, lines):
    """A stand-in for hd-bet."""
    path = folder / "hd-bet"
    path.write_text(f"#!{sys.executable}\nimport sys\n{lines}\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return Stripper("hd-bet", path)


def test_a_tool_of_somebody_else(tmp_path):
    head = toy_brain()
    whole = head.with_voxels(head.voxels + 50)
    works = program(tmp_path, "import nibabel\n"
                    "image = nibabel.load(sys.argv[2])\n"
                    "data = image.get_fdata()\n"
                    "nibabel.save(nibabel.Nifti1Image(data * (data > 60), image.affine), sys.argv[4])")  # fmt: skip
    brain = strip_skull(whole, works)
    assert brain.grid.same_as(whole.grid)
    assert np.array_equal(brain.voxels, np.where(whole.voxels > 60, whole.voxels, 0))
    standard = to_standard(whole, StandardPlan(stripper=works))
    assert standard.to_scan is None
    assert np.array_equal(standard.image.voxels, brain.voxels)


@pytest.mark.parametrize(
    ("lines", "said"),
    [("print('no licence'); sys.exit(3)", "code 3 .no licence"), ("pass", "no image that can be read")],
)
def test_a_tool_that_fails(tmp_path, lines, said):
    with pytest.raises(ResourceError, match=said):
        strip_skull(Volume(np.ones((9, 9, 9), np.float32), Affine(np.eye(4))), program(tmp_path, lines))
