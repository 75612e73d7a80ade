"""Supervised training: what is not known costs nothing, frozen means frozen, losses are torch's."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn import functional
from toy_probe import ToyEncoder

from medfm_core.errors import InputError
from medfm_core.models.vit import VolumeTransformerConfig
from training.engine.draw import DrawKey
from training.engine.optimisers import OptimiserConfig, make_optimiser
from training.heads.encoder_shape import dense_tokens
from training.objectives.layer_scales import set_layer_scales
from training.objectives.supervised import Supervised, SupervisedConfig
from training.objectives.supervised_loss import classification_loss, multi_label_loss, regression_loss, voxel_loss

VIT = VolumeTransformerConfig((4, 8, 8), (2, 4, 4), channels=1, width=12, depth=2, heads=2, mlp_width=24, dropout=0.2)
TASKS = {
    "classification": (SupervisedConfig(outputs=3), torch.tensor([2, -1, 0])),
    "multi_label": (SupervisedConfig("multi_label", 2), torch.tensor([[1.0, torch.nan], [-1, 0], [0, 1]])),
    "regression": (SupervisedConfig("regression", 1, target_mean=60.0, target_deviation=9.0),
                   torch.tensor([55.0, torch.nan, 70.0])),
    "segmentation": (SupervisedConfig("segmentation", 3, decoder_width=16), None),
}  # fmt: skip


@pytest.fixture(autouse=True)
def _seed():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        yield


def image_batch(task: str) -> dict[str, torch.Tensor]:
    target = TASKS[task][1]
    if target is None:
        target = torch.randint(0, 3, (3, 4, 8, 8))
        target[0, 0], target[1, 0] = -1, 255
    return {"image": torch.randn(3, 1, 4, 8, 8), "target": target}


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("head", ["linear", "attentive"])
def test_every_task_trains_and_predicts(task, head):
    config = TASKS[task][0]
    config = SupervisedConfig(**{**vars(config), "head": head})
    objective, batch = Supervised(VIT, config), image_batch(task)
    with torch.no_grad():
        first = objective.eval()(batch)["loss"].item()
    optimiser = make_optimiser(objective.train(), "all", OptimiserConfig())
    for _ in range(15):
        optimiser.zero_grad()
        objective(batch)["loss"].backward()
        optimiser.step()
    assert all(value.grad is not None for value in objective.parameters())
    assert objective.eval()(batch)["loss"].item() < first
    objective.train()
    said = objective.predict(batch)
    assert objective.training
    assert not said.requires_grad
    shape = {"classification": (3, 3), "multi_label": (3, 2), "regression": (3, 1), "segmentation": (3, 3, 4, 8, 8)}
    assert said.shape == shape[task]
    if task in ("classification", "segmentation"):
        assert torch.allclose(said.sum(dim=1), torch.ones_like(said[:, 0]))
    assert objective.encode(batch).shape == (3, 12)
    assert objective.exported() is objective.encoder


@pytest.mark.parametrize("task", TASKS)
def test_what_is_not_known_moves_nothing(task):
    objective, batch = Supervised(VIT, TASKS[task][0]).eval(), image_batch(task)
    target = batch["target"]
    all_unknown = torch.full_like(target, torch.nan if target.is_floating_point() else -1)
    objective({**batch, "target": all_unknown})["loss"].backward()
    assert all(not value.grad.any() for value in objective.parameters() if value.grad is not None)
    if task == "segmentation":
        return
    known = torch.isfinite(target) & (target >= 0)
    rows = known if known.ndim == 1 else known.any(1)
    only = {name: value[rows] for name, value in batch.items()}
    assert objective(batch)["loss"].item() == pytest.approx(objective(only)["loss"].item(), rel=1e-5)
    assert 0 < objective(batch)["known"].item() < 1


def test_losses_are_those_of_torch_where_all_is_known():
    logits, classes = torch.randn(6, 4), torch.tensor([0, 1, 2, 3, 0, 1])
    weights = torch.tensor([1.0, 2.0, 0.5, 3.0])
    expected = functional.cross_entropy(logits, classes, weights, label_smoothing=0.1)
    assert torch.allclose(classification_loss(logits, classes, weights, 0.1), expected)
    labels = torch.randint(0, 2, (6, 4)).float()
    expected = functional.binary_cross_entropy_with_logits(logits, labels, pos_weight=weights)
    assert torch.allclose(multi_label_loss(logits, labels, weights), expected)
    assert torch.allclose(regression_loss(logits, logits * 3 + 5, 5.0, 3.0), torch.tensor(0.0), atol=1e-9)
    perfect = functional.one_hot(torch.randint(0, 3, (1, 2, 2, 2)), 3).movedim(-1, 1) * 40.0
    assert voxel_loss(perfect, perfect.argmax(1), torch.ones(3)) < 0.05


def test_a_frozen_encoder_stays_as_it_is_and_runs_without_dropout():
    objective = Supervised(VIT, SupervisedConfig(frozen_encoder=True)).train()
    assert not objective.encoder.training
    assert {name.split(".")[0] for name, _ in objective.turn_parameters("all")} == {"head"}
    batch = {"image": torch.randn(2, 1, 4, 8, 8), "target": torch.tensor([0, 1])}
    objective(batch)["loss"].backward()
    assert all(value.grad is None for value in objective.encoder.parameters())
    assert torch.equal(objective(batch)["loss"], objective(batch)["loss"])


def test_blocks_near_the_input_learn_slower():
    objective = Supervised(VIT, SupervisedConfig(layer_decay=0.5, head_rate=10.0))
    scales = {name: getattr(value, "lr_scale", 1.0) for name, value in objective.named_parameters()}
    assert scales["encoder.patch_embedding.linear.weight"] == scales["encoder.positions.tables.0"] == 0.125
    assert scales["encoder.blocks.0.mlp.widen.weight"] == 0.25
    assert scales["encoder.blocks.1.mlp.widen.weight"] == 0.5
    assert scales["head.answer.weight"] == 10.0
    optimiser = make_optimiser(objective, "all", OptimiserConfig())
    assert {group["lr_scale"] for group in optimiser.param_groups} == {0.125, 0.25, 0.5, 10.0}
    last = nn.ModuleDict(
        {"patch": nn.Linear(1, 1), "blocks": nn.ModuleList([nn.Linear(1, 1)]), "norm": nn.Linear(1, 1)}
    )
    set_layer_scales(last, 0.1)
    assert [round(value.lr_scale, 9) for value in last.parameters()][::2] == [0.01, 0.1, 1.0]


def test_tokens_of_a_volume_transformer_are_put_in_the_order_of_the_image():
    encoder = Supervised(VIT, SupervisedConfig()).encoder
    rows, columns, depth = VIT.token_grid((4, 8, 8))
    place = torch.stack(torch.meshgrid(*(torch.arange(n) for n in (rows, columns, depth)), indexing="ij"), dim=-1)
    ordered, grid = dense_tokens(encoder, place.reshape(1, -1, 3), (4, 8, 8))
    assert grid == (2, 2, 2)
    volume = ordered.reshape(2, 2, 2, 3)
    assert volume[1, 0, 1].tolist() == [0, 1, 1]  # d = 1, h = 0, w = 1 is the token of row 0, column 1, depth 1


def test_several_targets_are_put_side_by_side_and_impossible_classes_refused():
    objective = Supervised(ToyEncoder(), SupervisedConfig("multi_label", 2, targets=("target.a", "target.b")))
    assert objective.needs == ("image", "target.a", "target.b")
    batch = {"target.a": torch.tensor([1.0, 0.0]), "target.b": torch.tensor([torch.nan, 1.0])}
    assert objective.target(batch).shape == (2, 2)
    good, key = {"image": 0, "target": torch.tensor(1)}, DrawKey(0, 0)
    objective = Supervised(ToyEncoder(), SupervisedConfig())
    assert objective.prepare_sample(good, key) == good
    with pytest.raises(InputError, match="beyond 1"):
        objective.prepare_sample({**good, "target": torch.tensor(2)}, key)


def test_what_does_not_fit_is_a_sentence():
    class Blind(ToyEncoder):
        @torch.no_grad()
        def encode(self, batch):
            return super().encode(batch)

    batch = {"image": torch.randn(2, 1, 4, 4, 4), "target": torch.tensor([0, 1])}
    with pytest.raises(InputError, match="passes no gradient"):
        Supervised(Blind(), SupervisedConfig())(batch)
    Supervised(Blind(), SupervisedConfig(frozen_encoder=True))(batch)["loss"].backward()
    with pytest.raises(InputError, match="do not fit"):
        Supervised(ToyEncoder(), SupervisedConfig())({**batch, "target": torch.zeros(2, 3)})
    with pytest.raises(InputError, match="width"):
        Supervised(nn.Flatten(), SupervisedConfig())
    with pytest.raises(InputError, match="patch size"):
        Supervised(ToyEncoder(), SupervisedConfig("segmentation"))
    with pytest.raises(InputError, match="no encoder"):
        Supervised("vit", SupervisedConfig())
    for wrong in ({"outputs": 1}, {"layer_decay": 0.0}, {"head_rate": 0.0}, {"label_smoothing": 1.0},
                  {"class_weights": (1.0,)}, {"task": "regression", "class_weights": (1.0, 1.0)},
                  {"target_deviation": 0.0}, {"targets": ("a", "b")}):  # fmt: skip
        with pytest.raises(ValueError, match=next(reversed(wrong))):
            SupervisedConfig(**wrong)
