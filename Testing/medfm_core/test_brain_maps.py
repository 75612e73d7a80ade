"""Maps of a brain encoder on the scan's own grid."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from brain_toys import CONFIG, INPUT, brain_card, toy_brain, toy_encoder
from hypothesis import given, settings
from hypothesis import strategies as st

from medfm_core.brain_encoding import BlockRouting, EncodedBrain, choose_brain_card, encode_brain, load_brain_encoder
from medfm_core.brain_maps import (
    expert_colours,
    expert_shares,
    heat_on_scan,
    patch_lattice,
    routing_on_scan,
    tissue_patches,
)
from medfm_core.card_library import load_card
from medfm_core.errors import GeometryError
from medfm_core.geometry import Affine
from medfm_core.volume import Volume, reorient


@pytest.fixture(scope="module")
def encoded(tmp_path_factory):
    """A toy brain through the card's whole way."""
    card = load_card(brain_card(tmp_path_factory.mktemp("res")))
    return encode_brain(toy_brain(), card, load_brain_encoder(card, "cpu"))


def test_a_card_of_files_loads_and_routes(encoded):
    assert encoded.tokens.shape == (36, CONFIG.width)
    assert [routing.block for routing in encoded.routing] == [1, 3]
    assert all(routing.chosen.shape == (36, 2) for routing in encoded.routing)
    assert np.linalg.norm(encoded.direction) == pytest.approx(1, abs=1e-6)


def test_the_first_expert_weighs_most():
    encoder = toy_encoder()
    volume = torch.rand(1, 1, *CONFIG.image_size)
    how = encoder.routed(volume).routing[1]
    from medfm_core.brain_encoding import _routing

    assert np.array_equal(_routing(1, how).first, how.scores.argmax(dim=1).numpy())
    encoder.blocks[1].mlp.router.balance[0] = 10  # chosen by everyone, whatever its score
    how = encoder.routed(volume).routing[1]
    best = how.weights.max(dim=1).values
    assert torch.equal(how.scores.gather(1, torch.from_numpy(_routing(1, how).first)[:, None])[:, 0] * 4, best)


@settings(max_examples=10, deadline=None)
@given(st.sampled_from(["RAS", "LPS", "PIR", "SAL"]), st.integers(0, 35), st.booleans())
def test_a_patch_is_painted_where_it_was_cut(encoded, codes, patch, is_oblique):
    """Round trip: the voxels that a patch is painted on are those whose places lie in its box."""
    scan = reorient(toy_brain(), codes)
    if is_oblique:
        turn = np.eye(4)
        turn[:2, :2] = [[np.cos(0.2), -np.sin(0.2)], [np.sin(0.2), np.cos(0.2)]]
        scan = Volume(scan.voxels, Affine(turn @ scan.affine.matrix))
    first = np.zeros(36, np.int64)
    first[patch] = 1
    labels = routing_on_scan(encoded, BlockRouting(1, first[:, None], 4), scan)
    assert labels.grid.same_as(scan.grid)
    assert np.array_equal(labels.affine.matrix, scan.affine.matrix)
    where = np.argwhere(labels.voxels == 2)
    assert len(where)
    at = encoded.box.affine.to_voxel(scan.affine.to_world(where))
    corner = np.array(np.unravel_index(patch, encoded.grid)) * 12
    assert (at >= corner - 0.5 - 1e-3).all()
    assert (at <= corner + 11.5 + 1e-3).all()
    box = encoded.box.affine.to_voxel(scan.affine.to_world(np.argwhere(labels.voxels == 0)))
    outside = ((box < -0.5 + 1e-3) | (box > np.array(encoded.box.shape) - 0.5 - 1e-3)).any(axis=1)
    assert outside.all()


def test_heat_is_largest_at_its_patch_and_0_outside_the_box(encoded):
    heat = np.zeros(encoded.grid, np.float32)
    heat[1, 2, 1] = 1
    scan = toy_brain()
    placed = heat_on_scan(encoded, heat, scan)
    assert placed.shape == scan.shape
    peak = np.array(np.unravel_index(int(placed.voxels.argmax()), scan.shape))
    at = encoded.box.affine.to_voxel(scan.affine.to_world(peak))
    assert np.abs(at - (np.array([1, 2, 1]) * 12 + 5.5)).max() < 2
    places = encoded.box.affine.to_voxel(scan.affine.to_world(np.argwhere(placed.voxels > 0)))
    assert places.min() > -0.51
    assert (places.max(axis=0) < np.array(encoded.box.shape) - 0.49).all()


def test_maps_of_another_space_come_back_by_the_map_between_them(encoded):
    to_scan = np.array([[0.9, 0.1, 0, 5], [-0.1, 0.95, 0.05, -8], [0, 0, 1.1, 12], [0, 0, 0, 1.0]])
    moved = toy_brain(to_scan)
    values = np.arange(36)
    there = patch_lattice(encoded, values)
    back = patch_lattice(encoded, values, to_scan)
    points = there.affine.to_world(np.argwhere(there.voxels >= 0))
    assert np.allclose(back.affine.to_voxel(points @ to_scan[:3, :3].T + to_scan[:3, 3]),
                       there.affine.to_voxel(points))  # fmt: skip
    one = routing_on_scan(encoded, encoded.routing[0], toy_brain())
    other = routing_on_scan(encoded, encoded.routing[0], moved, to_scan)
    assert np.mean(one.voxels == other.voxels) > 0.999  # the same voxels, in another place


def test_values_that_do_not_fit():
    box = Volume(np.zeros((36, 48, 36), np.float32), Affine(np.eye(4)))
    with pytest.raises(GeometryError, match="do not fit"):
        patch_lattice(EncodedBrain(np.zeros((36, 4)), box, (3, 4, 3)), np.zeros(5))


def test_shares_of_tissue(encoded):
    tissue = tissue_patches(encoded)
    assert 18 < tissue.sum() < 36
    shares = expert_shares(encoded.routing[0], tissue)
    assert shares.sum() == pytest.approx(1)
    assert not expert_shares(encoded.routing[0], np.zeros(36, bool)).any()
    assert len(set(expert_colours(16))) == 16


def test_which_card_is_taken(tmp_path, monkeypatch):
    path = brain_card(tmp_path)
    assert choose_brain_card(str(path)).id == "toy-brain.v1"
    monkeypatch.setenv("MEDFM_RESOURCES", str(tmp_path))
    data = path.read_text()
    path.write_text(data.replace('"trained_on"', '"default": true, "trained_on"'))
    assert choose_brain_card().id == "toy-brain.v1"
    assert INPUT["modality"] == ["MR"]
