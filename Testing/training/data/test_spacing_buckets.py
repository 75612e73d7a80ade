"""Batches of one degree of anisotropy, drawn without favouring any volume."""

import numpy as np
import pytest
import torch
import yaml
from fake_slices import INPUT, prepare_images
from hypothesis import given, settings
from hypothesis import strategies as st

from medfm_core.card_inputs import InputSpec
from medfm_core.errors import InputError
from medfm_core.layers.anisotropy import degree_of_anisotropy
from medfm_core.strict import from_dict
from training.data.slice_thickness import Thickening, slices_needed, thicken
from training.data.spacing_buckets import SpacingBuckets, SpacingBucketsConfig
from training.engine.draw import DrawKey
from training.engine.order import item_at

SPEC = from_dict(InputSpec, yaml.safe_load(INPUT), "the input")


@pytest.fixture(scope="module")
def cohorts(tmp_path_factory):
    """Three images with the degrees 0, 1 and 2, and a cohort of two 2D images."""
    folder = tmp_path_factory.mktemp("slices")
    volumes = prepare_images(folder / "volumes", names=("thin", "thick", "head"))
    flat = prepare_images(folder / "flat", names=("flat",), copies=2)
    return [volumes | {"weight": 3.0}, flat | {"weight": 1.0}]


def source_of(cohorts, batch_size=4, text=INPUT, **more):
    plain = {"cohorts": cohorts, "patch": 4, "tokens": [2, 3, 3]} | more
    config = from_dict(SpacingBucketsConfig, {**plain, "input": yaml.safe_load(text)}, "the data")
    source = SpacingBuckets(config)
    source.set_batch_size(batch_size)
    return source


def same(one, other):
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


def test_slices_are_stored_first_and_as_thick_as_they_are(cohorts):
    source = source_of(cohorts)
    spacings = [source.volume(item).spacing for item in range(5)]
    assert spacings[:3] == [(4.0, 4.0, 4.0), (10.0, 4.0, 4.0), (9.0, 2.0, 2.0)]
    assert source.volume(3).shape[0] == 1
    own = source_of(cohorts, thickening={"share": 0.0, "single": 0.0})
    assert [int(np.argmax(chances)) for chances in own.chances] == [0, 1, 2, 5, 5]


def test_every_batch_is_of_one_degree_and_of_whole_tokens(cohorts):
    source, seen = source_of(cohorts), set()
    for step in range(25):
        keys = [DrawKey(1, step * 4 + place) for place in range(4)]
        samples = [source.sample(item_at(source, key), key) for key in keys]
        degree = {int(sample["degree"]) for sample in samples}
        assert len(degree) == 1
        depth = 1 if degree == {5} else 2 * max(4 >> min(degree), 1)
        assert {tuple(sample["image"].shape) for sample in samples} == {(1, depth, 12, 12)}
        assert all(sample["image"].min() >= 0 and sample["image"].max() <= 1 for sample in samples)
        seen |= degree
    assert {0, 1, 2, 5} <= seen


@pytest.mark.parametrize("thickening", [{}, {"share": 0.75, "most": 32.0, "fewest": 1, "single": 0.15}])
def test_volumes_are_drawn_as_often_as_is_said(cohorts, thickening):
    source = source_of(cohorts, thickening=thickening)
    assert source.chances.sum(axis=1) == pytest.approx([0.25, 0.25, 0.25, 0.125, 0.125])
    steps = 3000
    counts, degrees = np.zeros(5), np.zeros(6)
    for step in range(steps):
        key = DrawKey(7, 4 * step + step % 4)
        counts[source.item_at(key)] += 1
        degrees[source.degree_at(key)] += 1
    for found, chances in ((counts, source.chances.sum(1)), (degrees, source.chances.sum(0))):
        deviation = np.sqrt(np.maximum(chances * (1 - chances), 1e-12) * steps)
        assert (np.abs(found - steps * chances) < 4.5 * deviation + 1e-6).all()


