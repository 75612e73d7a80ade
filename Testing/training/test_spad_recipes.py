"""The SPAD recipes: what they say, that they build, and a run from tokenizer to transformer."""

from __future__ import annotations

from pathlib import Path

import pytest
import spad_toys  # noqa: F401  (registers the part `slabs`)
import torch
import yaml
from fake_slices import INPUT, prepare_images

import training
from medfm_core import cli
from medfm_core.anatomy import load_vocabulary
from medfm_core.card_library import load_card
from medfm_core.embedding_files import read_embeddings
from medfm_core.errors import InputError
from medfm_core.layers.anisotropy import degree_of_anisotropy
from medfm_core.models.sizes import size_config
from medfm_core.models.spad_tokenizer import SpadTokenizer, SpadTokenizerConfig
from medfm_core.models.spad_vit import SpadVit, SpadVitConfig
from training import export, pretrain
from training.data import btcv, chaos
from training.data.preparation import read_plan
from training.engine.build import build_objective
from training.engine.config import read_recipe, recipe_from_data
from training.engine.loop import train
from training.engine.runs import load_run

RECIPES = Path(training.__file__).parent / "recipes" / "spad"
MONITOR = {"terminal": "none", "tensorboard": False, "measure_peak": False, "count_flops": True, "health_every": 2,
           "probe_every": 0}  # fmt: skip
RUN = {"steps": 3, "batch_size": 4, "accumulate": 2, "workers": 0, "checkpoint_every": 3, "precision": "fp32",
       "device": "cpu", "monitor_samples": 4, "ema": 0.9}  # fmt: skip
TOKENIZER = {
    "model": {"name": "spad_tokenizer", "widths": [8, 16], "first_stride": 2, "tokens": 16},
    "objective": {"name": "spad_tokenizer", "discriminator_widths": [8], "discriminator_groups": 4},
    "data": {"name": "slabs"},
    "run": RUN | {"best": "reconstruction"},
    "monitor": MONITOR,
}
VIT = {"name": "spad_vit", "patch": 4, "width": 16, "depth": 2, "heads": 2, "mlp_width": 16, "position_grid": [1, 2, 2]}


@pytest.fixture(autouse=True)
def no_pictures(monkeypatch):
    monkeypatch.setattr("training.engine.monitors.pictures.Pictures.draw", lambda self: None)


def test_the_published_figures():
    tokenizer = read_recipe([RECIPES / "tokenizer.yaml"])
    assert (tokenizer.objective.prior, tokenizer.objective.entropy, tokenizer.objective.adversarial) == (0.03, 1, 3e-3)
    assert tokenizer.optim.lr * tokenizer.objective.discriminator_lr == pytest.approx(1e-3)
    for size, layer in (("base", 0), ("large", 18)):
        recipe = read_recipe([RECIPES / f"mim-{size}.yaml"])
        assert (recipe.objective.mask_ratio, recipe.objective.mask_layer, recipe.optim.lr) == (0.55, layer, 2e-5)
        assert recipe.optim.lr * recipe.optim.final == pytest.approx(1e-6)
        assert recipe.data.tokens == (5, 10, 10)


def test_crops_fit_the_models():
    for path in RECIPES.glob("*.yaml"):
        recipe = read_recipe([path])
        if recipe.names["data"] == "spacing_buckets":
            assert recipe.data.patch == getattr(recipe.model, "patch", getattr(recipe.model, "stride", 0))
            assert min(recipe.data.tokens) >= 4
        else:
            assert min(recipe.model.token_grid(recipe.data.crop, recipe.objective.degree)) >= 3


def test_inputs_are_those_that_volumes_are_prepared_for():
    for name, inputs in (("tiny-tokenizer", "spad"), ("tiny-mim", "spad"), ("tiny-segmentation", "spad-organs"),
                         ("btcv", "spad-btcv"), ("chaos-ct", "spad-btcv"), ("chaos-mr", "spad-chaos-mr")):  # fmt: skip
        data = read_recipe([RECIPES / f"{name}.yaml"]).data
        plan = read_plan(None, RECIPES.parents[1] / "inputs" / f"{inputs}.yaml", data.preparation)
        assert data.input == plan.spec


