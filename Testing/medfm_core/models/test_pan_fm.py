"""Pan-FM: what is missing is not there, whatever is given in its place; what is there counts."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from organ_toys import MODEL, ORGANS, bodies

from medfm_core.errors import InputError
from medfm_core.layers.attention import MultiHeadAttention
from medfm_core.layers.attention_readout import first_token_attention
from medfm_core.models.pan_fm import ORGANS as SEVEN
from medfm_core.models.pan_fm import PanFM, PanFMConfig, sizes
from medfm_core.models.pan_fm_organs import OrganSpec, known_key, value_key
from medfm_core.strict import from_dict

NAMES = MODEL.names


def make(config=MODEL, seed=0):
    torch.manual_seed(seed)
    return PanFM(config).eval()


MODEL_MADE = make()
patterns = st.lists(st.lists(st.booleans(), min_size=3, max_size=3).filter(any), min_size=1, max_size=4)


@settings(max_examples=15, deadline=None)
@given(patterns, st.sampled_from([0.0, 1e6, float("nan"), float("inf")]))
def test_values_in_the_place_of_a_missing_organ_change_nothing(present, junk):
    missing = ~torch.tensor(present)
    batch = bodies(len(present), missing=missing)
    other = {name: value.clone() for name, value in batch.items()}
    for number, name in enumerate(NAMES):
        other[value_key(name)][missing[:, number]] = junk
    one, two = MODEL_MADE(batch, readout=True), MODEL_MADE(other, readout=True)
    assert all(torch.equal(a, b) for a, b in zip(one, two, strict=True))
    assert torch.isfinite(one.body).all()


@settings(max_examples=10, deadline=None)
@given(patterns)
def test_a_study_is_encoded_as_if_it_were_alone_and_its_model_knew_no_other_organ(present):
    batch = bodies(len(present), missing=~torch.tensor(present))
    together = MODEL_MADE.encode(batch)
    for number, there in enumerate(present):
        kept = [name for name, yes in zip(NAMES, there, strict=True) if yes]
        keys = {key for name in kept for key in (value_key(name), known_key(name))}
        alone = MODEL_MADE.encode({key: value[number : number + 1] for key, value in batch.items() if key in keys})
        torch.testing.assert_close(alone[0], together[number], rtol=1e-4, atol=1e-5)
        smaller = PanFM(PanFMConfig(tuple(o for o in ORGANS if o.name in kept), 24, 2, 2, 32)).eval()
        weights = MODEL_MADE.state_dict()
        weights["organ_types"] = weights["organ_types"][[NAMES.index(name) for name in kept]]
        smaller.load_state_dict({name: weights[name] for name in smaller.state_dict()})
        own = smaller.encode({key: value[number : number + 1] for key, value in batch.items()})
        torch.testing.assert_close(own[0], together[number], rtol=1e-4, atol=1e-5)


def test_every_organ_that_is_there_counts_and_gets_gradient():
    model, batch = make().train(), bodies(2)
    model.encode(batch).square().sum().backward()
    unused = {name for name, p in model.named_parameters() if p.grad is None or not p.grad.abs().sum()}
    assert unused <= {"mask_token"}
    before = model.eval().encode(batch)
    for name in NAMES:
        changed = {**batch, value_key(name): batch[value_key(name)] + 1}
        assert not torch.allclose(model.encode(changed), before, atol=1e-4)


def test_single_measurements_may_be_missing():
    batch = bodies(2)
    batch[known_key("heart")][0, 1] = False
    batch[value_key("heart")][0, 1] = float("nan")
    features = MODEL_MADE(batch)
    assert torch.isfinite(features.body).all()
    assert features.tokens[0, 3].abs().sum() == 0
    assert features.tokens[1, 3].abs().sum() > 0


def test_no_organ_at_all_is_refused_with_a_sentence():
    nothing = torch.tensor([[False] * 3, [True] * 3])
    with pytest.raises(InputError, match="1 of 2 studies show none of the model's organs"):
        MODEL_MADE.encode(bodies(2, missing=nothing))
    with pytest.raises(InputError, match="none of the model's organs; give at least one of brain, heart, liver"):
        MODEL_MADE.encode({})


def test_an_organ_of_another_shape_is_refused():
    batch = bodies(1)
    batch[value_key("liver")] = torch.zeros(1, 4, 6)
    with pytest.raises(InputError, match="the organ liver comes in the shape"):
        MODEL_MADE.encode(batch)


def test_hidden_tokens_are_replaced_or_left_out():
    batch = bodies(2)
    tokens = MODEL_MADE.embed(batch)
    hidden = torch.zeros_like(tokens.known)
    hidden[:, 5:] = True  # the liver
    without = MODEL_MADE({key: value for key, value in batch.items() if not key.endswith("liver")})
    dropped, masked = MODEL_MADE.run(tokens, hidden, drop=True), MODEL_MADE.run(tokens, hidden)
    torch.testing.assert_close(dropped.body, without.body)
    assert not torch.allclose(masked.body, without.body, atol=1e-4)
    changed = MODEL_MADE.embed({**batch, value_key("liver"): batch[value_key("liver")] * 2})
    assert torch.equal(MODEL_MADE.run(changed, hidden).body, masked.body)
    assert masked.tokens[:, 5:].abs().sum() > 0


def test_attention_is_that_of_the_last_block_and_is_zero_for_what_is_missing():
    missing = torch.tensor([[False, True, False], [False, False, False]])
    batch = bodies(2, missing=missing)
    features = MODEL_MADE(batch, readout=True)
    known = MODEL_MADE.embed(batch).known
    assert (features.attention[~known] == 0).all()
    assert (features.attention[known] > 0).all()
    assert (features.attention.sum(dim=1) < 1).all()  # the rest is the body token's own
    torch.testing.assert_close(MODEL_MADE(batch).body, features.body)


def test_the_readout_is_the_first_row_of_the_attention():
    torch.manual_seed(0)
    layer = MultiHeadAttention(12, 3, qkv_bias=True)
    tokens, seen = torch.randn(2, 5, 12), torch.tensor([[True] * 5, [True, True, False, True, False]])
    query, key, _ = layer.qkv(tokens).unflatten(-1, (3, 3, 4)).permute(2, 0, 3, 1, 4)
    scores = (query @ key.mT / 2).masked_fill(~seen[:, None, None], float("-inf")).softmax(-1)
    torch.testing.assert_close(first_token_attention(layer, tokens, seen), scores[:, :, 0])


def test_checkpointing_keeps_the_gradients():
    model, batch, found = make().train(), bodies(2), []
    for on in (False, True):
        model.set_activation_checkpointing(on)
        model.zero_grad()
        model.encode(batch).square().sum().backward()
        found.append([p.grad.clone() for p in model.parameters() if p.grad is not None])
    assert all(torch.equal(one, other) for one, other in zip(*found, strict=True))


def test_the_sizes_have_the_seven_organs():
    for size, values in sizes().items():
        if size == "ct":  # over an encoder that knows neither brain nor fat
            continue
        config = from_dict(PanFMConfig, values, size)
        assert config.names == SEVEN
        with torch.device("meta"):
            count = sum(p.numel() for p in PanFM(config).parameters())
        assert 85e6 < count < 130e6 if size == "base" else count < 2e5
    assert set(sizes()) == {"tiny", "images", "base", "ct"}
    assert PanFMConfig().names == SEVEN


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda: PanFMConfig(()), "at least one organ"),
        (lambda: PanFMConfig((ORGANS[1], ORGANS[1])), "none twice"),
        (lambda: PanFMConfig(width=50), "multiple of heads"),
        (lambda: OrganSpec("heart", "table"), "needs fields"),
        (lambda: OrganSpec("liver", "vectors", count=4), "count and values"),
        (lambda: OrganSpec("brain", "volume", image_size=(5, 4, 4), patch_size=(4, 4, 4)), "multiple of its patch"),
        (lambda: OrganSpec("a.b", "vectors", count=1, values=1), "without"),
    ],
)
def test_impossible_architectures_are_refused(change, said):
    with pytest.raises(ValueError, match=said):
        change()
