"""Occlusion on models whose truth is known, and on the trained toy."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch
from torch.nn import functional

from medfm_core.progress import CancelledError, Silent
from medfm_core.saliency import Occlusion, energy_inside, explain
from medfm_core.saliency.fills import blurred, surround_mean


class Reader:
    """Sums weighted voxels: what every patch is worth is known."""

    def __init__(self, weights, patch=(2, 4, 4)):
        self.weights, self.calls, self.config = weights, 0, SimpleNamespace(patch_size=patch)

    def __call__(self, volumes):
        self.calls += len(volumes)
        return (volumes * self.weights).sum(dim=(1, 2, 3, 4))[:, None]


def first(embeddings):
    return embeddings[:, 0]


@pytest.mark.parametrize("fill", ["surround", "blur"])
def test_finds_the_patch_that_counts(fill):
    volume, weights = torch.zeros(1, 1, 8, 16, 16), torch.zeros(8, 16, 16)
    volume[..., 2:4, 4:8, 8:12] = 1.0
    weights[2:4, 4:8, 8:12] = 1 / 32
    found = Occlusion(sides=(1,), fill=fill)(Reader(weights), volume, first)
    assert found.shape == (4, 4, 4)
    assert found[1, 1, 2] == found.max()
    assert found[1, 1, 2] > 0.5
    assert float(found.sum() - found[1, 1, 2]) == pytest.approx(0, abs=1e-6)


def test_what_lowers_the_score_is_not_salient():
    volume = torch.zeros(1, 1, 8, 16, 16)
    volume[..., :4, :, :] = 1.0
    weights = torch.zeros(8, 16, 16)
    weights[:4] = -1.0
    reader = Reader(weights)
    assert not Occlusion(sides=(2, 1))(reader, volume, first).any()
    assert reader.calls == 1 + 27  # nothing to refine


def test_coarse_to_fine_keeps_the_sum_and_saves_passes():
    generator = torch.Generator().manual_seed(0)
    volume, weights = torch.rand(1, 1, 16, 32, 32, generator=generator), torch.zeros(16, 32, 32)
    volume[..., 6:8, 8:12, 20:24] += 2.0
    weights[6:8, 8:12, 20:24] = 1.0
    readers = [Reader(weights), Reader(weights), Reader(weights)]
    coarse = Occlusion(sides=(2,))(readers[0], volume, first)
    fine = Occlusion(sides=(2, 1), refined=0.1)(readers[1], volume, first)
    full = Occlusion(sides=(1,))(readers[2], volume, first)
    assert fine.argmax() == full.argmax()
    assert fine.max() > 4 * coarse.max()
    assert float(fine.sum()) == pytest.approx(float(coarse.sum()), rel=1e-5)
    assert readers[1].calls - readers[0].calls == 52  # a tenth of 512 boxes


def test_channels_that_are_no_image_stay():
    class Masked(Reader):
        def __call__(self, volumes):
            assert torch.equal(volumes[:, 1:], mask.expand(len(volumes), -1, -1, -1, -1))
            return super().__call__(volumes[:, :1])

    volume = torch.rand(1, 2, 8, 16, 16)
    mask = volume[:, 1:].clone()
    assert Occlusion(sides=(2, 1), image_channels=1)(Masked(torch.ones(8, 16, 16)), volume, first).shape == (4, 4, 4)


def test_surround_leaves_out_the_box_and_blur_takes_small_things_away():
    volume = torch.full((1, 2, 8, 16, 16), 3.0)
    box = (slice(2, 4), slice(0, 4), slice(8, 12))
    volume[(..., *box)] = 100.0
    assert surround_mean(volume, box, (2, 4, 4)).flatten().tolist() == [3.0, 3.0]
    whole = tuple(slice(0, n) for n in (8, 16, 16))
    assert float(surround_mean(volume, whole, (2, 4, 4))[0, 0]) == pytest.approx(float(volume[0, 0].mean()))
    smooth = blurred(volume, (4, 8, 8))
    assert smooth.max() < 15
    assert float(smooth.mean()) == pytest.approx(float(volume.mean()), rel=0.5)


def test_energy_lies_in_the_blob_beyond_chance(toy):
    how = Occlusion(sides=(2, 1))
    shares = [
        energy_inside(explain(toy.encoder, volume[None], toy.target, how), mask)
        for volume, mask in zip(toy.volumes[:12], toy.masks, strict=False)
    ]
    times = [share.times_chance for share in shares]
    assert sum(times) / len(times) > 2.5
    assert sum(one > 1 for one in times) >= 0.9 * len(times)


def test_by_name_on_the_voxels_of_the_volume(toy):
    saliency = explain(toy.encoder, toy.volumes[:1], toy.target, "occlusion")
    assert saliency.shape == (8, 16, 16)
    assert saliency.dtype == torch.float32
    assert saliency.min() >= 0
    assert all(value.grad is None for value in toy.encoder.parameters())


def test_can_be_cancelled(toy):
    asked = iter([False, False, True, True, True])
    with pytest.raises(CancelledError):
        explain(toy.encoder, toy.volumes[:1], toy.target, "occlusion", Silent(lambda: next(asked)))


@pytest.mark.parametrize("wrong", [{"sides": ()}, {"sides": (1, 2)}, {"refined": 0.0}, {"fill": "black"}])
def test_wrong_settings_are_refused(wrong):
    with pytest.raises(ValueError, match="must"):
        Occlusion(**wrong)


def test_saliency_of_a_shifted_blob_shifts_with_it():
    weights = torch.ones(8, 16, 16)
    maps = []
    for at in (4, 8):
        volume = torch.zeros(1, 1, 8, 16, 16)
        volume[..., 2:4, at : at + 4, 4:8] = 1.0
        maps.append(Occlusion(sides=(1,), fill="blur")(Reader(weights), volume, first))
    assert torch.equal(
        (maps[0] == maps[0].max()).nonzero() + torch.tensor([0, 1, 0]), (maps[1] == maps[1].max()).nonzero()
    )
    assert functional.cosine_similarity(maps[0].flatten(), maps[1].flatten(), dim=0) < 0.5