def test_published_label_sets():
    for name, names in (("btcv", btcv.LABELS), ("chaos-mr", chaos.LABELS), ("chaos-ct", chaos.LIVER)):
        recipe = read_recipe([RECIPES / f"{name}.yaml"])
        assert recipe.data.classes == tuple(names.values())
        assert recipe.objective.outputs == len(names) + 1
        width, height, depth = recipe.data.input.spacing_mm  # of the array as read; the network's runs backwards
        assert degree_of_anisotropy((depth, height, width)) == recipe.objective.degree
        assert set(names.values()) <= set(load_vocabulary().names().values())


def test_tiny_networks_weigh_less_than_10_mb_together():
    with torch.device("meta"):
        nets = (
            SpadTokenizer(size_config("spad_tokenizer", "tiny", SpadTokenizerConfig)),
            SpadVit(size_config("spad_vit", "tiny", SpadVitConfig)),
        )
    assert 2 * sum(value.numel() for net in nets for value in net.parameters()) < 10e6


def test_the_tiny_tokenizer_is_built():
    objective = build_objective(read_recipe([RECIPES / "tiny-tokenizer.yaml"]))
    assert sum(value.numel() for value in objective.model.parameters()) < 2.5e6
    assert objective.turns == ("generator",)


def test_from_tokenizer_to_transformer(tmp_path):
    assert train(recipe_from_data(TOKENIZER), tmp_path / "tokenizer").step == 3
    trained, _, _ = load_run(tmp_path / "tokenizer")
    assert isinstance(trained.exported(), SpadTokenizer)
    assert float(trained.gate.last) != pytest.approx(0.1)
    mim = {
        "model": VIT,
        "objective": {"name": "spad_mim", "tokenizer": str(tmp_path / "tokenizer")},
        "data": {"name": "slabs"},
        "run": RUN | {"best": "divergence", "activation_checkpointing": True},
        "monitor": MONITOR,
    }
    assert train(recipe_from_data(mim), tmp_path / "mim").step == 3
    found, _, _ = load_run(tmp_path / "mim")
    for name, value in trained.exported().state_dict().items():
        assert torch.equal(found.tokenizer.state_dict()[name], value)


def test_a_run_that_trained_no_tokenizer_is_refused(tmp_path):
    with pytest.raises(InputError):
        build_objective(
            recipe_from_data(
                {"model": VIT, "objective": {"name": "spad_mim", "tokenizer": str(tmp_path)}, "data": {"name": "slabs"}}
            )
        )


def test_from_images_of_mixed_spacings_to_commands(tmp_path):
    """Prepare, train both networks by the command on batches of one degree each, export, embed and reconstruct."""
    cohort = prepare_images(tmp_path / "images")
    data = {"name": "spacing_buckets", "cohorts": [cohort], "input": yaml.safe_load(INPUT), "patch": 4,
            "tokens": [2, 3, 3], "augment": "flip", "thickening": {"single": 0.3}}  # fmt: skip
    run = {**RUN, "steps": 4, "batch_size": 2, "accumulate": 1, "checkpoint_every": 4}
    recipes = {
        "tokenizer": TOKENIZER | {"data": data, "run": run | {"best": "reconstruction"}},
        "mim": {"model": VIT | {"channels": 1}, "data": data, "run": run | {"best": "divergence"}, "monitor": MONITOR,
                "objective": {"name": "spad_mim", "tokenizer": str(tmp_path / "tokenizer")}},
    }  # fmt: skip
    cards = {}
    for name, recipe in recipes.items():
        (tmp_path / f"{name}.yaml").write_text(yaml.safe_dump(recipe))
        assert pretrain.main(["--config", str(tmp_path / f"{name}.yaml"), "--out", str(tmp_path / name)]) == 0
        command = ["--run", str(tmp_path / name), "--id", f"{name}.v1", "--resources", str(tmp_path / "res")]
        assert export.main(command) == 0
        cards[name] = load_card(tmp_path / "res" / "cards" / f"{name}.v1.json")
    assert (cards["tokenizer"].task, cards["mim"].task) == ("reconstruction", "embedding")
    assert cards["mim"].inference.tile == (8, 12, 12)
    assert cards["mim"].input.intensity_of("CT").hu == (-1000, 1000)
    image, model = str(tmp_path / "images" / "thick0.nii"), ["--model", str(tmp_path / "res" / "cards" / "{}.v1.json")]
    for command, name in (("embed", "mim"), ("reconstruct", "tokenizer")):
        chosen = [word.format(name) for word in model]
        assert cli.main([command, image, "--out", str(tmp_path / command), "--quiet", *chosen]) == 0
    assert read_embeddings(tmp_path / "embed").encoder.card == "mim.v1"
