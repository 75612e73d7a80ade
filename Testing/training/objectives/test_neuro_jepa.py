"""Latent prediction: what it compares, what moves teacher and balance, that it learns, and the recipes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

import training
from medfm_core.errors import InputError
from medfm_core.layers.expert_balance import balanced, expert_counts
from medfm_core.layers.mixture_of_experts import MixtureConfig
from medfm_core.models.neuro_jepa import NeuroJepaConfig, NeuroJepaEncoder
from training.engine.config import describe_keys, read_recipe
from training.engine.draw import DrawKey
from training.objectives.neuro_jepa import NeuroJepa, NeuroJepaObjectiveConfig
from training.objectives.neuro_jepa_loss import latent_loss

MODEL = NeuroJepaConfig(
    (16, 16, 12), (4, 4, 4), 1, width=48, depth=2, heads=4, mlp_width=96, expert_blocks=(1,),
    mixture=MixtureConfig(4, 2, 24, 48, 2.0),
)  # fmt: skip
CONFIG = NeuroJepaObjectiveConfig(
    ema=0.9, predictor_width=48, predictor_depth=1, predictor_heads=4, balance_rate=1e-2, foreground=False
)
RECIPES = Path(training.__file__).parent / "recipes" / "neuro_jepa"


def make(config=CONFIG, seed=0):
    torch.manual_seed(seed)
    return NeuroJepa(MODEL, config)


def batch_of(objective, volumes, step=0):
    samples = [
        objective.prepare_sample({"image": volume}, DrawKey(5, step * len(volumes) + number))
        for number, volume in enumerate(volumes)
    ]
    return {name: torch.stack([sample[name] for sample in samples]) for name in samples[0]}


def slopes(count, seed):
    """Noisy slopes in random directions: what is seen tells what is hidden."""
    rng = np.random.default_rng(seed)
    axes = np.meshgrid(*(np.linspace(-1, 1, side) for side in (16, 16, 12)), indexing="ij")
    directions = rng.normal(size=(count, 3))
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    volumes = 2 * np.einsum("na,axyz->nxyz", directions, np.stack(axes))
    return torch.tensor(volumes + 0.1 * rng.standard_normal(volumes.shape), dtype=torch.float32)[:, None]


def train(objective, steps):
    moved = [p for p in objective.parameters() if p.requires_grad]
    optimiser = torch.optim.AdamW(moved, lr=2e-3, betas=(0.9, 0.95))
    for step in range(steps):
        objective.before_step(step, steps)
        loss = objective(batch_of(objective, slopes(8, step), step))["loss"]
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        objective.after_step(step, steps)


def test_it_learns_what_hidden_tokens_are_like_without_collapse():
    """It must beat guessing the mean of all features, for features that still tell tokens apart."""
    objective = make()
    fresh = batch_of(objective, slopes(16, 10_000), 10_000)
    with torch.no_grad():
        before = objective(fresh)
    train(objective, 60)
    with torch.no_grad():
        after = objective(fresh)
    assert before["loss"] > 0.95 * before["flat_loss"]
    assert after["loss"] < 0.65 * after["flat_loss"]
    assert after["target_spread"] > 0.7
    assert after["load_least"] > 0.5
    assert after["load_most"] < 2


def test_the_loss_weighs_tissue_and_background():
    predicted, target = torch.zeros(1, 4, 2), torch.tensor([[[1.0, 1.0], [3.0, 3.0], [0.0, 0.0], [0.0, 0.0]]])
    foreground = torch.tensor([[True, False, True, False]])
    assert latent_loss(predicted, target, foreground, 0.1).item() == pytest.approx((1 + 0.1 * 3) / 2.2)
    assert latent_loss(predicted, target, foreground, 1.0).item() == pytest.approx(1.0)
    nothing = torch.zeros(1, 4, dtype=torch.bool)
    assert latent_loss(predicted, target, nothing, 0.1).item() == pytest.approx(1.0)


def test_one_pass_over_all_masks_equals_one_pass_per_mask():
    objective = make()
    batch = batch_of(objective, slopes(3, 0))
    values = objective(batch)
    target = torch.nn.functional.layer_norm(objective.teacher(batch["image"]), (48,))
    losses = []
    for kind in range(3):
        visible, hidden = batch["visible"][:, kind], batch["hidden"][:, kind]
        context = objective.encoder(batch["image"], visible)
        guessed = objective.predictor(context, visible, hidden, torch.full((3,), kind), (4, 4, 3))
        wanted = target.gather(1, hidden[..., None].expand(-1, -1, 48))
        losses.append(latent_loss(guessed, wanted, batch["foreground"].gather(1, hidden), 0.1))
    torch.testing.assert_close(values["loss"], torch.stack(losses).mean())


def test_every_mask_token_is_used_and_the_teacher_gets_no_gradient():
    objective = make()
    with torch.no_grad():
        objective.predictor.mask_tokens.normal_()
    objective(batch_of(objective, slopes(2, 0)))["loss"].backward()
    assert (objective.predictor.mask_tokens.grad.abs().sum(dim=1) > 0).all()
    assert all(p.grad is None for p in objective.teacher.parameters())
    assert all(p.grad is not None for _, p in objective.turn_parameters("all"))
    assert not any(name.startswith("teacher") for name, _ in objective.turn_parameters("all"))


def test_the_teacher_follows_and_the_balance_moves_by_all_parts_of_a_step():
    objective = make()
    before = [p.clone() for p in objective.teacher.parameters()]
    with torch.no_grad():
        for parameter in objective.encoder.parameters():
            parameter.add_(1e-2)
    router = objective.encoder.blocks[1].mlp.router
    chosen = []
    router.register_forward_hook(lambda module, given, routing: chosen.append(routing.chosen))
    objective(batch_of(objective, slopes(2, 9)))  # a pass before the step, such as counting operations makes
    objective.before_step(0, 10)
    chosen.clear()
    for part in range(2):
        objective(batch_of(objective, slopes(2, part), part))
    counts = expert_counts(torch.cat(chosen), 4)
    assert counts.sum() == 2 * 2 * 3 * 12 * 2  # parts, samples, masks, visible tokens, choices
    objective.after_step(0, 10)
    torch.testing.assert_close(router.balance, balanced(torch.zeros(4), counts, 1e-2))
    assert torch.equal(objective.teacher.blocks[1].mlp.router.balance, router.balance)
    for old, new, online in zip(before, objective.teacher.parameters(), objective.encoder.parameters(), strict=True):
        torch.testing.assert_close(new, 0.9 * old + 0.1 * online)


def test_looking_at_samples_does_not_count_for_the_balance():
    objective = make().eval()
    objective.before_step(0, 1)
    objective(batch_of(objective, slopes(2, 0)))
    objective.encode({"image": slopes(2, 0)})
    objective.after_step(0, 1)
    assert objective.encoder.blocks[1].mlp.router.balance.abs().sum() == 0


def test_masks_are_of_fixed_size_and_follow_the_key():
    objective = make(NeuroJepaObjectiveConfig(predictor_width=48, predictor_heads=4, predictor_depth=1))
    image = slopes(1, 0)[0]
    one, same, other = (objective.prepare_sample({"image": image}, DrawKey(1, place)) for place in (3, 3, 4))
    assert one["visible"].shape == (3, 12)
    assert one["hidden"].shape == (3, 36)
    for kind in range(3):
        both = torch.cat([one["visible"][kind], one["hidden"][kind]]).sort().values
        assert torch.equal(both, torch.arange(48))
    assert torch.equal(one["visible"], same["visible"])
    assert not torch.equal(one["visible"], other["visible"])


def test_the_foreground_that_a_source_gives_counts():
    objective = make(NeuroJepaObjectiveConfig(predictor_width=48, predictor_heads=4, predictor_depth=1))
    voxels = torch.zeros(16, 16, 12, dtype=torch.bool)
    voxels[:4, :4, :4] = True
    sample = objective.prepare_sample({"image": torch.rand(1, 16, 16, 12), "foreground": voxels}, DrawKey(1, 0))
    assert sample["foreground"].nonzero().flatten().tolist() == [0]


def test_checkpointing_keeps_the_gradients():
    objective = make()
    batch, found = batch_of(objective, slopes(2, 0)), []
    for on in (False, True):
        objective.set_activation_checkpointing(on)
        objective.zero_grad()
        objective.before_step(0, 1)
        objective(batch)["loss"].backward()
        found.append([objective._loads.counts, *(p.grad.clone() for _, p in objective.turn_parameters("all"))])
    assert all(torch.equal(one, other) for one, other in zip(*found, strict=True))


def test_features_export_and_decay():
    objective = make()
    batch = batch_of(objective, slopes(2, 0))
    assert objective.encode(batch).shape == (2, 48)
    assert objective.tokens_of(batch) == 2 * 48
    NeuroJepaEncoder(MODEL).load_state_dict(objective.exported().state_dict(), strict=True)
    spared = objective.no_decay()
    assert "encoder.blocks.1.mlp.experts.widen_bias" in spared
    assert all(name.endswith("_bias") for name in spared)
    with pytest.raises(InputError, match="no masks"):
        objective({"image": batch["image"]})


@pytest.mark.parametrize("change", [{"mask_ratio": 1.0}, {"ema": 1.0}, {"background_weight": 2.0}, {"masks": ()}])
def test_impossible_settings_are_refused(change):
    with pytest.raises(ValueError, match=r"ratio|ema|masks"):
        NeuroJepaObjectiveConfig(**change)


def test_the_recipes_say_what_was_published():
    base = read_recipe([RECIPES / "base-pretrain.yaml"])
    assert base.model == NeuroJepaConfig()
    assert base.objective == NeuroJepaObjectiveConfig()
    assert (base.run.steps, base.run.batch_size, base.optim.lr) == (320_000, 576, 5.25e-4)
    cooldown = read_recipe([RECIPES / "base-cooldown.yaml"])
    assert (cooldown.run.steps, cooldown.run.seed, cooldown.optim.schedule) == (64_000, 239, "linear")
    assert cooldown.optim.lr * cooldown.optim.final == pytest.approx(1e-6, rel=0.01)


def test_the_tiny_recipe_builds_and_takes_keys_from_the_command_line():
    tiny = read_recipe([RECIPES / "tiny-pretrain.yaml"], ["--objective.ema", "0.9", "--model.positions", "published"])
    assert (tiny.objective.ema, tiny.model.positions, tiny.model.width) == (0.9, "published", 192)
    assert any(row[0] == "--objective.masks" and row[2] for row in describe_keys(tiny))
    with torch.device("meta"):
        objective = NeuroJepa(tiny.model, tiny.objective)
    assert sum(p.numel() for p in objective.exported().parameters()) == 7_932_132
