"""Contrast of organs and sentences: it learns on a small problem where one that sees no image cannot."""

import pytest
import torch

from medfm_core.models.totalfm import TotalFMConfig
from training.objectives.contrastive import Contrastive, ContrastiveConfig

TINY = TotalFMConfig((4, 8, 8), (2, 4, 4), 1, 24, 2, 2, 48, 0.0, head_width=16, embedding_width=16, organ_size=True)
UNITS, TEXT = 2, 12


def batch(count, seed, blind=False):
    """Organs that are bright or big or not; of unit 0 a bright one has finding 0, of unit 1 a big one finding 1."""
    generator = torch.Generator().manual_seed(seed)
    unit = torch.randint(0, UNITS, (count,), generator=generator)
    there = torch.randint(0, 2, (count,), generator=generator) * 2 - 1
    image = torch.randn(count, 1, 4, 8, 8, generator=generator) * 0.3 + unit[:, None, None, None, None]
    image[:, :, 1:3, 2:6, 2:6] += ((there > 0) & (unit == 0))[:, None, None, None, None] * 1.0
    size = torch.randn(count, 4, generator=generator) * 0.1
    size[:, 3] += ((there > 0) & (unit == 1)) * 1.0
    relevant = torch.eye(UNITS, dtype=torch.bool)[unit]
    words = torch.randn(
        UNITS, 2, TEXT, generator=torch.Generator().manual_seed(99)
    )  # one sentence per finding and state
    finding = unit[:, None].expand(-1, 2)
    says = torch.tensor([1, -1]).expand(count, -1)
    false = torch.zeros(count, 2, dtype=torch.bool)
    return {
        "image": torch.zeros_like(image) if blind else image, "size": torch.zeros_like(size) if blind else size,
        "unit": unit, "truth": torch.where(relevant, there[:, None], 0).to(torch.int8), "relevant": relevant,
        "text": torch.stack([words[unit, 0], words[unit, 1]], 1), "text_finding": finding, "text_says": says,
        "text_detailed": false, "text_own": false,
    }  # fmt: skip


def train(objective, steps, blind=False):
    optimiser = torch.optim.AdamW(objective.parameters(), 3e-3)
    for step in range(steps):
        optimiser.zero_grad()
        objective(batch(32, step, blind))["loss"].backward()
        optimiser.step()
    return objective(batch(256, 10**6, blind))["pair_accuracy"].item()


def fresh(**config):
    torch.manual_seed(0)
    return Contrastive(TINY, ContrastiveConfig(text_width=TEXT, logit_bias=0.0, **config))


@pytest.mark.parametrize("across", [0.1, 1.0])
def test_it_learns_what_is_seen_and_what_is_measured(across):
    assert train(fresh(across=across), 160) > 0.9
    assert train(fresh(across=across), 160, blind=True) < 0.65


def test_infonce_learns_too():
    objective = fresh(loss="infonce")
    before = objective(batch(64, 5))["loss"].item()
    train(objective, 60)
    assert objective(batch(64, 5))["loss"].item() < 0.6 * before


def test_the_sigmoid_loss_is_the_mean_over_settled_pairs():
    objective, data = fresh(across=0.0), batch(6, 1)
    logits = objective.model(data["image"], data["text"].flatten(0, 1), data["size"]).unflatten(1, (6, 2))
    losses = []
    for i in range(6):
        for j in range(6):
            if data["unit"][i] != data["unit"][j]:
                continue
            for k in range(2):
                fits = data["truth"][i, data["unit"][i]] * data["text_says"][j, k]
                losses.append(torch.nn.functional.softplus(-fits * logits[i, j, k]))
    torch.testing.assert_close(objective(data)["loss"], torch.stack(losses).mean())


def test_a_batch_in_which_nothing_is_settled_costs_nothing():
    for loss in ("sigmoid", "infonce"):
        data = batch(4, 0)
        data["truth"].zero_()
        data["unit"].zero_()
        data["relevant"] = torch.eye(UNITS, dtype=torch.bool)[data["unit"]]
        found = fresh(loss=loss)(data)["loss"]
        assert found.item() == 0
        found.backward()


def test_the_numbers_of_the_loss_and_positions_do_not_decay():
    names = fresh().no_decay()
    assert {"model.logits.scale", "model.logits.bias"} <= names
    assert any("positions" in name for name in names)
