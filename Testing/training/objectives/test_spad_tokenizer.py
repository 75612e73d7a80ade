"""The tokenizer's objective: that it learns, keeps its tokens in use, and plays fair with its discriminator."""

from __future__ import annotations

import math

import pytest
import torch

from medfm_core.errors import InputError
from medfm_core.models.spad_tokenizer import SpadTokenizerConfig
from training.engine.draw import DrawKey
from training.engine.optimisers import OptimiserConfig, make_optimiser
from training.objectives.adversarial_gate import AdversarialGate
from training.objectives.spad_batch import degree_of_batch, with_degree
from training.objectives.spad_discriminator import SpadDiscriminator, discriminator_loss, generator_loss
from training.objectives.spad_tokenizer import SpadTokenizerObjective, SpadTokenizerObjectiveConfig

MODEL = SpadTokenizerConfig(widths=(16, 32), first_stride=4, tokens=16)
ALONE = SpadTokenizerObjectiveConfig(prior=0.03, entropy=0.01, perceptual="none", adversarial=0.0)
PLAY = SpadTokenizerObjectiveConfig(perceptual="edges", discriminator_widths=(8, 16), discriminator_groups=4)


def make(config, seed=0):
    torch.manual_seed(seed)
    return SpadTokenizerObjective(MODEL, config)


def chequers(count, seed):
    """2D images of 4 x 4 fields, black or white."""
    fields = torch.randint(0, 2, (count, 1, 1, 4, 4), generator=torch.Generator().manual_seed(seed)).float()
    return {"image": fields.repeat_interleave(8, 3).repeat_interleave(8, 4), "degree": torch.full((count,), 5)}


def test_it_learns_and_beats_flat_images_with_its_codebook_in_use():
    objective = make(ALONE)
    optimiser = torch.optim.AdamW(objective.parameters(), lr=1e-2, betas=(0.9, 0.95))
    for step in range(100):
        loss = objective(chequers(8, step))["loss"]
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    with torch.no_grad():
        after = objective(chequers(32, 10_000))
    assert after["reconstruction"] < 0.2 * after["flat_loss"]
    assert after["effective_tokens"] > 0.6


def test_the_parts_add_up():
    objective = make(SpadTokenizerObjectiveConfig(prior=0.3, entropy=0.2, perceptual_weight=0.5, adversarial=0.0))
    out = objective(chequers(2, 0))
    expected = out["reconstruction"] + 0.3 * out["prior"] + 0.2 * out["entropy"] + 0.5 * out["perceptual"]
    torch.testing.assert_close(out["loss"].detach(), expected)
    assert -math.log(16) - 1e-5 <= out["prior"] <= 0 <= out["entropy"] <= math.log(16) + 1e-5
    assert not any(value.requires_grad for name, value in out.items() if name != "loss")


def test_the_entropy_counts_more_and_more():
    objective = make(
        SpadTokenizerObjectiveConfig(prior=0, entropy=2.0, entropy_rise=0.5, perceptual="none", adversarial=0)
    )
    losses = []
    for step in (0, 25, 50, 99):
        objective.before_step(step, 100)
        out = objective(chequers(2, 0))
        losses.append(float(((out["loss"] - out["reconstruction"]) / out["entropy"]).detach()))
    assert losses == pytest.approx([0, 1, 2, 2], rel=1e-3)


def test_each_turn_moves_its_own_side():
    objective, batch = make(PLAY), chequers(2, 0)
    objective.gate.average.zero_()
    objective.gate.last.zero_()
    objective.before_step(0, 10)
    sides = {turn: dict(objective.turn_parameters(turn)) for turn in objective.turns}
    everything = {name for name, value in objective.named_parameters() if value.requires_grad}
    assert sides["generator"].keys() | sides["discriminator"].keys() == everything
    for turn, other in (("generator", "discriminator"), ("discriminator", "generator")):
        objective.zero_grad()
        objective(batch, turn)["loss"].backward()
        assert all(value.grad is not None for value in sides[turn].values())
        assert all(value.grad is None for value in sides[other].values())


