import numpy as np
import pytest
from fake_anatomy import fake_anatomy

from medfm_core.errors import InputError
from medfm_core.io import read_volume
from medfm_core.volume import Kind
from training.synthetic.appearance import render
from training.synthetic.contrast import PHASES, draw_contrast, draw_phase
from training.synthetic.lesions import Edit
from training.synthetic.tissue import Tissue


@pytest.fixture(scope="module")
def body():
    return fake_anatomy()


@pytest.fixture(scope="module")
def means(body):
    """Mean HU per phase and organ id, well inside the organ."""
    labels, tissues = body.labels.voxels, body.tissues.voxels
    out = {}
    for phase in PHASES:
        hu = render(body, 3, phase)
        out[phase] = {
            organ: float(np.median(hu[(labels == organ) & (tissues == tissue)]))
            for organ, tissue in (
                (1, Tissue.SPLEEN), (2, Tissue.KIDNEY_CORTEX), (5, Tissue.LIVER), (10, Tissue.LUNG),
                (16, Tissue.AIRWAY),
                (21, Tissue.URINE), (52, Tissue.BLOOD_ARTERIAL), (62, Tissue.BLOOD_VENOUS), (64, Tissue.BLOOD_PORTAL),
            )
        }  # fmt: skip
    return out


def test_every_tissue_has_a_value_in_every_phase():
    for phase in PHASES:
        contrast = draw_contrast(np.random.default_rng(0), phase)
        assert {t.name for t in Tissue} <= set(contrast.hu)
        assert contrast.table().shape == (256,)


def test_values_are_where_radiologists_expect_them(means):
    plain = means["non_contrast"]
    assert 30 < plain[5] < 80
    assert 30 < plain[52] < 60
    assert -920 < plain[10] < -760
    assert plain[16] < -880
    assert -15 < plain[21] < 25


def test_contrast_arrives_in_the_right_order(means):
    assert means["arterial"][52] > 200 > means["portal_venous"][52] > 100 > means["non_contrast"][52]
    assert means["arterial"][52] > means["arterial"][64]
    assert means["portal_venous"][64] > means["arterial"][64]
    assert means["portal_venous"][5] > means["arterial"][5] + 15
    assert means["arterial"][62] > means["portal_venous"][62]
    assert means["ctpa"][62] > 300
    assert means["delayed"][21] > 60 > means["portal_venous"][21]


def test_patients_differ_and_one_stays_the_same(body):
    first, again, other = render(body, 1, "arterial"), render(body, 1, "arterial"), render(body, 2, "arterial")
    assert first.dtype == np.float32
    np.testing.assert_array_equal(first, again)
    aorta = body.labels.voxels == 52
    assert abs(float(first[aorta].mean() - other[aorta].mean())) > 2
    phases = {draw_phase(np.random.default_rng(seed)) for seed in range(60)}
    assert phases == set(PHASES)


def test_edits_set_add_and_leave_the_rest(body):
    box = (slice(40, 44), slice(30, 34), slice(70, 74))
    weight = np.ones((4, 4, 4), np.float32)
    plain = render(body, 1, "non_contrast")
    changed = render(body, 1, "non_contrast", edits=[Edit(box, weight, 700.0)])
    assert changed[41:43, 31:33, 71:73].mean() == pytest.approx(700, abs=90)  # the blur takes a little
    far = np.ones(plain.shape, bool)
    far[36:48, 26:38, 66:78] = False
    np.testing.assert_array_equal(plain[far], changed[far])
    added = render(body, 1, "non_contrast", edits=[Edit(box, weight, 100.0, add=True)])
    inner = (slice(41, 43), slice(31, 33), slice(71, 73))
    assert 60 < float((added - plain)[inner].mean()) <= 101


def test_an_unknown_phase_is_refused(body):
    with pytest.raises(InputError, match="portal_venous"):
        render(body, 0, "venous")


def test_texture_is_coarser_than_a_voxel_and_differs_between_tissues(body):
    hu, tissues = render(body, 5, "non_contrast"), body.tissues.voxels
    stool, urine = hu[tissues == Tissue.STOOL].std(), hu[body.labels.voxels == 5].std()
    assert stool > 2 * urine


def test_a_real_patient_could_be_one_of_ours(real_data):
    image = read_volume(real_data / "ct" / "abdopelvis_TSexample.nii.gz").voxels
    labels = read_volume(real_data / "ct" / "abdopelvis_TSexample_organs.nii.gz", kind=Kind.LABEL).voxels
    drawn = [draw_contrast(np.random.default_rng(seed), "non_contrast").hu for seed in range(300)]
    for organ, tissue in (
        (1, "SPLEEN"), (2, "KIDNEY_CORTEX"), (3, "KIDNEY_CORTEX"), (4, "BILE"), (5, "LIVER"), (21, "URINE_BLADDER"),
        (52, "BLOOD_ARTERIAL"), (63, "BLOOD_VENOUS"), (80, "MUSCLE_BACK"), (86, "MUSCLE_BACK"), (88, "MUSCLE"),
    ):  # fmt: skip
        values = [hu[tissue] for hu in drawn]
        assert min(values) - 8 < np.median(image[labels == organ]) < max(values) + 8, tissue
