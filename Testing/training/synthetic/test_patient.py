import time

import numpy as np
import pytest

from medfm_core.errors import InputError
from training.synthetic.patient import synthesize_patient


@pytest.fixture(scope="module")
def patient():
    return synthesize_patient(
        7, spacing_mm=5.0, region="abdomen", findings=("renal_cyst", "gallstones"), phase="portal_venous", fov_mm=None
    )


def test_all_maps_lie_on_one_grid(patient):
    assert patient.image.modality == "CT"
    assert patient.image.voxels.dtype == np.int16
    assert patient.image.affine.codes == "RAS"
    assert patient.image.spacing == pytest.approx((5, 5, 5))
    for volume in (patient.labels, patient.lesions, patient.tissues):
        assert volume.grid.same_as(patient.image.grid)
        assert volume.voxels.dtype == np.uint8
    assert patient.image.voxels.min() >= -1024
    assert patient.image.voxels.max() <= 3071


def test_the_picture_shows_the_organs(patient):
    hu, labels = patient.image.voxels, patient.labels.voxels
    assert len(np.unique(labels)) > 25
    for organ, low, high in ((5, 60, 170), (52, 90, 240), (2, 80, 320), (1, 70, 190)):
        assert low < np.median(hu[labels == organ]) < high
    corner = hu[:3, -3:, :]
    assert np.median(corner) < -950


def test_findings_lesions_and_report_agree(patient):
    names = {f.name for f in patient.findings}
    assert names == {"renal_cyst", "gallstones"}
    ids = {number for f in patient.findings for number in f.lesion_ids}
    assert ids == set(np.unique(patient.lesions.voxels)) - {0}
    told = {s.finding for s in patient.report if s.state in ("present", "uncertain")}
    assert told == names
    assert patient.parameters["seed"] == 7
    assert patient.parameters["hu"]["LIVER"] > 60


def test_a_patient_is_a_pure_function_of_the_arguments(patient):
    again = synthesize_patient(
        7, spacing_mm=5.0, region="abdomen", findings=("renal_cyst", "gallstones"), phase="portal_venous", fov_mm=None
    )
    for name in ("image", "labels", "lesions", "tissues"):
        np.testing.assert_array_equal(getattr(again, name).voxels, getattr(patient, name).voxels)
    assert again.findings == patient.findings
    assert again.report == patient.report
    assert again.parameters == patient.parameters


def test_a_small_field_of_view_and_thick_slices():
    begin = time.process_time()
    patient = synthesize_patient(3, spacing_mm=6.0, region="chest", findings=(), thickness_mm=12.0, fov_mm=260.0)
    assert time.process_time() - begin < 30
    assert patient.image.spacing == pytest.approx((6, 6, 12))
    assert max(patient.image.shape[:2]) <= 44
    padding = patient.parameters["protocol"]["padding"]
    assert patient.image.voxels[0, 0, 0] == min(padding, patient.image.voxels.min())
    assert not patient.labels.voxels[0, 0].any()
    assert patient.findings == ()
    assert not patient.lesions.voxels.any()
    assert patient.report[-1].state == "normal"


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ({"region": "leg"}, "leg"),
        ({"findings": ("broken_heart",)}, "broken_heart"),
        ({"phase": "late"}, "late"),
        ({"fov_mm": -3}, "field of view"),
        ({"nose_length": 3.0}, "nose_length"),
        ({"findings": "all"}, "all"),
    ],
)
def test_impossible_arguments_are_refused_at_once(arguments, says):
    with pytest.raises(InputError, match=says):
        synthesize_patient(0, **arguments)