def test_the_gate_opens_when_the_discriminator_is_winning():
    objective, batch = make(PLAY), chequers(2, 0)
    objective.before_step(0, 10)
    closed = objective(batch, "generator")
    assert closed["gate"] == 0
    assert "adversarial" not in closed
    objective.gate.average.fill_(0.02)
    objective.gate.last.fill_(0.02)
    objective.before_step(1, 10)
    opened = objective(batch, "generator")
    expected = closed["loss"] + PLAY.adversarial * opened["adversarial"]
    assert opened["gate"] == 1
    torch.testing.assert_close(opened["loss"], expected)


def test_the_gate_remembers_steps_and_nothing_else():
    objective, batch = make(PLAY), chequers(2, 0)
    objective.before_step(0, 10)
    objective(batch, "discriminator")  # such as counting operations
    objective.before_step(0, 10)
    losses = [objective(part, "discriminator")["discriminator"] for part in (batch, chequers(2, 1))]
    assert float(objective.gate.last) == pytest.approx(0.1)
    objective.after_step(0, 10)
    mean = float(sum(losses) / 2)
    assert float(objective.gate.last) == pytest.approx(mean)
    assert float(objective.gate.average) == pytest.approx(0.09 + 0.1 * mean)
    assert {"gate.average", "gate.last"} <= objective.state_dict().keys()


def test_a_single_good_step_does_not_open_the_gate():
    gate = AdversarialGate()
    gate.update(torch.tensor(0.0))
    assert not gate.is_open
    for _ in range(20):
        gate.update(torch.tensor(0.0))
    assert gate.is_open
    gate.update(torch.tensor(0.2))
    assert not gate.is_open


def test_the_discriminators_learning_rate_is_ten_times_the_tokenizers():
    objective = make(PLAY)
    for turn, scale in (("generator", 1.0), ("discriminator", 10.0)):
        groups = make_optimiser(objective, turn, OptimiserConfig()).param_groups
        assert {group["lr_scale"] for group in groups} == {scale}
    assert objective.no_decay() <= {name for name, _ in objective.named_parameters()}
    assert make(ALONE).turns == ("generator",)


def test_the_published_discriminator():
    with torch.device("meta"):
        net = SpadDiscriminator()
    assert sum(value.numel() for value in net.parameters()) == 11_529_985


@pytest.mark.parametrize("degree", range(6))
def test_the_discriminator_scores_every_degree(degree):
    torch.manual_seed(0)
    net = SpadDiscriminator(3, (8, 16), 4)
    scores = net(torch.randn(1, 3, max(16 >> degree, 1), 16, 16), degree)
    assert scores.shape[3:] == (4, 4)
    assert scores.shape[2] == max((16 >> degree) // max(4 >> degree, 1), 1)


def test_it_learns_to_tell_noise_from_flat_volumes():
    torch.manual_seed(0)
    net = SpadDiscriminator(1, (8, 16), 4)
    optimiser = torch.optim.Adam(net.parameters(), lr=5e-3)
    for _ in range(30):
        loss = discriminator_loss(net(torch.zeros(4, 1, 1, 16, 16), 5), net(torch.randn(4, 1, 1, 16, 16), 5))
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    assert loss < 0.1
    assert generator_loss(torch.tensor([2.0, 4.0])) == -3


def test_degrees_of_samples_and_batches():
    image, key = torch.zeros(1, 4, 16, 16), DrawKey(0, 0)
    objective = make(ALONE)
    assert objective.prepare_sample({"image": image, "spacing_mm": torch.tensor([5.0, 0.7, 0.7])}, key)["degree"] == 2
    assert with_degree({"image": image[:, :1]})["degree"] == 5
    assert "degree" not in with_degree({"image": image})
    assert with_degree({"image": image, "degree": torch.tensor(3)})["degree"] == 3
    assert degree_of_batch({"degree": torch.tensor([2, 2])}) == 2
    with pytest.raises(InputError, match=r"\[1, 2\]"):
        degree_of_batch({"degree": torch.tensor([2, 1])})


def test_what_monitors_see():
    objective, batch = make(ALONE), chequers(3, 0)
    assert objective.encode(batch).shape == (3, 32)
    assert objective.tokens_of(batch) == 48
    assert objective.exported() is objective.model


@pytest.mark.parametrize("change", [{"prior": -1}, {"slices": 0}, {"discriminator_widths": (20,)}, {"entropy_rise": 2}])
def test_impossible_settings_are_refused(change):
    with pytest.raises(ValueError, match=r"prior|slices|discriminator|entropy_rise"):
        SpadTokenizerObjectiveConfig(**change)