def test_thickening_follows_its_own_chances():
    way, spacing = Thickening(share=0.6, most=8.0, single=0.2), (3.0, 1.1, 1.3)
    chances = way.chances(spacing, 100)
    assert chances.sum() == pytest.approx(1)
    rng = np.random.default_rng(0)
    # Drawn the plain way round, degrees come out as often as the chances say.
    factors = np.where(rng.random(40000) < 0.6, 2 ** rng.uniform(0, 3, 40000), 1.0)
    degree = np.clip(np.floor(np.log2(3.0 / 1.1 * factors)), 0, 5).astype(int)
    degree[rng.random(40000) < 0.2] = 5
    assert np.bincount(degree, minlength=6) / 40000 == pytest.approx(chances, abs=0.01)
    assert way.chances((1e8, 1.0, 1.0), 1).tolist() == [0, 0, 0, 0, 0, 1]
    assert way.draw((1e8, 1.0, 1.0), 1, 5, rng) is None


def test_cubic_voxels_reach_every_degree_alike():
    chances = Thickening(share=0.75, most=32.0, single=0.15).chances((1.5, 1.5, 1.5), 400)
    assert chances == pytest.approx([0.85 * (0.25 + 0.15), *[0.85 * 0.15] * 4, 0.15], abs=1e-4)


@given(
    st.floats(0.2, 40.0), st.floats(0.3, 3.0), st.integers(1, 400), st.floats(1.0, 64.0), st.floats(0.0, 1.0),
    st.integers(0, 2**31),
)  # fmt: skip
@settings(max_examples=150, deadline=None)
def test_every_degree_with_a_chance_is_drawn_as_such(depth, pixel, slices, most, share, seed):
    way, spacing = Thickening(share=share, most=most, single=0.1), (depth, pixel, 1.2 * pixel)
    chances, rng = way.chances(spacing, slices), np.random.default_rng(seed)
    assert chances.sum() == pytest.approx(1)
    assert chances.min() >= 0
    for degree in np.flatnonzero(chances > 1e-4):
        factor = way.draw(spacing, slices, int(degree), rng)
        if factor is None:
            assert degree == 5
            continue
        assert degree_of_anisotropy((depth * factor, *spacing[1:])) == degree
        assert 1 <= factor <= max(most, 1) * (1 + 1e-9)
        assert factor == 1 or slices / factor >= way.fewest * (1 - 1e-9)


@given(st.integers(1, 12), st.floats(1.0, 9.0), st.integers(0, 2**31))
@settings(max_examples=80, deadline=None)
def test_thick_slices_hold_what_the_thin_ones_held(count, factor, seed):
    slices = np.random.default_rng(seed).random((slices_needed(count, factor), 3, 2)).astype(np.float32)
    thick = thicken(slices, count, factor)
    length = count * factor  # slices of the volume that the thick ones span, the last of them perhaps in part
    part = np.clip(length - np.arange(len(slices)), 0, 1)[:, None, None]
    assert thick.shape == (count, 3, 2)
    assert thick.sum(axis=0) * factor == pytest.approx((slices * part).sum(axis=0), rel=1e-4)
    assert thick.min() >= slices.min() - 1e-6
    assert thick.max() <= slices.max() + 1e-6


def test_a_body_keeps_its_volume_and_place_however_thick_its_slices(cohorts):
    everything = INPUT.replace("hu: [-1000, 1000]", "hu: [-2000, 2000]")  # nothing is clipped
    source = source_of(cohorts, text=everything, tokens=[12, 12, 12])  # crops that hold the whole volume
    volume = source.volume(0)
    found = {}
    for degree, factor in ((0, 1.0), (0, 1.7), (1, 2.0), (1, 3.3), (2, 4.0), (2, 6.5), (3, 9.0), (4, 16.0)):
        sample = source._draw(volume, degree, factor, None)
        depth, rows, columns = sample["spacing_mm"].tolist()
        assert (depth, rows, columns) == pytest.approx((4.0 * factor, 4.0, 4.0))
        assert degree_of_anisotropy((depth, rows, columns)) == degree
        image = sample["image"][0].double()
        assert image.shape[0] == 12 * max(4 >> degree, 1)
        profile = (image - image.min()).sum(dim=(1, 2)) * depth * rows * columns  # what is added around is the least
        centre = float((profile * (torch.arange(len(profile)) + 0.5)).sum() / profile.sum() * depth)
        found[degree, factor] = (float(profile.sum()), centre - len(profile) * depth / 2)
    whole, _ = found[0, 1.0]
    for (_, factor), (mass, off) in found.items():
        assert mass == pytest.approx(whole, rel=1e-4)
        assert abs(off) <= 4.0 * factor  # the middle of the volume stays in the middle


