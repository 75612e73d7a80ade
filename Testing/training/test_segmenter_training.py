"""The segmenter's training: recipes, case lists, batches, and a run that is stopped and goes on."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

import training
from medfm_core.errors import InputError, WeightsError
from medfm_core.models.segmenter import SegmenterConfig
from training.data.labelled_case import IGNORE, make_case
from training.data.segmenter_cases import class_table, pseudo_case, read_case_list
from training.segmenter_recipe import Phase, SegmenterRecipe, ct_input, read_recipe
from training.segmenter_training import SegmenterTraining, learning_rate, make_batch, phase_at

RECIPES = Path(training.__file__).parent / "recipes" / "segmenter"
TINY = SegmenterRecipe(
    classes=("liver", "spleen"),
    model=SegmenterConfig(in_channels=2, out_channels=3, edge_channels=4, channels=(8, 16), blocks=(1, 1)),
    phases=(
        Phase(4, spacing_mm=6.0, patch=(8, 16, 16), batch_size=2, real=0.5),
        Phase(3, spacing_mm=3.0, patch=(16, 16, 16), real=1.0),
    ),
)


@pytest.fixture(scope="module")
def cases():
    rng = np.random.default_rng(0)
    made = []
    for name in ("a", "b"):
        classes = np.zeros((24, 24, 24), np.uint8)
        classes[4:12, 6:18, 4:12], classes[10:20, 8:16, 14:22] = 1, 2
        hu = np.array([-50, 100, 40])[classes] + rng.normal(0, 10, classes.shape)
        made.append(make_case(name, hu, classes, 3, (3, 3, 3)))
    return {"real": made[:1], "virtual": made[1:], "pseudo": []}


@pytest.mark.parametrize("name", ["virtual", "real"])
def test_shipped_recipes_are_whole_and_fit_the_vocabulary(name):
    recipe = read_recipe(RECIPES / f"{name}.yaml")
    assert len(recipe.classes) + 1 == recipe.model.out_channels
    assert all(side % recipe.model.divisor == 0 for phase in recipe.phases for side in phase.patch)


def test_values_of_a_label_map_become_channels():
    table = class_table(
        ("liver", "vertebrae", "kidney_left"), {5: "liver", 30: "vertebrae_L2", 23: "kidney_cyst_left", 90: "brain"}
    )
    assert table[[5, 30, 23, 90, 0]].tolist() == [1, 2, 3, 0, 0]


def test_an_unknown_key_of_a_recipe_names_the_nearest(tmp_path):
    path = tmp_path / "r.yaml"
    path.write_text("classes: [liver]\nweight_decai: 0.1\n")
    with pytest.raises(InputError, match="weight_decay"):
        read_recipe(path)


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


def test_phases_follow_each_other_and_the_rate_warms_up_and_falls():
    assert phase_at(TINY, 3) == (TINY.phases[0], 3)
    assert phase_at(TINY, 4) == (TINY.phases[1], 0)
    phase = Phase(400, lr=1.0, final=0.1)
    rates = [learning_rate(phase, step) for step in range(400)]
    assert rates[0] == pytest.approx(1 / 40)
    assert max(rates) > 0.95
    assert rates[-1] == pytest.approx(0.1, abs=0.01)


def test_a_batch_is_a_function_of_the_step(cases):
    first, again, other = (make_batch(TINY, cases, step) for step in (2, 2, 3))
    assert torch.equal(first.image, again.image)
    assert torch.equal(first.classes, again.classes)
    assert not torch.equal(first.image, other.image)
    assert first.image.shape == (2, 2, 8, 16, 16)


def test_stopping_and_going_on_gives_the_same_weights_bit_for_bit(cases, tmp_path, monkeypatch):
    straight = SegmenterTraining(TINY, tmp_path / "straight")
    straight.run(cases)
    monkeypatch.setattr("training.segmenter_training._CHECKPOINT_EVERY", 3)
    stopped = SegmenterTraining(TINY, tmp_path / "stopped")
    calls = iter(range(99))
    update = stopped._update

    def fail_later(batch):
        if next(calls) == 5:
            raise KeyboardInterrupt
        return update(batch)

    monkeypatch.setattr(stopped, "_update", fail_later)
    with pytest.raises(KeyboardInterrupt):
        stopped.run(cases)
    resumed = SegmenterTraining(TINY, tmp_path / "stopped")
    assert resumed.step == 3
    resumed.run(cases)
    for ours, theirs in ((straight.net, resumed.net), (straight.ema, resumed.ema)):
        for name, value in ours.state_dict().items():
            assert torch.equal(value, theirs.state_dict()[name]), name


def test_a_state_of_another_recipe_is_refused(cases, tmp_path):
    SegmenterTraining(TINY, tmp_path).run(cases)
    from dataclasses import replace

    with pytest.raises(WeightsError, match="belongs to another recipe"):
        SegmenterTraining(replace(TINY, seed=9), tmp_path)


def test_an_error_while_making_batches_reaches_the_caller(tmp_path):
    with pytest.raises(ZeroDivisionError):
        SegmenterTraining(TINY, tmp_path).run({"real": [], "virtual": []})
