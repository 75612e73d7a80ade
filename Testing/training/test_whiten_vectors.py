"""A whitening for the vectors of a card: what it takes out, what it changes, and what it leaves."""

import json

import numpy as np
import pytest
import torch
from fake_slices import make_images, oval
from spad_cards import encoder_card

from medfm_core.embedding import StudyEmbedding
from medfm_core.errors import WeightsError
from medfm_core.geometry import Affine
from medfm_core.image_embedding import embed_image, load_image_encoder
from medfm_core.volume import Volume
from medfm_core.whitening import Whitening, fit_whitening, whitened
from training.whiten_vectors import add_whitening, directions, main


@pytest.fixture
def card(tmp_path):
    return encoder_card(tmp_path / "res")


def image(seed: int) -> Volume:
    return Volume(oval((44, 30, 12), "CT", seed), Affine(np.diag([3.0, -3.0, 4.0, 1.0])), modality="CT")


def vector(volume: Volume, card) -> tuple[np.ndarray, StudyEmbedding]:
    study, _ = embed_image(volume, load_image_encoder(str(card)))
    return study.organs[0].vector, study


def test_unrelated_images_come_apart_and_the_old_vectors_are_refused(card):
    images = [image(seed) for seed in range(6)]
    before = [vector(one, card) for one in images]
    add_whitening(card, fit_whitening(directions(images[:4], load_image_encoder(str(card)))))
    after = [vector(one, card) for one in images]
    near = [found[4][0] @ found[5][0] for found in (before, after)]
    assert near[0] > 0.9
    assert 1 - near[1] > 10 * (1 - near[0])
    assert all(np.linalg.norm(one) == pytest.approx(1, abs=1e-5) for one, _ in after)
    assert before[0][1].encoder.card == after[0][1].encoder.card
    assert before[0][1].encoder != after[0][1].encoder


def test_a_whitening_is_replaced_and_does_not_depend_on_the_one_before(card):
    images = [image(seed) for seed in range(3)]
    first = directions(images, load_image_encoder(str(card)))
    add_whitening(card, fit_whitening(first))
    assert torch.equal(first, directions(images, load_image_encoder(str(card))))
    add_whitening(card, fit_whitening(first))
    assert [file.get("role") for file in json.loads(card.read_text())["weights"]] == [None, "whitening"]


def test_whitening_finds_small_differences_beside_large_ones():
    """Subjects differ a little in one direction; brightness, which says nothing of them, swings a lot in another."""
    rng = torch.Generator().manual_seed(0)
    common, bright, small = torch.eye(8, dtype=torch.float64)[:3]

    def seen(subjects):
        swing = torch.randn(len(subjects), 1, generator=rng, dtype=torch.float64)
        noise = 0.003 * torch.randn(len(subjects), 8, generator=rng, dtype=torch.float64)
        return torch.nn.functional.normalize(common + 0.3 * swing * bright + subjects * small + noise, dim=1)

    subjects = 0.1 * torch.randn(300, 1, generator=rng, dtype=torch.float64)
    whitening = fit_whitening(seen(subjects))
    one, two = seen(subjects[:100]), seen(subjects[:100])

    def told(made):
        """How well the cosine orders pairs of images as their subjects' difference does."""
        first, second = (torch.stack([whitened(row, made) for row in rows]) for rows in (one, two))
        alike = (first @ second.T).flatten()
        apart = (subjects[:100] - subjects[:100].T).abs().flatten()
        return -float(torch.corrcoef(torch.stack([alike, apart]))[0, 1])

    assert told(None) < 0.3
    assert told(whitening) > told(None) + 0.15


def test_whitened_directions_spread_alike():
    rng = torch.Generator().manual_seed(0)
    uneven = torch.randn(500, 6, generator=rng) * torch.tensor([9, 3, 1, 1, 0.5, 0.3])
    rows = torch.nn.functional.normalize(uneven, dim=1)
    made = fit_whitening(rows, ridge=1e-9)
    spread = torch.cov(((rows - made.centre) @ made.matrix).T)
    assert torch.allclose(spread, torch.eye(6), atol=0.02)
    assert torch.allclose(made.matrix, made.matrix.T, atol=1e-4)


def test_the_command_reads_manifests(tmp_path, card, capsys):
    manifest = make_images(tmp_path / "images", ("thin", "thick"), copies=3)
    assert main(["--card", str(card), "--manifest", str(manifest), "--split", "all"]) == 0
    told = capsys.readouterr()
    assert "whitening by 6 images" in told.out
    encoder = load_image_encoder(str(card))
    assert encoder.whitening.matrix.shape == (encoder.net.config.width,) * 2


def test_what_is_wrong_is_said(tmp_path, card):
    assert main(["--card", str(tmp_path / "none.json"), "--manifest", "m.csv"]) == 2
    assert main(["--card", str(card), "--manifest", "m.csv", "--most", "1"]) == 2
    add_whitening(card, Whitening(torch.zeros(3), torch.eye(3)))
    with pytest.raises(WeightsError, match="no whitening of 16 numbers"):
        load_image_encoder(str(card))
