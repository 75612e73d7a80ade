"""Recipes: typed, frozen, read from files and the command line, with errors that name the nearest key."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from engine_toys import TOY

import training
from medfm_core.errors import InputError
from training.engine.config import differences, read_recipe, recipe_from_data

RECIPES = sorted((Path(training.__file__).parent / "recipes").rglob("*.yaml"))


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "toy.yaml"
    path.write_text(yaml.safe_dump(TOY | {"optim": {"lr": 0.5}, "run": {"steps": 7}}))
    return path


def test_the_command_line_wins_over_the_file_and_the_file_over_defaults(file):
    recipe = read_recipe([file], ["--optim.lr", "3e-4", "--model.width=5", "--optim.betas", "[0.8, 0.9]"])
    assert (recipe.optim.lr, recipe.run.steps, recipe.model.width) == (3e-4, 7, 5)
    assert recipe.optim.betas == (0.8, 0.9)
    assert recipe.optim.weight_decay == 0.05


def test_later_files_win_key_by_key(file, tmp_path):
    above = tmp_path / "above.yaml"
    above.write_text("run: {seed: 9}\noptim: {lr: 1e-3}\n")
    recipe = read_recipe([file, above])
    assert (recipe.run.steps, recipe.run.seed, recipe.optim.lr) == (7, 9, 1e-3)


def test_sizes_are_data_below_what_is_given():
    sized = TOY | {"model": {"name": "toy", "size": "small"}}
    assert recipe_from_data(sized).model.width == 32
    assert recipe_from_data(TOY | {"model": {"name": "toy", "size": "small", "width": 3}}).model.width == 3
    with pytest.raises(InputError, match="did you mean 'small'"):
        recipe_from_data(TOY | {"model": {"name": "toy", "size": "smal"}})


@pytest.mark.parametrize(
    ("bad", "says"),
    [
        ({"optim": {"lrr": 1}}, "nearest: lr"),
        ({"optimm": {}}, "did you mean 'optim'"),
        ({"model": {"name": "tooy"}}, "did you mean 'toy'"),
        ({"model": {"name": "toy", "widht": 3}}, "nearest: width"),
        ({"model": {}}, "names no model"),
        ({"optim": {"schedule": "cosinus"}}, "one of cosine, linear, constant"),
        ({"run": {"steps": 0}}, "at least 1"),
        ({"run": {"ema": 2.0}}, "between 0 and 1"),
        ({"run": {"steps": "many"}}, "a whole number"),
        ({"run": {"monitor_samples": 2}}, "run.monitor_samples is 2"),
    ],
)
def test_what_is_wrong_is_said(bad, says):
    with pytest.raises(InputError, match=says):
        recipe_from_data(TOY | bad)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--optim.learning", "1"], "optim"),
        (["--optim.lrr", "1"], "did you mean 'optim.lr'"),
        (["--run.steps", "x"], "run.steps"),
        (["--model.name", "tooy"], "did you mean 'toy'"),
    ],
)
def test_the_command_line_is_checked_alike(file, arguments, says):
    with pytest.raises(InputError, match=says):
        read_recipe([file], arguments)


def test_unreadable_files_are_said_to_be(tmp_path):
    for text in (None, "a: [", "- 1"):
        path = tmp_path / "r.yaml"
        if text is not None:
            path.write_text(text)
        with pytest.raises(InputError, match="recipe"):
            read_recipe([path])


def test_plain_data_makes_the_same_recipe_again(file):
    recipe = read_recipe([file])
    again = recipe_from_data(recipe.plain)
    assert again == recipe
    assert again.digest == recipe.digest


def test_the_digest_follows_what_decides_the_result_only(file):
    recipe = read_recipe([file])
    assert read_recipe([file], ["--run.workers", "0", "--run.checkpoint_every", "3"]).digest == recipe.digest
    other = read_recipe([file], ["--optim.lr", "0.25"])
    assert other.digest != recipe.digest
    assert differences(recipe.plain, other.plain) == ["optim.lr"]


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_every_recipe_of_the_project_is_whole(path):
    recipe = read_recipe([path])
    assert recipe_from_data(recipe.plain) == recipe