def test_thick_slices_are_the_mean_of_thin_ones():
    slices = np.arange(12, dtype=np.float32)[:, None, None] * np.ones((1, 2, 2), np.float32)
    assert thicken(slices, 3, 4.0)[:, 0, 0].tolist() == [1.5, 5.5, 9.5]
    assert slices_needed(3, 2.5) == 8
    assert thicken(slices[:8], 3, 2.5)[:, 0, 0] == pytest.approx([0.8, 3.2, 5.8], abs=0.01)
    assert np.array_equal(thicken(slices, 12, 1.0), slices)


def test_all_degrees_are_drawn_where_slices_may_become_thick(cohorts):
    source = source_of(cohorts, thickening={"share": 0.75, "most": 32.0, "fewest": 1, "single": 0.15})
    assert source.chances[0] == pytest.approx(np.array([0.34, *[0.85 * 0.75 / np.log2(30)] * 4, 0.15]) * 0.25, rel=0.5)
    assert (source.chances.sum(axis=0) > 0.03).all()
    seen = set()
    for place in range(0, 240, 4):
        key = DrawKey(5, place)
        sample = source.sample(source.item_at(key), key)
        degree = int(sample["degree"])
        assert degree == source.degree_at(key)
        assert degree_of_anisotropy(sample["spacing_mm"].tolist()) == degree
        seen.add(degree)
    assert seen == set(range(6))


def test_samples_are_pure_functions(cohorts):
    one, other = source_of(cohorts, augment="flip"), source_of(cohorts, augment="flip")
    keys = [DrawKey(3, place) for place in range(24)]
    samples = [one.sample(one.item_at(key), key) for key in keys]
    for key, sample in reversed(list(zip(keys, samples, strict=True))):
        assert same(sample, other.sample(other.item_at(key), key))


def test_a_volume_that_cannot_have_the_degree_comes_as_it_is(cohorts):
    source = source_of(cohorts, thickening={"share": 0.0, "single": 0.0})
    degrees = {int(source.sample(3, DrawKey(0, place))["degree"]) for place in range(12)}
    assert degrees == {5}


def test_watched_samples_make_a_batch(cohorts):
    samples = source_of(cohorts).monitor_samples(6, 0)
    assert len({tuple(sample["image"].shape) for sample in samples}) == 1
    assert len({int(sample["degree"]) for sample in samples}) == 1
    assert {"subject", "image", "degree", "spacing_mm"} <= set(samples[0])


def test_values_follow_the_rule_of_their_modality(cohorts):
    source = source_of(cohorts, thickening={"share": 0.0, "single": 0.0})
    assert SPEC.intensity_of("CT").hu == (-1000, 1000)
    centre = source._draw(source.volume(0), 0, 1.0, None)["image"]
    assert float(centre.median()) == pytest.approx(1040 / 2000, abs=0.02)


def test_bad_settings_are_sentences(cohorts):
    with pytest.raises(InputError, match=r"no volume of .* in the split"):
        source_of(cohorts, split="test")
    with pytest.raises(InputError, match="power of two"):
        source_of(cohorts, patch=6)
    with pytest.raises(InputError, match="weight"):
        source_of([{"manifest": "m", "store": "s", "weight": 0.0}])
