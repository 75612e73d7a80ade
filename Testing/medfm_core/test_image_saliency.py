"""What an image's vector depends on: over several tiles, back on the image's own grid, and as a picture."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from fake_slices import oval
from PIL import Image
from spad_cards import encoder_card

from medfm_core.geometry import Affine
from medfm_core.image_embedding import encode_slices, load_image_encoder, tile_slices
from medfm_core.image_saliency import ImageSaliency, explain_image, saliency_on_image, top_share
from medfm_core.image_saliency_picture import draw_image_saliency
from medfm_core.models.spad_inputs import vit_input
from medfm_core.progress import CancelledError, Silent
from medfm_core.saliency.integrated_gradients import blurred_by_patches
from medfm_core.slices import to_slices
from medfm_core.volume import Volume
from medfm_core.whitening import Whitening, whitened


@pytest.fixture(scope="module", params=[False, True], ids=["plain", "whitened"])
def encoder(request, tmp_path_factory):
    encoder = load_image_encoder(str(encoder_card(tmp_path_factory.mktemp("res"))))
    if not request.param:
        return encoder
    width = encoder.net.config.width
    centre = torch.nn.functional.normalize(torch.linspace(-1, 1, width), dim=0) / 2
    return replace(encoder, whitening=Whitening(centre, torch.diag(torch.linspace(0.5, 2, width))))


@pytest.fixture(scope="module")
def scan():
    """A thick CT on a turned grid, large enough for several tiles."""
    turn = np.eye(4)
    turn[:2, :2] = [[np.cos(0.2), -np.sin(0.2)], [np.sin(0.2), np.cos(0.2)]]
    affine = turn @ np.diag([3.0, -3.0, 7.0, 1.0])
    affine[:3, 3] = (-40, 12.5, 300)
    return Volume(oval((44, 30, 10), "CT"), Affine(affine), modality="CT")


@pytest.fixture(scope="module")
def explained(encoder, scan):
    slices = to_slices(scan, encoder.card.input)
    encoded = encode_slices(slices, encoder)
    return slices, encoded, explain_image(slices, encoder, encoded)


def blurred_cosine(encoder, slices, encoded):
    """Cosine of the image's vector with that of the blurred image, encoded anew."""
    tiles, image = tile_slices(slices, encoder, encoded.degree)
    blurred, tokens = blurred_by_patches(image, tiles.patch, 4.0), torch.empty(*tiles.grid, encoder.net.config.width)
    for place, voxels in tiles.boxes():
        tokens[place] = encoder.net(vit_input(blurred[(..., *voxels)], 1), encoded.degree)[0, 1:].unflatten(
            0, tiles.tile
        )
    return float(whitened(tokens[encoded.seen].mean(dim=0), encoder.whitening) @ encoded.vector)


def test_what_is_at_stake_is_what_blurring_takes_away(encoder, explained):
    slices, encoded, found = explained
    assert np.prod(tile_slices(slices, encoder, encoded.degree)[0].counts) > 1
    bent = 0.1 if encoder.whitening is None else 0.25  # what eight steps miss of a way that a whitening bends
    assert found.at_stake == pytest.approx(1 - blurred_cosine(encoder, slices, encoded), rel=bent, abs=0.002)
    assert found.at_stake > 0.005
    assert 0.1 <= found.top_tenth <= 1


def test_the_map_lies_on_the_slices_and_names_what_is_there(encoder, explained):
    slices, encoded, found = explained
    assert found.heat.shape == slices.shape
    assert np.array_equal(found.heat.affine.matrix, slices.affine.matrix)
    assert 0 <= found.heat.voxels.min() < found.heat.voxels.max() <= 1
    again = explain_image(slices, encoder, encoded)
    assert np.array_equal(again.heat.voxels, found.heat.voxels)
    other = explain_image(slices, encoder, encoded, torch.nn.functional.normalize(torch.arange(16.0) - 7, dim=0))
    assert not np.array_equal(other.heat.voxels, found.heat.voxels)


def test_a_bright_place_comes_back_to_the_same_millimetres(encoder, scan):
    slices = to_slices(scan, encoder.card.input)
    place = (slices.shape[0] // 2, slices.shape[1] // 3, slices.shape[2] // 2)
    there = np.stack(np.meshgrid(*(np.arange(n) for n in slices.shape), indexing="ij"), axis=-1)
    world = slices.affine.to_world(there.astype(float))
    centre = slices.affine.to_world(np.array(place, float))
    heat = np.exp(-(np.linalg.norm(world - centre, axis=-1) ** 2) / (2 * 9.0**2)).astype(np.float32)
    placed = saliency_on_image(ImageSaliency(slices, slices.with_voxels(heat), 0.5, 0.5), scan)
    assert placed.shape == scan.shape
    assert np.array_equal(placed.affine.matrix, scan.affine.matrix)
    peak = np.array(np.unravel_index(int(placed.voxels.argmax()), placed.shape), float)
    assert np.linalg.norm(scan.affine.to_world(peak) - centre) < 5


def test_a_2d_image_has_one_plane(encoder, tmp_path):
    flat = Volume(oval((40, 50, 1), "MR"), Affine(np.diag([1.5, 1.5, 1.0, 1.0])), modality="DX")
    slices = to_slices(flat, encoder.card.input)
    found = explain_image(slices, encoder, encode_slices(slices, encoder))
    assert saliency_on_image(found, flat).shape == flat.shape
    draw_image_saliency(found, tmp_path / "flat.png")
    with Image.open(tmp_path / "flat.png") as picture:
        assert picture.width > picture.height


def test_an_even_image_has_nothing_to_show(encoder, tmp_path):
    even = Volume(np.full((24, 24, 6), 7, np.int16), Affine(np.diag([2.0, 2.0, 4.0, 1.0])), modality="MR")
    slices = to_slices(even, encoder.card.input)
    found = explain_image(slices, encoder, encode_slices(slices, encoder))
    assert found.at_stake == pytest.approx(0, abs=1e-3)
    draw_image_saliency(found, tmp_path / "even.png")
    assert np.isfinite(saliency_on_image(found, even).voxels).all()


def test_it_can_be_cancelled(encoder, explained):
    slices, encoded, _ = explained
    with pytest.raises(CancelledError):
        explain_image(slices, encoder, encoded, progress=Silent(lambda: True))


def test_the_share_of_the_top_tenth():
    assert top_share(torch.ones(4, 5, 5)) == pytest.approx(0.1)
    assert top_share(torch.zeros(4, 5, 5)) == 0
    one = torch.zeros(100)
    one[3] = 2.0
    assert top_share(one) == 1
