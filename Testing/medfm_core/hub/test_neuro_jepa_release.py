"""Neuro-JEPA's gated release, from the hub to the vector of a scan, at a small size."""

from __future__ import annotations

import json

import numpy as np
import published_checkpoints as published
import pytest
from hub_server import Repository
from scipy import ndimage

from medfm_core.brain_encoding import encode_brain, load_brain_encoder
from medfm_core.card_library import load_card
from medfm_core.cli import main
from medfm_core.errors import WeightsError
from medfm_core.geometry import Affine
from medfm_core.settings import read_settings
from medfm_core.volume import Volume

CARD = read_settings().resources / "cards" / "neuro-jepa.v1.json"
SMALL = {
    "image_size": [24, 24, 12], "width": 24, "depth": 2, "heads": 2, "mlp_width": 48, "expert_blocks": [1],
    "mixture": {"experts": 4, "active": 2, "expert_width": 8, "shared_width": 16, "route_scale": 4.0},
}  # fmt: skip


def test_gated_fetched_loaded_run(made_up, write_card, monkeypatch, capsys):
    data = json.loads(CARD.read_text())
    data["architecture"] |= SMALL
    data["input"]["size"] = [26, 26, 14]
    card = write_card(data)
    repository = Repository(
        published.neuro_jepa_files(card), {"config.json"}, True, {"hf_good"}, str(card.source.revision)
    )
    made_up.hub.repositories[str(card.source.repo)] = repository
    with pytest.raises(WeightsError, match="run medfm models pull neuro-jepa"):
        load_brain_encoder(card, "cpu")
    assert main(["models", "pull", card.id]) == 2  # nobody has accepted the terms
    shown = capsys.readouterr().err
    assert "CC-BY-NC-ND-4.0" in shown
    assert "Non-clinical academic research only" in shown
    assert main(["models", "pull", card.id, "--accept-licence"]) == 3
    assert "ask for access on" in capsys.readouterr().err
    monkeypatch.setenv("HF_TOKEN", "hf_good")
    assert main(["models", "pull", card.id]) == 0
    encoder = load_brain_encoder(card, "cpu")
    drawn = np.random.default_rng(0)
    head = np.zeros((60, 70, 50), np.float32)
    head[10:50, 10:60, 10:40] = ndimage.gaussian_filter(drawn.normal(500, 200, (40, 50, 30)), 2)
    found = encode_brain(Volume(head, Affine(np.diag([1.0, 1.0, 1.2, 1.0])), modality="MR"), card, encoder)
    assert (found.tokens.shape, found.grid, found.vector.shape) == ((4, 24), (2, 2, 1), (24,))
    assert found.box.shape == (24, 24, 12)
    step = found.box.affine.matrix[:3, :3]
    assert [int(np.abs(column).argmax()) for column in step.T] == [0, 1, 2]  # D, H, W: Right, Anterior, Superior
    assert (np.diag(step) > 0).all()


def test_the_published_size(monkeypatch):
    """574 tensors and 122,054,544 parameters, as the owner's own notebook counts them."""
    import math

    from medfm_core.models.neuro_jepa import NeuroJepaConfig
    from medfm_core.models.neuro_jepa_names import published_shapes
    from medfm_core.strict import from_dict

    card = load_card(CARD)
    shapes = published_shapes(from_dict(NeuroJepaConfig, dict(card.architecture.options), "it"))
    parameters = {name: s for name, s in shapes.items() if not name.endswith(("counts", "mlp.gate.bias"))}
    assert len(shapes) == 574
    assert sum(math.prod(shape) for shape in parameters.values()) == 122_054_544
