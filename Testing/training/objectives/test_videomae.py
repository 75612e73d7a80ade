"""VideoMAE: what it compares, what it must not see, that it learns, and that it cannot learn noise."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from medfm_core.errors import InputError
from medfm_core.layers.tokens import gather_tokens
from medfm_core.models.vit import VolumeTransformer, VolumeTransformerConfig
from training.engine.draw import DrawKey
from training.objectives.videomae import VideoMAE, VideoMAEConfig, normalise_patches

MODEL = VolumeTransformerConfig((4, 16, 16), (2, 4, 4), channels=1, width=48, depth=2, heads=4, mlp_width=96, dropout=0)
CONFIG = VideoMAEConfig(mask="random", mask_ratio=0.5, decoder_width=48, decoder_depth=2, decoder_heads=4)


def make(model=MODEL, config=CONFIG, seed=0):
    torch.manual_seed(seed)
    return VideoMAE(model, config)


def batch_of(objective, volumes, step=0):
    samples = [
        objective.prepare_sample({"image": volume}, DrawKey(seed=5, position=step * len(volumes) + number))
        for number, volume in enumerate(volumes)
    ]
    return {name: torch.stack([sample[name] for sample in samples]) for name in samples[0]}


def ramps(count, seed):
    """Noisy slopes along one of two axes, up or down: any patch that is seen tells what those that are hidden hold."""
    rng = np.random.default_rng(seed)
    _, y, x = np.meshgrid(np.arange(4), np.arange(16), np.arange(16), indexing="ij")
    volumes = [rng.choice([-1, 1]) * (x if rng.random() < 0.5 else y) for _ in range(count)]
    return torch.tensor(np.stack(volumes) + 0.1 * rng.standard_normal((count, 4, 16, 16)), dtype=torch.float32)[:, None]


def train(objective, draw, steps, lr=2e-3):
    optimiser = torch.optim.AdamW(objective.parameters(), lr=lr, betas=(0.9, 0.95))
    for step in range(steps):
        loss = objective(batch_of(objective, draw(step), step))["loss"]
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()


def test_it_learns_structure_and_beats_filling_patches_with_their_mean():
    objective = make()
    fresh = batch_of(objective, ramps(32, 10_000), 10_000)
    with torch.no_grad():
        before = objective(fresh)
    train(objective, lambda step: ramps(16, step), 60)
    with torch.no_grad():
        after = objective(fresh)
    assert before["loss"] > before["flat_loss"]
    assert after["loss"] < 0.2 * after["flat_loss"]


def test_it_cannot_draw_noise_that_it_has_not_seen():
    """A loss below that of flat patches on fresh white noise would mean that hidden voxels leak."""
    objective = make()

    def noise(step):
        return torch.randn(16, 1, 4, 16, 16, generator=torch.Generator().manual_seed(step))

    train(objective, noise, 40)
    with torch.no_grad():
        after = objective(batch_of(objective, noise(10_000), 10_000))
    assert 0.97 * after["flat_loss"] < after["loss"] < 1.3 * after["flat_loss"]


def test_hidden_voxels_do_not_reach_the_prediction():
    objective, drawn = make(), []
    objective.decoder.register_forward_hook(lambda module, given, result: drawn.append((given[0], result)))
    batch = batch_of(objective, ramps(2, 0))
    objective(batch)
    patches = objective.encoder.patches(batch["image"])
    changed = torch.where(batch["mask"][..., None], torch.full_like(patches, 9.0), patches)
    image = changed.view(2, 4, 4, 2, 4, 4, 2).permute(0, 3, 6, 1, 4, 2, 5).reshape(2, 1, 4, 16, 16)
    assert torch.equal(objective.encoder.patches(image), changed)
    objective({**batch, "image": image})
    for before, after in zip(*drawn, strict=True):
        assert torch.equal(before, after)


def test_the_loss_sends_no_gradient_into_the_targets():
    objective = make()
    batch = batch_of(objective, ramps(2, 0))
    image = batch["image"].requires_grad_()
    objective({**batch, "image": image})["loss"].backward()
    reached = objective.encoder.patches(image.grad).abs().amax(dim=-1) > 0
    assert torch.equal(reached, ~batch["mask"])


def test_drawing_exactly_what_is_hidden_costs_nothing():
    objective = make()
    batch = batch_of(objective, torch.randn(2, 1, 4, 16, 16))
    all_patches = objective.targets(objective.encoder.patches(batch["image"]))

    class Oracle(torch.nn.Module):
        def forward(self, tokens, seen, hidden, grid):
            assert torch.equal(torch.cat([seen, hidden], dim=1).sort(dim=1).values, torch.arange(32).expand(2, 32))
            return gather_tokens(all_patches, hidden)

    objective.decoder = Oracle()
    assert objective(batch)["loss"] == 0


def test_normalised_patches_of_a_hand_made_case():
    patches = torch.tensor([[[1.0, 10.0, 2.0, 10.0, 3.0, 10.0]]])  # one channel 1, 2, 3, the other flat
    normalised = normalise_patches(patches, channels=2)
    torch.testing.assert_close(normalised, torch.tensor([[[-1.0, 0.0, 0.0, 0.0, 1.0, 0.0]]]), atol=1e-5, rtol=0)


@pytest.mark.parametrize(("normalise", "loss", "flat"), [(True, 31 / 32, 31 / 32), (False, 5.0, 1.0)])
def test_the_loss_of_a_hand_made_case(normalise, loss, flat):
    """Drawing zeros where half of a patch's voxels are 1 and half are 3."""
    objective = make(
        config=VideoMAEConfig(mask_ratio=0.5, decoder_width=12, decoder_heads=2, normalise_targets=normalise)
    )
    torch.nn.init.zeros_(objective.decoder.draw.weight)
    image = torch.ones(2, 1, 4, 16, 16)
    image[:, :, ::2] = 3
    outcome = objective(batch_of(objective, image))
    assert outcome["loss"].item() == pytest.approx(loss, rel=1e-4)
    assert outcome["flat_loss"].item() == pytest.approx(flat, rel=1e-4)
    assert not outcome["flat_loss"].requires_grad


