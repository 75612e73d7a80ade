"""Features: computed once, in order, in evaluation mode; found again only if nothing has changed."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn
from toy_probe import ToyEncoder, ToySource

from medfm_core.errors import InputError, ResourceError
from training.evaluation.encoders import pooled_features, randomised, token_features, weights_digest
from training.evaluation.feature_cache import FeatureCache
from training.evaluation.features import Extraction, extract_features


def test_features_are_those_of_the_encoder_item_by_item_and_its_mode_is_left():
    source, encoder = ToySource(22), ToyEncoder().train()
    features = extract_features(encoder, source, Extraction(batch_size=5))
    assert encoder.training
    expected = encoder.eval().encode({"image": torch.from_numpy(source.images)})
    assert torch.allclose(features, expected, atol=1e-6)
    assert source.asked == [(n, n) for n in range(22)]
    tokens = extract_features(encoder, source, Extraction("tokens", batch_size=5))
    assert tokens.shape == (22, 2, 16)
    assert tokens.dtype == torch.float16


def test_the_cache_answers_the_same_encoder_and_source_and_nothing_else(tmp_path: Path):
    source, encoder = ToySource(10), ToyEncoder()
    cache = FeatureCache(tmp_path / "cache", {"subject": source.cohort().subjects})
    first = extract_features(encoder, source, Extraction(), cache)
    asked = len(source.asked)
    again = extract_features(encoder, source, Extraction(), cache)
    assert torch.equal(first, again)
    assert len(source.asked) == asked
    with torch.no_grad():
        encoder.mix.weight[0, 0] += 1
    other = extract_features(encoder, source, Extraction(), cache)
    assert not torch.equal(first, other)
    changed = ToySource(10, seed=1)
    assert not torch.equal(extract_features(encoder, changed, Extraction(), cache), other)
    assert len(changed.asked) == 10
    index = next((tmp_path / "cache").glob("*.csv"))
    rows = list(csv.DictReader(index.open()))
    assert [row["subject"] for row in rows] == list(source.cohort().subjects)
    assert not list((tmp_path / "cache").glob(".part*"))


@pytest.mark.parametrize("damage", ["truncate", "index", "remove index"])
def test_what_is_damaged_is_computed_anew(tmp_path: Path, damage: str):
    source, encoder = ToySource(10), ToyEncoder()
    cache = FeatureCache(tmp_path)
    first = extract_features(encoder, source, Extraction(), cache)
    file, index = next(tmp_path.glob("*.safetensors")), next(tmp_path.glob("*.csv"))
    if damage == "truncate":
        file.write_bytes(file.read_bytes()[:-7])
    elif damage == "index":
        index.write_text("item\n0\n")
    else:
        index.unlink()
    source.asked.clear()
    assert torch.equal(extract_features(encoder, source, Extraction(), cache), first)
    assert len(source.asked) == 10
    source.asked.clear()
    assert torch.equal(extract_features(encoder, source, Extraction(), cache), first)
    assert not source.asked


def test_a_source_without_a_digest_is_never_cached(tmp_path: Path):
    source = ToySource(6)
    source.digest = ""
    extract_features(ToyEncoder(), source, Extraction(), FeatureCache(tmp_path))
    assert not list(tmp_path.iterdir())


def test_too_many_tokens_and_empty_sources_are_sentences():
    with pytest.raises(ResourceError, match="GiB"):
        extract_features(ToyEncoder(), ToySource(6), Extraction("tokens", most_bytes=100))
    with pytest.raises(InputError, match="nothing to encode"):
        extract_features(ToyEncoder(), ToySource(0), Extraction())


class Tokens(nn.Module):
    def forward(self, image: torch.Tensor) -> torch.Tensor:
        return image.flatten(2).transpose(1, 2)


class Objective(nn.Module):
    """Has an `encode` that it does not implement, and exports a network with a backbone."""

    def __init__(self) -> None:
        super().__init__()
        self.net = nn.Module()
        self.net.backbone = Tokens()

    def encode(self, batch: dict) -> torch.Tensor:
        raise NotImplementedError

    def exported(self) -> nn.Module:
        return self.net


def test_encoders_of_all_kinds_are_understood():
    batch = {"image": torch.randn(3, 5, 2, 2, 2)}
    tokens = batch["image"].flatten(2).transpose(1, 2)
    assert torch.equal(token_features(Objective(), batch), tokens)
    assert torch.allclose(pooled_features(Objective(), batch), tokens.mean(1))
    assert torch.equal(token_features(Tokens(), batch), tokens)
    assert torch.allclose(pooled_features(Tokens(), batch), tokens.mean(1))
    assert torch.equal(pooled_features(nn.Sequential(nn.Flatten()), batch), batch["image"].flatten(1))
    first = Tokens()
    first.pooling = "first"
    assert torch.equal(pooled_features(first, batch), tokens[:, 0])
    with pytest.raises(InputError, match="no tokens"):
        token_features(nn.Flatten(), batch)

    class Vectors(nn.Module):
        def encode(self, batch: dict) -> torch.Tensor:
            return batch["image"].flatten(1)

    with pytest.raises(InputError, match="no tokens"):
        token_features(Vectors(), batch)


def test_random_weights_are_new_the_same_for_a_seed_and_disturb_nothing():
    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer, self.positions = nn.Linear(8, 8), nn.Parameter(torch.arange(50.0))

    net = Net()
    before, digest = torch.random.get_rng_state(), weights_digest(net)
    one, same, other = randomised(net, 1), randomised(net, 1), randomised(net, 2)
    assert torch.equal(before, torch.random.get_rng_state())
    assert weights_digest(net) == digest
    assert weights_digest(one) == weights_digest(same) != weights_digest(other)
    assert not torch.equal(one.layer.weight, net.layer.weight)
    assert not torch.equal(one.positions, net.positions)
    assert torch.equal(one.positions.sort().values, net.positions)
    assert np.array_equal(one.layer.weight.shape, net.layer.weight.shape)
