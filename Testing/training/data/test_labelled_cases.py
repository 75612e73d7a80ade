"""The segmenter's data and objective: case lists, shares of the groups, mirrored bodies, and a run that learns."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch

from medfm_core.errors import InputError
from training.data.labelled_case import IGNORE, make_case, save_case
from training.data.labelled_cases import TRUNK, LabelledCases, LabelledCasesConfig, ct_input
from training.data.segmentation_augmentation import SegmentationAugmentation, mirror_table, sample_patch
from training.data.segmenter_cases import CaseFile, class_table, label_names, pseudo_case, read_case_list
from training.engine.config import recipe_from_data
from training.engine.draw import DrawKey
from training.engine.loop import train
from training.export import export
from training.pseudo_label import class_probabilities

TINY = {"in_channels": 2, "out_channels": 3, "edge_channels": 4, "channels": [8, 16], "blocks": [1, 1]}
QUIET = {"terminal": "none", "tensorboard": False, "measure_peak": False}


@pytest.fixture
def folder(tmp_path):
    rng = np.random.default_rng(0)
    for name in ("a", "b"):
        classes = np.zeros((24, 24, 24), np.uint8)
        classes[4:12, 6:18, 4:12], classes[10:20, 8:16, 14:22] = 1, 2
        hu = np.array([-50, 100, 40])[classes] + rng.normal(0, 10, classes.shape)
        (tmp_path / "cases").mkdir(exist_ok=True)
        save_case(make_case(name, hu, classes, 3, (3, 3, 3)), tmp_path / "cases" / f"{name}.npz")
    return tmp_path / "cases"


def config(folder, **values):
    given = {"classes": ("liver", "spleen"), "pseudo": 1.0, "real": 0.0, "pseudo_folder": str(folder)}
    return LabelledCasesConfig(**{**given, "patch": (16, 16, 16), **values})


def test_values_of_a_label_map_become_channels():
    names = {5: "liver", 30: "vertebrae_L2", 23: "kidney_cyst_left", 90: "brain"}
    table = class_table(("liver", "vertebrae", "kidney_left"), names)
    assert table[[5, 30, 23, 90, 0]].tolist() == [1, 2, 3, 0, 0]


def test_a_label_map_without_names_holds_the_vocabulary_s_ids(tmp_path):
    assert label_names(CaseFile("x", tmp_path, tmp_path, None, "real"))[5] == "liver"


def test_a_case_list_with_a_missing_file_is_refused(tmp_path):
    path = tmp_path / "cases.csv"
    path.write_text("name,image,labels,names,role\nx,x.nii.gz,,,pseudo\n")
    with pytest.raises(InputError, match=r"x.nii.gz .* is not there"):
        read_case_list(path, tmp_path)


def test_a_net_s_unsure_voxels_are_not_learnt_from():
    probabilities = np.zeros((3, 2, 2, 2), np.float32)
    probabilities[1], probabilities[0] = 0.9, 0.1
    probabilities[1, 0, 0, 0], probabilities[2, 0, 0, 0] = 0.5, 0.4
    case = pseudo_case("p", np.zeros((2, 2, 2), np.int16), probabilities, ct_input())
    assert case.classes[0, 0, 0] == IGNORE
    assert (case.classes.ravel()[1:] == 1).all()


def test_the_contrast_randomisation_knows_the_classes(folder):
    """Without names it would move nothing, and say nothing."""
    plan = config(folder).augmentation.contrast
    assert plan.names == ("liver", "spleen")
    shifts = plan.draw_shifts(np.random.default_rng(0), np.array([np.nan, 60.0, 50.0], np.float32))
    assert np.abs(shifts[1:]).min() > 0


def test_a_patch_is_a_function_of_its_place(folder):
    source = LabelledCases(config(folder))
    key = DrawKey(1, 5)
    first, again = (source.sample(source.item_at(key), key) for _ in range(2))
    other = source.sample(0, DrawKey(1, 6))
    assert torch.equal(first["image"], again["image"])
    assert torch.equal(first["classes"], again["classes"])
    assert not torch.equal(first["image"], other["image"])
    assert first["image"].shape == (2, 16, 16, 16)


def test_nothing_to_train_on_is_said(folder):
    with pytest.raises(InputError, match="nothing to train on"):
        LabelledCases(config(folder, pseudo_folder=None))


def test_a_case_left_out_must_be_in_the_list(tmp_path):
    (tmp_path / "list.csv").write_text("name,image,labels,names,role\n")
    with pytest.raises(InputError, match="'y'"):
        LabelledCases(LabelledCasesConfig(folder=str(tmp_path), cases=str(tmp_path / "list.csv"), leave_out="y"))


def test_a_mirrored_body_has_its_pairs_exchanged_and_nothing_else():
    table = mirror_table(TRUNK)
    name = dict(enumerate(TRUNK, start=1))
    swapped = {name[n]: name[int(table[n])] for n in name}
    assert swapped["kidney_left"] == "kidney_right"
    assert swapped["hip_right"] == "hip_left"
    assert swapped["liver"] == "liver"
    assert swapped["lung_middle_lobe_right"] == swapped["lung_upper_lobe_right"] == "lung_upper_lobe_left"
    assert table[0] == 0
    assert table[IGNORE] == IGNORE
    twice = {n: int(table[int(table[n])]) for n in name if name[n] != "lung_middle_lobe_right"}
    assert all(a == b for a, b in twice.items())


def test_mirroring_moves_image_and_classes_together(folder):
    rng = np.random.default_rng(1)
    classes = np.zeros((16, 16, 16), np.uint8)
    classes[4:12, 4:12, 1:6] = 1
    case = make_case("m", np.where(classes, 300, 0) + rng.normal(0, 1, classes.shape), classes, 3, (3, 3, 3))
    plan = config(folder, classes=("kidney_left", "kidney_right"), pseudo=1.0).augmentation
    still = SegmentationAugmentation(
        (0, 0, 0), (1, 1), 0.0, 0.0, 0.0, slab_probability=0, circle_probability=0, noise_hu=(0, 0),
        blur_probability=0, thick_probability=0, mirror_probability=1.0, contrast=plan.contrast,
    )  # fmt: skip
    hu, answer = sample_patch(case, (16, 16, 16), 3.0, still, (0,))
    assert (answer == 2).any()
    assert not (answer == 1).any()
    assert hu[answer == 2].mean() > hu[answer == 0].mean() + 100


def test_a_run_learns_goes_on_the_engine_and_exports(folder, tmp_path):
    plain = {
        "model": {"name": "organ_segmenter", **TINY},
        "objective": {"name": "organ_segmentation"},
        "data": {"name": "labelled_cases", "classes": ["liver", "spleen"], "real": 0.0, "pseudo": 1.0,
                 "pseudo_folder": str(folder), "patch": [16, 16, 16]},
        "optim": {"lr": 1e-2, "warmup_steps": 3, "weight_decay": 0.01},
        "run": {"steps": 40, "batch_size": 2, "ema": 0.9, "workers": 0, "precision": "fp32"},
        "monitor": {**QUIET, "log_every": 1},
    }  # fmt: skip
    train(recipe_from_data(plain), tmp_path / "run")
    rows = (tmp_path / "run" / "log.csv").read_text().splitlines()
    column = rows[0].split(",").index("loss")
    losses = [float(row.split(",")[column]) for row in rows[1:]]
    assert np.mean(losses[-5:]) < 0.8 * np.mean(losses[:5])
    about = {"licence": "Apache-2.0", "trained_on": ["toys"], "intended_use": "tests"}
    card = json.loads(export(tmp_path / "run", "toy.v1", tmp_path / "resources", about).read_text())
    assert card["labels"] == {"1": "liver", "2": "spleen"}
    assert card["input"]["spacing_mm"] == [3.0, 3.0, 3.0]
    from training.engine.runs import load_run

    objective, recipe, _ = load_run(tmp_path / "run")
    found = class_probabilities(objective.exported(), np.zeros((16, 16, 16), np.int16), recipe.data)
    assert found.shape == (3, 16, 16, 16)
