"""Batches of one degree of anisotropy, drawn without favouring any volume."""

import numpy as np
import pytest
import torch
import yaml
from fake_slices import INPUT, prepare_images

from medfm_core.card_inputs import InputSpec
from medfm_core.errors import InputError
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


def source_of(cohorts, batch_size=4, **more):
    plain = {"cohorts": cohorts, "patch": 4, "tokens": [2, 3, 3]} | more
    config = from_dict(SpacingBucketsConfig, {**plain, "input": yaml.safe_load(INPUT)}, "the data")
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


def test_volumes_are_drawn_as_often_as_is_said(cohorts):
    source = source_of(cohorts)
    assert source.chances.sum(axis=1) == pytest.approx([0.25, 0.25, 0.25, 0.125, 0.125])
    steps = 6000
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
    chances = way.chances(spacing)
    assert chances.sum() == pytest.approx(1)
    rng = np.random.default_rng(0)
    # Drawn the plain way round, degrees come out as often as the chances say.
    factors = np.where(rng.random(40000) < 0.6, 2 ** rng.uniform(0, 3, 40000), 1.0)
    degree = np.clip(np.floor(np.log2(3.0 / 1.1 * factors)), 0, 5).astype(int)
    degree[rng.random(40000) < 0.2] = 5
    assert np.bincount(degree, minlength=6) / 40000 == pytest.approx(chances, abs=0.01)
    # Drawn for a degree, thicknesses lead to it.
    for wanted in np.flatnonzero(chances > 0):
        for _ in range(50):
            factor = way.draw(spacing, int(wanted), rng)
            if factor is not None:
                assert np.clip(np.floor(np.log2(3.0 / 1.1 * factor)), 0, 5) == wanted
    assert way.chances((1e8, 1.0, 1.0)).tolist() == [0, 0, 0, 0, 0, 1]
    assert way.draw((1e8, 1.0, 1.0), 5, rng) is None


def test_thick_slices_are_the_mean_of_thin_ones():
    slices = np.arange(12, dtype=np.float32)[:, None, None] * np.ones((1, 2, 2), np.float32)
    assert thicken(slices, 3, 4.0)[:, 0, 0].tolist() == [1.5, 5.5, 9.5]
    assert slices_needed(3, 2.5) == 8
    assert thicken(slices[:8], 3, 2.5)[:, 0, 0] == pytest.approx([0.8, 3.2, 5.8], abs=0.01)
    assert np.array_equal(thicken(slices, 12, 1.0), slices)


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
