import numpy as np
import pytest
from fake_cohort import INPUT, MM, body

from medfm_core.card_inputs import InputSpec, Intensity
from medfm_core.card_library import load_card
from medfm_core.errors import InputError, ModalityError
from medfm_core.geometry import Affine
from medfm_core.io import clamp_air
from medfm_core.preprocessing import to_model_grid
from medfm_core.volume import Kind, Volume
from training.data.preparation import PreparationPlan, network_order, read_plan

SCALE = Intensity("clip_scale", hu=(-1000, 1000), to=(-1, 1))


def scan(modality="CT", seed=0):
    hu, labels = body(seed)
    affine = Affine(np.diag([MM, MM, MM, 1]))
    return Volume(hu, affine, modality=modality), Volume(labels, affine, Kind.LABEL)


def test_a_ct_is_prepared_as_the_models_preprocessing_does():
    spec = load_card("organ-segmenter-tiny.v2").input
    image, labels = scan()
    prepared, on_grid = PreparationPlan(spec).run(image, labels)
    _, expected = to_model_grid(clamp_air(image), spec)  # as `medfm analyze` does
    assert np.array_equal(prepared.voxels, expected.voxels.transpose(2, 1, 0))
    assert prepared.affine.codes == "SPL"
    assert on_grid.grid.same_as(prepared.grid)


def test_network_order_keeps_every_voxel_in_its_place():
    image, _ = scan()
    turned = network_order(image)
    at = np.array([3, 7, 11])
    assert turned.voxels[11, 7, 3] == image.voxels[3, 7, 11]
    assert np.allclose(turned.affine.to_world(at[::-1]), image.affine.to_world(at))


def test_labels_land_on_their_organs():
    spec = InputSpec(("CT",), SCALE, spacing_mm=(6.0, 6.0, 6.0))
    prepared, labels = PreparationPlan(spec).run(*scan())
    assert prepared.voxels[labels.voxels == 5].mean() == pytest.approx(110, abs=12)
    assert prepared.voxels[labels.voxels == 2].mean() == pytest.approx(160, abs=16)


def test_mr_keeps_its_whole_image_and_its_values():
    image, _ = scan("MR")
    spec = InputSpec(("MR",), Intensity("none"), "RAS", None, "native")
    prepared, labels = PreparationPlan(spec).run(image, None)
    assert labels is None
    assert np.array_equal(prepared.voxels, image.voxels.transpose(2, 1, 0))
    coarse = InputSpec(("MR",), Intensity("none"), "RAS", (2.0, 10.0, 10.0), "at_least")
    assert PreparationPlan(coarse).run(image, None)[0].spacing == pytest.approx((10, 10, 5))


def test_only_what_decides_the_result_names_it():
    windows = InputSpec(("CT",), SCALE, spacing_mm=(3.0, 3.0, 3.0))
    other = InputSpec(("CT",), Intensity("none"), spacing_mm=(3.0, 3.0, 3.0))
    finer = InputSpec(("CT",), SCALE, spacing_mm=(2.0, 3.0, 3.0))
    names = [PreparationPlan(spec).canonical("CT") for spec in (windows, other, finer)]
    assert names[0] == names[1] != names[2]
    assert PreparationPlan(windows, "whole_image").canonical("CT") != names[0]


def test_what_the_card_does_not_take_is_refused():
    spec = InputSpec(("CT",), SCALE, spacing_mm=(3.0, 3.0, 3.0))
    with pytest.raises(ModalityError, match="takes CT, not MR"):
        PreparationPlan(spec).choose("MR")
    with pytest.raises(InputError, match="nearest: body_ct"):
        PreparationPlan(spec, "bodyct")
    both = InputSpec(("CT", "MR"), SCALE, spacing_mm=(3.0, 3.0, 3.0))
    assert PreparationPlan(both).choose("MR") == "whole_image"
    with pytest.raises(ModalityError, match="'body_ct' is not for MR"):
        PreparationPlan(both, "body_ct").choose("MR")


def test_a_plan_comes_from_a_card_or_a_file(tmp_path):
    path = tmp_path / "input.yaml"
    path.write_text(INPUT)
    assert read_plan(input_file=path).spec.spacing_mm == (6, 6, 6)
    path.write_text("input:\n  " + INPUT.replace("\n", "\n  "))
    assert read_plan(input_file=path).spec.spacing_mm == (6, 6, 6)
    for text, clause in (("spacing: [1]", "nearest: spacing_mm"), ("[", "cannot be read"), ("3", "must be an object")):
        path.write_text(text)
        with pytest.raises(InputError, match=clause):
            read_plan(input_file=path)
    with pytest.raises(InputError, match="either"):
        read_plan()
