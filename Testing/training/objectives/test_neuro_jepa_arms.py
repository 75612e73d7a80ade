"""What latent prediction is compared with: each arm is one change of the recipe, and costs as much."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

import training
from medfm_core.errors import InputError
from medfm_core.layers.mixture_of_experts import MixtureConfig
from medfm_core.models.neuro_jepa import NeuroJepaConfig, NeuroJepaEncoder
from training.card_entries import card_entries
from training.engine.build import build_objective
from training.engine.config import differences, read_recipe
from training.engine.draw import DrawKey
from training.masking.multiscale_blocks import MEDIUM
from training.objectives.videomae import VideoMAE, VideoMAEConfig

RECIPES = Path(training.__file__).parent / "recipes" / "neuro_jepa"
ONE_SCALE = "[{blocks: 16, area: [0.2, 0.5]}, {blocks: 16, area: [0.2, 0.5]}, {blocks: 16, area: [0.2, 0.5]}]"
SMALL = NeuroJepaConfig(
    image_size=(8, 8, 16), patch_size=(4, 4, 4), width=24, depth=2, heads=4, mlp_width=24, expert_blocks=(1,),
    mixture=MixtureConfig(4, 2, 12, 12),
)  # fmt: skip


def arm(*overrides: str, name: str = "mini-pretrain.yaml"):
    return read_recipe([RECIPES / name], overrides)


def batch_of(objective, volumes):
    samples = [objective.prepare_sample({"image": one}, DrawKey(1, number)) for number, one in enumerate(volumes)]
    return {name: torch.stack([sample[name] for sample in samples]) for name in samples[0]}


def flops(recipe) -> int:
    """Of a step on one sample."""
    with torch.random.fork_rng():
        objective = build_objective(recipe)
    batch = batch_of(objective, torch.rand(1, 1, *recipe.data.crop))
    with FlopCounterMode(display=False) as counter:
        objective(batch)["loss"].backward()
    return counter.get_total_flops()


def test_every_arm_is_one_change_of_the_recipe():
    whole = arm()
    one_scale = arm("--objective.masks", ONE_SCALE)
    assert one_scale.objective.masks == (MEDIUM,) * 3
    assert differences(whole.plain, one_scale.plain) == ["objective.masks"]
    dense = arm("--model.expert_blocks", "[]")
    assert differences(whole.plain, dense.plain) == ["model.expert_blocks"]
    mixture = dense.model.mixture
    assert dense.model.mlp_width == mixture.active * mixture.expert_width + mixture.shared_width
    plain_loss = arm("--objective.background_weight", "1.0")
    assert differences(whole.plain, plain_loss.plain) == ["objective.background_weight"]
    pixels = arm(name="mini-mae.yaml")
    assert {key.split(".")[0] for key in differences(whole.plain, pixels.plain)} == {"objective"}


def test_drawing_voxels_costs_as_much_as_guessing_features():
    cost = flops(arm())
    assert 1 <= flops(arm(name="mini-mae.yaml")) / cost < 1.1
    assert flops(arm("--model.expert_blocks", "[]")) / cost == pytest.approx(1, abs=0.05)


def test_the_network_of_neuro_jepa_learns_from_voxels():
    torch.manual_seed(0)
    objective = VideoMAE(SMALL, VideoMAEConfig("random", 0.5, 24, 1, 2, views=3, balance_rate=0.1))
    assert isinstance(objective.exported(), NeuroJepaEncoder)
    batch = batch_of(objective, torch.rand(2, 1, 8, 8, 16))
    assert batch["mask"].shape == (2, 3, 16)
    assert len({tuple(mask.tolist()) for mask in batch["mask"][0]}) > 1
    assert objective.tokens_of(batch) == 32
    router = objective.encoder.blocks[1].mlp.router
    optimiser = torch.optim.AdamW(objective.parameters(), lr=3e-3)
    losses = []
    for step in range(30):
        objective.before_step(step, 30)
        found = objective(batch)
        optimiser.zero_grad()
        found["loss"].backward()
        optimiser.step()
        objective.after_step(step, 30)
        losses.append(found["loss"].item())
    assert losses[-1] < 0.9 * losses[0]
    assert found["load_least"] <= 1 <= found["load_most"]
    assert router.balance.abs().sum() > 0
    moved = router.balance.clone()
    objective.eval()(batch)
    objective.after_step(31, 31)
    assert torch.equal(router.balance, moved)  # looking does not count
    assert {name.rsplit(".", 1)[1] for name in objective.no_decay()} == {"widen_bias", "narrow_bias"}


def test_several_views_are_the_mean_of_each():
    torch.manual_seed(0)
    objective = VideoMAE(SMALL, VideoMAEConfig("tube", 0.5, 24, 1, 2, views=2)).eval()
    batch = batch_of(objective, torch.rand(2, 1, 8, 8, 16))
    grid = batch["mask"][0, 0].view(2, 2, 4)
    assert torch.equal(grid[0], grid[1])  # the same places at every depth
    one, other = (objective({**batch, "mask": batch["mask"][:, view]})["loss"] for view in (0, 1))
    assert objective(batch)["loss"].item() == pytest.approx(((one + other) / 2).item(), rel=1e-5)


def test_the_card_of_such_a_run_is_a_brain_encoder():
    recipe = arm(name="mini-mae.yaml")
    with torch.device("meta"):
        objective = VideoMAE(recipe.model, recipe.objective)
    found = card_entries(objective, recipe)
    assert found["task"] == "brain_embedding"
    assert found["architecture"]["name"] == "neuro_jepa"


def test_other_networks_and_settings_are_refused():
    with pytest.raises(InputError, match="videomae"):
        VideoMAE(MixtureConfig(), VideoMAEConfig())
    with pytest.raises(ValueError, match="views"):
        VideoMAEConfig(views=0)
