"""Rollout against a plain copy of its definition, on a trained encoder that is the same afterwards."""

from __future__ import annotations

import copy
import dataclasses
import math

import pytest
import torch

from medfm_core.errors import InputError
from medfm_core.layers.attention import MultiHeadAttention, split_heads
from medfm_core.layers.attentive_pooling import AttentivePooling
from medfm_core.models.totalfm import ImageEncoder
from medfm_core.saliency import FixedInputs, attention_rollout, explain
from medfm_core.saliency.recording import record_attention


def plain_attention(query, key, value, heads, kept):
    """Softmax attention written out, its map kept for its gradient."""
    query, key, value = (split_heads(part, heads) for part in (query, key, value))
    weights = (query @ key.transpose(-2, -1) / math.sqrt(query.shape[-1])).softmax(dim=-1)
    weights.retain_grad()
    kept.append(weights)
    return (weights @ value).transpose(1, 2).flatten(2)


def plain_rollout(encoder, volume, target):
    """Definition in double precision: every map and its gradient kept, the whole relevance matrix rolled out."""
    encoder, kept = copy.deepcopy(encoder).double(), []

    def attend(self, tokens):
        query, key, value = self.qkv(tokens).chunk(3, dim=-1)
        return self.projection(plain_attention(query, key, value, self.heads, kept))

    def pool(self, tokens):
        query = self.query(self.query_norm(tokens.mean(dim=1, keepdim=True)))
        key, value = self.key(self.key_norm(tokens)), self.value(self.value_norm(tokens))
        return self.projection(plain_attention(query, key, value, self.heads, kept))[:, 0]

    for part in encoder.modules():
        if isinstance(part, MultiHeadAttention):
            part.forward = attend.__get__(part)
        if isinstance(part, AttentivePooling):
            part.forward = pool.__get__(part)
    target(encoder(volume.double())).sum().backward()
    *blocks, pooling = [(weights.grad * weights).clamp(min=0).mean(dim=1)[0] for weights in kept]
    relevance = torch.eye(len(blocks[0]), dtype=torch.float64)
    for block in blocks:
        relevance = relevance + block @ relevance
    depth, rows, columns = (n // p for n, p in zip(volume.shape[2:], encoder.config.patch_size, strict=True))
    return (pooling @ relevance).reshape(rows, columns, depth).permute(2, 0, 1)


def test_equals_the_plain_definition(toy):
    for volume in toy.volumes[:3]:
        fast = attention_rollout(toy.encoder, volume[None], toy.target)
        plain = plain_rollout(toy.encoder, volume[None], toy.target).float().detach()
        assert fast.shape == (4, 4, 4)
        torch.testing.assert_close(fast, plain, rtol=2e-3, atol=1e-4 * float(plain.max()))


def test_tokens_that_gave_peaks_are_read_out_too(toy):
    torch.manual_seed(0)
    encoder = ImageEncoder(dataclasses.replace(toy.encoder.config, peak=True, dropout=0.0)).eval()
    torch.nn.init.zeros_(encoder.pool.projection.weight)  # what attention pools is left without a say
    for block in encoder.backbone.blocks:
        torch.nn.init.zeros_(block.attention.projection.weight)
    volume = toy.volumes[:1]
    found = attention_rollout(encoder, volume, toy.target).permute(1, 2, 0).flatten()
    values = encoder.peak.values(encoder.backbone(volume))[0].detach().requires_grad_()
    vector = encoder.pool.projection.bias + values.amax(dim=0)
    embedding = torch.nn.functional.normalize(encoder.projection(encoder.head(encoder.head_norm(vector))), dim=-1)
    (gradient,) = torch.autograd.grad(toy.target(embedding[None]).sum(), values)
    expected = (gradient * values.detach()).sum(dim=1).clamp(min=0) / encoder.config.heads
    torch.testing.assert_close(found, expected, atol=1e-6, rtol=1e-3)
    assert 0 < (found > 0).sum() < len(found)


@pytest.mark.parametrize("masked", [False, True])
def test_recording_changes_neither_values_nor_gradients(masked):
    torch.manual_seed(0)
    layer, tokens = MultiHeadAttention(12, 3).double(), torch.randn(2, 5, 12, dtype=torch.float64, requires_grad=True)
    mask = torch.ones(5, 5, dtype=torch.bool).tril() if masked else None
    fast = layer(tokens, mask=mask)
    with record_attention() as found:
        recorded = layer(tokens, mask=mask)
    assert torch.equal(fast, recorded)
    gradients = [torch.autograd.grad(out.square().sum(), tokens)[0] for out in (fast, recorded)]
    torch.testing.assert_close(*gradients, atol=1e-12, rtol=1e-9)
    assert [one.shape for one in found] == [(2, 5, 5)]
    if masked:
        assert not found[0].triu(1).any()


@pytest.mark.parametrize("training", [False, True])
def test_leaves_the_encoder_as_it_was(toy, training):
    encoder = copy.deepcopy(toy.encoder).train(training)
    encoder.set_activation_checkpointing(training)
    encoder.head.weight.requires_grad_(False)
    volume = toy.volumes[:1].clone()
    before = {name: value.clone() for name, value in encoder.state_dict().items()}
    flags = [(part.training, getattr(part, "checkpointing", None)) for part in encoder.modules()]
    needs = [value.requires_grad for value in encoder.parameters()]
    embedding = toy.encoder(toy.volumes)
    with torch.inference_mode():
        explain(encoder, volume, toy.target)
    assert flags == [(part.training, getattr(part, "checkpointing", None)) for part in encoder.modules()]
    assert needs == [value.requires_grad for value in encoder.parameters()]
    assert all(value.grad is None for value in encoder.parameters())
    assert volume.grad is None
    assert not volume.requires_grad
    assert not any(part._forward_hooks or part._backward_hooks or part._forward_pre_hooks for part in encoder.modules())
    assert all(torch.equal(before[name], value) for name, value in encoder.state_dict().items())
    assert torch.equal(encoder.eval()(toy.volumes), embedding)


def test_energy_lies_in_the_blob_beyond_chance(toy):
    from medfm_core.saliency import energy_inside

    shares = [
        energy_inside(explain(toy.encoder, volume[None], toy.target), mask)
        for volume, mask in zip(toy.volumes, toy.masks, strict=True)
    ]
    times = [share.times_chance for share in shares]
    assert sum(times) / len(times) > 3
    assert sum(one > 1 for one in times) >= 0.9 * len(times)


def test_other_inputs_are_held(toy):
    class Sized(ImageEncoder):
        def forward(self, volume, size):
            return super().forward(volume * size[:, :, None, None, None])

    sized = Sized(toy.encoder.config).eval()
    sized.load_state_dict(toy.encoder.state_dict())
    held = FixedInputs(sized, size=torch.full((1, 1), 0.5))
    expected = explain(toy.encoder, toy.volumes[:1] * 0.5, toy.target)
    torch.testing.assert_close(explain(held, toy.volumes[:1], toy.target), expected)
    assert held(toy.volumes[:3]).shape == (3, 16)


def test_refuses_what_it_cannot_explain(toy):
    with pytest.raises(InputError, match="not one volume"):
        explain(toy.encoder, toy.volumes[:2], toy.target)
    with pytest.raises(InputError, match="divide"):
        explain(toy.encoder, toy.volumes[:1, ..., :-1], toy.target)
    with pytest.raises(InputError, match="occlusion"):
        explain(toy.encoder, toy.volumes[:1], toy.target, "oclusion")
    with pytest.raises(InputError, match="differentiated"):
        explain(toy.encoder, toy.volumes[:1], lambda embeddings: toy.target(embeddings.detach()))
    with pytest.raises(InputError, match="one number per volume"):
        explain(toy.encoder, toy.volumes[:1], lambda embeddings: embeddings)
    with pytest.raises(InputError, match="finite"):
        explain(toy.encoder, toy.volumes[:1] * math.nan, toy.target)


def test_other_grids_than_the_trained_one(toy):
    volume = torch.zeros(1, 1, 6, 24, 12)
    volume[..., 14:20, 4:8] = 1.5
    saliency = explain(toy.encoder, volume + 0.2 * torch.randn(volume.shape), toy.target)
    assert saliency.shape == (6, 24, 12)
    assert saliency.dtype == torch.float32
    assert saliency.min() >= 0
