"""Names of sequences, and which inputs are the scans of a study."""

from __future__ import annotations

import nibabel
import numpy as np
import pytest
from brain_toys import toy_brain

from medfm_core.brain_inputs import brain_inputs, check_is_mr, modality_of
from medfm_core.brain_sequence import plain_sequence, sequence_of
from medfm_core.errors import InputError, ModalityError
from medfm_core.volume import Volume

NAMES = {
    "sub-01_ses-2_T1w": "T1w", "ms07_FLAIR": "FLAIR", "stroke_T2": "T2w", "gliomaDU7294_T1c": "T1w",
    "t1_mprage_sag_p2_iso": "T1w", "t2_space_flair_sag": "FLAIR", "AX T1 FLAIR": "T1w",
    "t2_tirm_tra_dark-fluid": "FLAIR",
    "AX T2 FSE": "T2w", "T2* GRE": None, "t2_swi": None, "ep2d_diff_adc_t2": None, "knee_pd": None, "patient12": None,
    "T1_and_T2": None, "SAG BRAVO": "T1w", "mt1x": None, "T2WI": "T2w", "CT_head": None,
}  # fmt: skip


@pytest.mark.parametrize(("name", "sequence"), NAMES.items())
def test_names(name, sequence):
    assert sequence_of(name) == sequence


def test_words_of_users():
    assert [plain_sequence(word) for word in ("t1w", " T2", "flair")] == ["T1w", "T2w", "FLAIR"]
    with pytest.raises(InputError, match="FLAIR"):
        plain_sequence("FLAR")


@pytest.fixture
def files(tmp_path):
    brain = toy_brain(step_mm=6.0, shape=(26, 33, 28))
    for name in ("a_T1w", "a_FLAIR", "unnamed"):
        nibabel.save(nibabel.Nifti1Image(brain.voxels, brain.affine.matrix), tmp_path / f"{name}.nii.gz")
    return tmp_path


def test_files_are_a_scan_each(files):
    paths = [files / "a_T1w.nii.gz", files / "a_FLAIR.nii.gz"]
    assert [found.sequence for found in brain_inputs(paths)] == ["T1w", "FLAIR"]
    assert [found.sequence for found in brain_inputs(paths, ("T2w", "T2w"))] == ["T2w", "T2w"]
    with pytest.raises(InputError, match="for 2 scans"):
        brain_inputs(paths, ("T1w",))
    with pytest.raises(InputError, match=r"'unnamed' is T1w, T2w or FLAIR.*--sequence"):
        brain_inputs([files / "unnamed.nii.gz"])


def test_what_a_file_is(files):
    assert modality_of(files / "a_T1w.nii.gz") == "MR"
    assert modality_of(files / "unnamed.nii.gz") is None


def test_no_mr():
    brain = toy_brain(step_mm=6.0, shape=(26, 33, 28))
    check_is_mr(brain, ("MR",), "it")
    ct = Volume((brain.voxels - 1000).astype(np.int16), brain.affine)
    with pytest.raises(ModalityError, match=r"those of a CT.*--modality CT"):
        check_is_mr(ct, ("MR",), "it")
    with pytest.raises(ModalityError, match="says that it is PT"):
        check_is_mr(Volume(brain.voxels, brain.affine, modality="PT"), ("MR",), "it")
