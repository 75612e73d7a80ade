"""Whole-body self-distillation: who sees what, what counts in the loss, how the teacher follows, that it learns."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from organ_toys import MODEL, ORGANS, bodies

import training
from medfm_core.errors import InputError
from medfm_core.models.pan_fm import PanFM
from medfm_core.models.pan_fm_organs import known_key, value_key
from training.engine.config import describe_keys, read_recipe
from training.engine.draw import DrawKey
from training.heads.prototypes import PrototypeConfig
from training.masking.organ_mask_config import OrganMaskConfig
from training.objectives.organ_attention import organ_sensitivity
from training.objectives.pan_fm import PanFMObjective
from training.objectives.pan_fm_config import PanFMObjectiveConfig
from training.objectives.self_distillation_losses import (
    agreement_loss,
    mean_by_sample,
    nearest_neighbour_spread,
    teacher_shares,
)

HEAD = PrototypeConfig(16, 16, 8)
RECIPES = Path(training.__file__).parent / "recipes" / "pan_fm"


def make(seed=0, **changes):
    torch.manual_seed(seed)
    mask = OrganMaskConfig(**{"kind": "saliency", "guide_to": 0.5, **changes.pop("mask", {})})
    return PanFMObjective(MODEL, PanFMObjectiveConfig(mask, head=HEAD, **changes))


def prepared(objective, batch, step=0):
    samples = []
    for number in range(len(next(iter(batch.values())))):
        sample = {name: value[number] for name, value in batch.items()}
        samples.append(objective.prepare_sample(sample, DrawKey(3, step * 1000 + number)))
    return {name: torch.stack([sample[name] for sample in samples]) for name in samples[0]}


def train(objective, steps, make_batch):
    optimiser = torch.optim.AdamW([p for p in objective.parameters() if p.requires_grad], lr=3e-3)
    losses = []
    for step in range(steps):
        objective.before_step(step, steps)
        values = objective(prepared(objective, make_batch(step), step))
        optimiser.zero_grad()
        values["loss"].backward()
        optimiser.step()
        objective.after_step(step, steps)
        losses.append(float(values["loss"].detach()))
    return losses


def driven(step, count=16):
    """Bodies whose organs all show the same factor: what is hidden can be told from what is seen."""
    batch = bodies(count, seed=step)
    factor = torch.randn(count, generator=torch.Generator().manual_seed(9000 + step))
    for organ in ORGANS:
        batch[value_key(organ.name)] = 0.3 * batch[value_key(organ.name)] + factor.view(-1, *[1] * len(organ.shape))
    return batch, factor


@pytest.mark.parametrize("weights", [{}, {"organ_weight": 1.0}], ids=["distilled", "telling"])
def test_it_learns_what_organs_share(weights):
    """The vectors of the teacher tell the common factor better than before, also from one organ alone."""
    objective = make(ema=0.9, temperature_warm_up=0.0, teacher_temperature=0.05, **weights)

    def explained():
        batch, factor = driven(77, 120)
        taken = {known_key(n): torch.zeros_like(batch[known_key(n)]) for n in ("brain", "liver")}
        vectors = objective.encode(batch | taken).double()
        design = torch.cat([vectors, torch.ones(120, 1)], dim=1)
        solved = torch.linalg.lstsq(design[:80].T @ design[:80] + 0.1 * torch.eye(design.shape[1]).double(),
                                    design[:80].T @ factor[:80].double()).solution  # fmt: skip
        rest = factor[80:] - design[80:] @ solved
        return 1 - float(rest.square().mean() / factor[80:].var())

    losses = train(objective, 25, lambda step: driven(step, 8)[0])
    assert sum(losses[-5:]) < sum(losses[:5])
    assert explained() > 0.8


TELLING = {"body_weight": 0.0, "token_weight": 0.0, "spread_weight": 0.0, "organ_weight": 1.0}


@pytest.mark.parametrize("weights", [{}, TELLING], ids=["distilled", "telling"])
@pytest.mark.parametrize("kind", ["none", "random", "organ_drop", "attmask", "saliency"])
def test_what_is_missing_is_in_nobodys_loss(kind, weights):
    """Whatever stands in the place of missing organs, loss, figures and gradients stay the same to the last bit."""
    missing = torch.tensor([[True, False, False], [False, True, False], [False, False, True], [False] * 3])
    batch = bodies(4, missing=missing)
    junk = {name: value.clone() for name, value in batch.items()}
    for number, organ in enumerate(ORGANS):
        junk[value_key(organ.name)][missing[:, number]] = 1e4
    found = []
    for given in (batch, junk):
        objective = make(mask={"kind": kind}, **weights)
        objective.before_step(9, 10)
        values = objective(prepared(objective, given))
        values["loss"].backward()
        found.append([*values.values(), *(p.grad for p in objective.student.parameters() if p.grad is not None)])
    assert all(torch.equal(a, b) for a, b in zip(*found, strict=True))
    assert all(torch.isfinite(value) for value in found[0][:4])


def test_parts_without_weight_are_not_computed_and_train_nothing():
    objective = make(**TELLING)
    objective.before_step(9, 10)
    values = objective(prepared(objective, bodies(4)))
    values["loss"].backward()
    assert {name for name in values if name.endswith("_loss")} == {"organ_loss"}
    trained = {name for name, value in objective.named_parameters() if value.requires_grad}
    assert not any("head" in name for name in trained)
    assert {name for name, value in objective.named_parameters() if value.grad is not None} == trained
    with pytest.raises(ValueError, match="organ_weight"):
        make(**TELLING | {"organ_weight": 0.0})


def test_missing_organs_are_never_hidden_and_hidden_ones_are_seen_by_the_teacher():
    objective = make(mask={"kind": "organ_drop", "ratio": 0.5})
    missing = torch.zeros(6, 3, dtype=torch.bool)
    missing[:, 1] = True
    objective.before_step(0, 10)
    seen = []
    objective.teacher.backbone.blocks[0].register_forward_pre_hook(lambda _, given: seen.append(given[0].shape[1]))
    values = objective(prepared(objective, bodies(6, missing=missing)))
    assert seen == [1 + 2 + 4]  # the body token, two patches, four vectors: nothing of the table
    assert values["organ_hidden/heart"].isnan()
    assert 0 < values["hidden"] < 1


def test_a_study_of_one_organ_trains_too():
    missing = torch.tensor([[True, True, False]] * 3)
    objective = make()
    objective.before_step(9, 10)
    values = objective(prepared(objective, bodies(3, missing=missing)))
    values["loss"].backward()
    assert torch.isfinite(values["loss"])
    assert 0 < values["organ_hidden/liver"] < 1


def test_no_organ_is_refused():
    objective = make()
    missing = torch.tensor([[True] * 3, [False] * 3])
    with pytest.raises(InputError, match="none of the model's organs"):
        objective(prepared(objective, bodies(2, missing=missing)))
    with pytest.raises(InputError, match="no draws"):
        objective(bodies(2))


def test_teacher_centres_and_shares_follow():
    objective = make(ema=0.9, mask={"average": 0.5})
    teacher = [p.clone() for p in objective.teacher.parameters()]
    with torch.no_grad():
        for parameter in objective.student.parameters():
            parameter.add_(0.1)
    objective.before_step(0, 10)
    batch = prepared(objective, bodies(4))
    objective(batch)
    objective(batch)  # two parts of one step
    shares, logits = objective._sums["shares"] / objective._sums["organs"], objective._sums["body_logits"] / 16
    objective.after_step(0, 10)
    torch.testing.assert_close(objective.shares, 0.5 * torch.full((3,), 1 / 3) + 0.5 * shares)
    torch.testing.assert_close(objective.body_centre, 0.1 * logits)
    assert objective.token_centre.abs().sum() > 0
    for old, new, mine in zip(teacher, objective.teacher.parameters(), objective.student.parameters(), strict=True):
        torch.testing.assert_close(new, 0.9 * old + 0.1 * mine)
    objective.eval()
    objective.before_step(1, 10)
    objective(batch)
    assert not objective._sums  # looking is not counted


def test_masks_follow_the_key_and_every_part_gets_gradient():
    objective = make()
    batch = bodies(1)
    sample = {name: value[0] for name, value in batch.items()}
    one, same, other = (objective.prepare_sample(sample, DrawKey(1, place)) for place in (3, 3, 4))
    assert torch.equal(one["mask_draws"], same["mask_draws"])
    assert torch.equal(one["noise.liver"], same["noise.liver"])
    assert not torch.equal(one["mask_draws"], other["mask_draws"])
    objective.before_step(9, 10)
    objective(prepared(objective, bodies(6)))["loss"].backward()
    assert all(p.grad is not None for p in objective.student.parameters())
    assert all(p.grad is None for p in objective.teacher.parameters())
    assert not any(name.startswith("teacher") for name, _ in objective.turn_parameters("all"))


def test_the_figures_say_where_attention_goes():
    objective = make()
    objective.before_step(0, 10)
    values = objective(prepared(objective, bodies(5)))
    shares = [values[f"organ_share/{organ.name}"] for organ in ORGANS]
    assert float(sum(shares)) == pytest.approx(1, abs=1e-5)
    assert 0 < values["share_entropy/sum"] <= 1


def test_sensitivity_is_what_leaving_an_organ_out_does():
    objective = make()
    batch = bodies(4, missing=torch.tensor([[False, False, True]] * 2 + [[False] * 3] * 2))
    figures = objective.watch(batch)
    without = {name: value for name, value in batch.items() if not name.endswith("brain")}
    model = objective.exported()
    turned = 1 - torch.cosine_similarity(model(batch).body, model(without).body)
    torch.testing.assert_close(figures["sensitivity/brain"], turned.mean(), rtol=1e-3, atol=1e-5)
    alone = bodies(2, missing=torch.tensor([[True, True, False]] * 2))
    assert organ_sensitivity(model, alone)["sensitivity/liver"].isnan()


def test_features_export_decay_and_start():
    objective = make()
    batch = bodies(3, missing=torch.tensor([[True, False, False]] * 3))
    assert objective.encode(batch).shape == (3, 48)
    assert objective.tokens_of(batch) == 3 * 7
    PanFM(MODEL).load_state_dict(objective.exported().state_dict(), strict=True)
    assert "student.backbone.organ_types" in objective.no_decay()
    with torch.no_grad():
        objective.exported().mask_token.fill_(5.0)
    objective.reset_teacher()
    assert (objective.student.backbone.mask_token == 5).all()
    assert set(objective.needs) == {known_key(organ.name) for organ in ORGANS}


def test_losses():
    logits, centre = torch.tensor([[1.0, 3.0]]), torch.tensor([0.5, 0.5])
    shares = teacher_shares(logits, centre, 0.5)
    torch.testing.assert_close(shares, torch.tensor([[1.0, 5.0]]).softmax(1))
    student = torch.tensor([[0.2, 0.4]])
    expected = -(shares * (student / 0.1).log_softmax(1)).sum()
    torch.testing.assert_close(agreement_loss(student, shares, 0.1)[0], expected)
    values = torch.tensor([1.0, 3.0, 8.0])
    assert mean_by_sample(values, torch.tensor([0, 0, 2]), 4) == pytest.approx((2 + 8) / 2)
    assert mean_by_sample(values[:0], torch.zeros(0, dtype=torch.long), 4) == 0
    near, far = torch.tensor([[1.0, 0.0], [1.0, 0.01]]), torch.tensor([[1.0, 0.0], [-1.0, 0.0]])
    assert nearest_neighbour_spread(near) > nearest_neighbour_spread(far)
    assert nearest_neighbour_spread(near[:1]) == 0


@pytest.mark.parametrize(
    "change", [{"views": 0}, {"ema": 2.0}, {"jitter": -1.0}, {"body_weight": 0.0, "token_weight": 0.0},
               {"teacher_temperature": 0.0}],
)  # fmt: skip
def test_impossible_settings_are_refused(change):
    with pytest.raises(ValueError, match=r"views|ema|weight|temperatures"):
        PanFMObjectiveConfig(**change)


def test_the_recipe_reads_and_every_key_has_a_meaning():
    recipe = read_recipe([RECIPES / "tiny-pretrain.yaml"], ["--objective.mask.kind", "attmask"])
    assert recipe.objective.mask.kind == "attmask"
    assert [organ.name for organ in recipe.data.specs] == list(recipe.model.names)
    assert all(row[2] for row in describe_keys(recipe))