def test_the_decoder_answers_for_each_hidden_place():
    """With blocks that do nothing, what is drawn depends on the place alone."""
    objective = make()
    for block in objective.decoder.blocks:
        for layer in (block.attention.projection, block.mlp.narrow):
            torch.nn.init.zeros_(layer.weight)
    tokens, seen = torch.randn(1, 2, 48), torch.tensor([[0, 1]])
    one = objective.decoder(tokens, seen, torch.tensor([[5, 9]]), (4, 4, 2))
    other = objective.decoder(tokens, seen, torch.tensor([[9, 5]]), (4, 4, 2))
    torch.testing.assert_close(one, other.flip(1))
    assert not torch.allclose(one[:, 0], one[:, 1])


def test_masks_are_pure_functions_of_the_key():
    objective, image = make(config=VideoMAEConfig(mask_ratio=0.9)), torch.zeros(1, 8, 32, 32)
    masks = [
        objective.prepare_sample({"image": image}, DrawKey(*key))["mask"] for key in ((1, 7), (1, 7), (1, 8), (2, 7))
    ]
    assert torch.equal(masks[0], masks[1])
    assert not torch.equal(masks[0], masks[2])
    assert not torch.equal(masks[0], masks[3])
    assert torch.equal(masks[0].view(8, 8, 4), masks[0].view(8, 8, 4)[..., :1].expand(8, 8, 4))
    assert int((~masks[0]).sum()) == 7 * 4


def test_three_channels_and_another_size_than_the_tables():
    model = VolumeTransformerConfig((4, 16, 16), (2, 4, 4), 3, width=24, depth=1, heads=2, mlp_width=32, dropout=0)
    objective = make(model, VideoMAEConfig(mask_ratio=0.75, decoder_width=16, decoder_depth=1, decoder_heads=2))
    outcome = objective(batch_of(objective, torch.randn(2, 3, 8, 24, 8)))
    outcome["loss"].backward()
    assert torch.isfinite(outcome["loss"])
    assert all(p.grad is not None and torch.isfinite(p.grad).all() for p in objective.parameters())


def test_checkpointing_keeps_the_gradients():
    objective = make()
    batch = batch_of(objective, ramps(2, 0))
    gradients = []
    for on in (False, True):
        objective.set_activation_checkpointing(on)
        objective.zero_grad()
        objective(batch)["loss"].backward()
        gradients.append([p.grad.clone() for p in objective.parameters()])
    assert all(torch.equal(a, b) for a, b in zip(*gradients, strict=True))


def test_features_are_the_mean_of_all_tokens_without_dropout():
    model = VolumeTransformerConfig((4, 16, 16), (2, 4, 4), 1, width=48, depth=2, heads=4, mlp_width=96, dropout=0.5)
    objective = make(model).train()
    image = ramps(2, 0)
    features = objective.encode({"image": image})
    assert objective.training
    assert features.shape == (2, 48)
    assert not features.requires_grad
    torch.testing.assert_close(features, objective.eval().encoder(image).mean(dim=1))


def test_the_export_is_the_encoder_alone():
    objective = make()
    twin = VolumeTransformer(MODEL)
    twin.load_state_dict(objective.exported().state_dict(), strict=True)
    assert sum(p.numel() for p in twin.parameters()) < sum(p.numel() for p in objective.parameters())
    assert objective.no_decay() == {f"encoder.positions.tables.{axis}" for axis in range(3)}


def test_the_decoder_has_the_parameters_that_its_shape_says():
    decoder = make(config=VideoMAEConfig(decoder_width=24, decoder_depth=3, decoder_heads=2)).decoder
    block = 4 * 24 * 24 + 4 * 24 + 8 * 24 * 24 + 5 * 24 + 4 * 24
    rest = 2 * 48 + 48 * 24 + 24 + 24 + 2 * 24 + 24 * 32 + 32
    assert sum(p.numel() for p in decoder.parameters()) == 3 * block + rest


def test_a_batch_without_a_fitting_mask_is_refused():
    objective, image = make(), torch.zeros(1, 1, 4, 16, 16)
    with pytest.raises(InputError, match="no mask"):
        objective({"image": image})
    with pytest.raises(InputError, match="32 tokens"):
        objective({"image": image, "mask": torch.ones(1, 8, dtype=torch.bool)})


@pytest.mark.parametrize(
    "change",
    [{"mask_ratio": 1.0}, {"decoder_depth": 0}, {"decoder_width": 20, "decoder_heads": 3}, {"decoder_width": 4}],
)
def test_impossible_settings_are_refused(change):
    with pytest.raises(ValueError, match=r"ratio|decoder"):
        VideoMAEConfig(**change)
