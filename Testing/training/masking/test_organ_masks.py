"""Organ masks: properties of the published idea as our formula has them, and what no provider may ever do."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from training.masking.organ_mask_config import OrganMaskConfig
from training.masking.organ_masks import (
    AttentionMask,
    MaskDraws,
    NoMask,
    OrganDropMask,
    OrganRequest,
    RandomTokenMask,
)
from training.masking.saliency_guided import SaliencyGuidedMask, organ_shares, share_entropy

ORGAN = torch.tensor([0] * 6 + [1] * 3 + [2] * 2 + [3])
KINDS = ("none", "random", "organ_drop", "attmask", "saliency")


def request_of(known, attention=None, seed=0, **more):
    if attention is None:
        attention = torch.rand(known.shape, generator=torch.Generator().manual_seed(seed)) + 0.01
    attention = torch.where(known, attention, 0)
    return OrganRequest(ORGAN, 4, known, attention, **more)


def draws_of(samples, seed=0):
    generator = torch.Generator().manual_seed(seed + 1000)
    return MaskDraws(torch.rand(samples, 12, generator=generator), torch.rand(samples, 4, generator=generator))


def everything(samples):
    return torch.ones(samples, 12, dtype=torch.bool)


tokens = st.lists(st.booleans(), min_size=12, max_size=12).filter(any)


@settings(max_examples=60, deadline=None)
@given(st.lists(tokens, min_size=1, max_size=4), st.sampled_from(KINDS), st.integers(0, 99),
       st.sampled_from(["organ", "tokens"]), st.sampled_from([0.2, 0.5, 0.9]))  # fmt: skip
def test_no_provider_hides_what_is_missing_or_all_that_there_is(known, kind, seed, unit, ratio):
    known = torch.tensor(known)
    config = OrganMaskConfig(kind, ratio, unit=unit, temperature=0.02, most=1.0)
    hidden = config.provider(1.0)(request_of(known, seed=seed), draws_of(len(known), seed))
    assert hidden.shape == known.shape
    assert not (hidden & ~known).any()
    assert (known & ~hidden).any(dim=1).all()
    if kind == "organ_drop" or (kind == "saliency" and unit == "organ"):
        request = request_of(known)
        kept = request.by_organ((known & ~hidden).float())
        several = request.present.sum(dim=1) > 1
        whole = (kept == 0) | (kept == request.counts)
        assert whole[several].all()


def test_random_tokens_are_hidden_in_the_stated_number_and_alike():
    hidden = RandomTokenMask(0.25)(request_of(everything(4000)), draws_of(4000))
    assert (hidden.sum(dim=1) == 3).all()
    torch.testing.assert_close(hidden.float().mean(dim=0), torch.full((12,), 0.25), atol=0.03, rtol=0)


def test_equal_attention_masks_all_organs_alike_and_as_organ_drop_does():
    request, draws = request_of(everything(3000), organ_equal()), draws_of(3000)
    mask = SaliencyGuidedMask(0.4)
    torch.testing.assert_close(mask.probabilities(request), torch.full((3000, 4), 0.4))
    assert torch.equal(mask(request, draws), OrganDropMask(0.4)(request, draws))
    per_token = SaliencyGuidedMask(0.4, per_token=True)
    flat = request_of(everything(2), torch.full((2, 12), 1 / 12))
    torch.testing.assert_close(per_token.probabilities(flat), torch.full((2, 4), 0.4))


def organ_equal():
    """Attention of which every organ has a quarter."""
    return (0.25 / torch.bincount(ORGAN).float())[ORGAN].expand(3000, -1)


def test_the_dominant_organ_is_hidden_most():
    attention = torch.full((2000, 12), 0.02)
    attention[:, 9:11] = 0.4  # organ 2
    request = request_of(everything(2000), attention)
    chance = SaliencyGuidedMask(0.4, temperature=0.3).probabilities(request)
    assert (chance.argmax(dim=1) == 2).all()
    hidden = SaliencyGuidedMask(0.4, temperature=0.3)(request, draws_of(2000)).float().mean(dim=0)
    assert hidden[9] > hidden[[0, 6, 11]].max() + 0.2


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 999))
def test_more_attention_is_never_less_hidden(seed):
    request = request_of(everything(1), seed=seed)
    shares = organ_shares(request)[0]
    chance = SaliencyGuidedMask(0.4, temperature=0.2, least=0.0, most=1.0).probabilities(request)[0]
    assert torch.equal(shares.argsort(), (chance + 1e-9 * shares).argsort())
    assert chance.mean() <= 0.4 + 1e-5


def test_temperature_goes_from_random_masking_to_the_dominant_organ_alone():
    request = request_of(everything(1))
    shares = organ_shares(request)[0]
    hot = SaliencyGuidedMask(0.4, temperature=1e6).probabilities(request)[0]
    torch.testing.assert_close(hot, torch.full((4,), 0.4))
    cold = SaliencyGuidedMask(0.4, temperature=1e-4, least=0.1, most=0.9).probabilities(request)[0]
    expected = torch.full((4,), 0.1)
    expected[shares.argmax()] = 0.9
    torch.testing.assert_close(cold, expected)


def test_the_schedule_goes_from_unguided_to_guided():
    config = OrganMaskConfig("saliency", 0.4, guide_from=0.2, guide_to=0.6)
    assert [config.guidance(progress) for progress in (0.0, 0.2, 0.4, 0.6, 1.0)] == pytest.approx([0, 0, 0.5, 1, 1])
    request = request_of(everything(1))
    torch.testing.assert_close(config.provider(0.0).probabilities(request), torch.full((1, 4), 0.4))
    assert (config.provider(1.0).probabilities(request) - 0.4).abs().max() > 0.01


def test_the_sum_favours_organs_of_many_tokens_and_the_mean_does_not():
    request = request_of(everything(1), torch.full((1, 12), 1 / 12))
    torch.testing.assert_close(organ_shares(request)[0], torch.tensor([6, 3, 2, 1]) / 12)
    torch.testing.assert_close(organ_shares(request, per_token=True)[0], torch.full((4,), 0.25))


def test_a_missing_organ_has_no_share_and_no_probability():
    known = everything(1)
    known[:, :6] = False
    request = request_of(known)
    assert organ_shares(request)[0, 0] == 0
    assert organ_shares(request).sum() == pytest.approx(1)
    assert SaliencyGuidedMask(0.4).probabilities(request)[0, 0] == 0
    averaged = request_of(known, shares=torch.tensor([0.7, 0.1, 0.1, 0.1]))
    torch.testing.assert_close(SaliencyGuidedMask(0.4).probabilities(averaged)[0], torch.tensor([0, 0.4, 0.4, 0.4]))


@pytest.mark.parametrize("kind", ["organ_drop", "saliency"])
@pytest.mark.parametrize("unit", ["organ", "tokens"])
def test_of_a_single_organ_random_tokens_are_hidden(kind, unit):
    known = torch.zeros(500, 12, dtype=torch.bool)
    known[:, :6] = True
    request, draws = request_of(known), draws_of(500)
    hidden = OrganMaskConfig(kind, 0.5, unit=unit).provider(1.0)(request, draws)
    assert torch.equal(hidden, RandomTokenMask(0.5)(request, draws))
    single = torch.zeros(1, 12, dtype=torch.bool)
    single[:, 11] = True
    assert not OrganMaskConfig(kind, 0.5, unit=unit).provider(1.0)(request_of(single), draws_of(1)).any()


def test_attmask_hides_the_most_attended_tokens_and_a_hint_shows_some_of_them():
    request = request_of(everything(200))
    hidden = AttentionMask(0.25)(request, draws_of(200))
    lowest = request.attention.masked_fill(~hidden, 9).amin(dim=1)
    highest = request.attention.masked_fill(hidden, 0).amax(dim=1)
    assert (lowest >= highest).all()
    shown = AttentionMask(0.25, hint=0.5)(request, draws_of(200))
    assert not (shown & ~hidden).any()
    assert 0.35 < shown.sum() / hidden.sum() < 0.65


def test_tokens_of_every_organ_are_hidden_by_its_probability_the_most_attended_first():
    request = request_of(everything(1))
    mask = SaliencyGuidedMask(0.4, temperature=1e6, unit="tokens")
    hidden = mask(request, draws_of(1))
    counts = request.by_organ(hidden.float())[0]
    assert counts.tolist() == [3, 2, 1, 1] or counts.sum() == 6  # the least attended token of all stays
    first = request.attention[0, :6]
    assert hidden[0, :6][first.argmax()]


def test_unguided_providers_need_no_attention():
    request = OrganRequest(ORGAN, 4, everything(2))
    for provider in (NoMask(), RandomTokenMask(0.3), OrganDropMask(0.3)):
        provider(request, draws_of(2))
    with pytest.raises(ValueError, match="needs the teacher's attention"):
        AttentionMask(0.3)(request, draws_of(2))


def test_entropy_is_one_for_equal_shares_and_zero_for_one_organ():
    present = torch.tensor([[True, True, True, True], [True, True, False, False], [True, True, True, True]])
    shares = torch.tensor([[0.25] * 4, [0.5, 0.5, 0, 0], [1.0, 0, 0, 0]])
    torch.testing.assert_close(share_entropy(shares, present), torch.tensor([1.0, 1.0, 0.0]))
    assert share_entropy(torch.tensor([[1.0, 0]]), torch.tensor([[True, False]])).isnan().all()


@pytest.mark.parametrize(
    "change", [{"ratio": 0.0}, {"temperature": 0.0}, {"least": 0.5}, {"share": 2.0}, {"average": 1.0},
               {"guide_from": 0.5, "guide_to": 0.2}, {"kind": "attmask", "hint": 1.0}],
)  # fmt: skip
def test_impossible_settings_are_refused(change):
    with pytest.raises(ValueError, match=r"ratio|temperature|least|share|guide|hint"):
        OrganMaskConfig(**change)
