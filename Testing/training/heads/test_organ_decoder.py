import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from training.heads.organ_decoder import OrganDecoder, organ_errors, standardised


def draws(seed, *shape):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


@settings(deadline=None)
@given(st.integers(0, 10**6), st.floats(0.01, 100), st.floats(-100, 100))
def test_what_is_the_same_in_all_bodies_and_its_size_count_for_nothing(seed, scale, shift):
    content, known = (
        draws(seed, 12, 3, 4).double(),
        torch.rand(12, 3, generator=torch.Generator().manual_seed(seed)) < 0.7,
    )
    known[:2] = True
    made = standardised(content, known)
    again = standardised(content * scale + shift, known)
    torch.testing.assert_close(made, again, atol=1e-6, rtol=1e-6)
    count = known.sum(dim=0)[:, None]
    torch.testing.assert_close(made.sum(dim=0) / count, torch.zeros(3, 4).double(), atol=1e-9, rtol=0)
    torch.testing.assert_close((made.square().sum(dim=0) / count).mean(dim=1), torch.ones(3).double())


def test_values_in_the_place_of_missing_tokens_count_for_nothing():
    content, known = draws(0, 6, 2, 4), torch.ones(6, 2, dtype=torch.bool)
    known[3:, 1] = False
    junk = torch.where(known[..., None], content, 1e6)
    assert torch.equal(standardised(content, known), standardised(junk, known))
    assert not standardised(junk, known)[3:, 1].any()


def test_a_token_that_no_body_or_one_body_has_is_zero():
    known = torch.zeros(4, 2, dtype=torch.bool)
    known[0, 0] = True
    assert not standardised(draws(0, 4, 2, 3), known).any()


def test_every_organ_counts_alike_however_many_tokens_it_has():
    organ_of_token = torch.tensor([0, 1, 1, 1, 1])
    wanted, said = torch.zeros(1, 5, 2), torch.zeros(1, 5, 2)
    said[:, 0] = 3.0  # smooth L1: 2.5
    known = torch.ones(1, 5, dtype=torch.bool)
    assert organ_errors(said, wanted, known, organ_of_token, 2) == pytest.approx(1.25)
    known[:, 0] = False
    assert organ_errors(said, wanted, known, organ_of_token, 2) == 0


def test_all_that_an_answer_draws_on_is_the_body_and_the_place():
    decoder = OrganDecoder(8)
    body, places = draws(0, 3, 8), draws(1, 5, 8)
    said = decoder(body, places)
    assert said.shape == (3, 5, 8)
    torch.testing.assert_close(decoder(body[1:2], places[2:3])[0, 0], said[1, 2])
