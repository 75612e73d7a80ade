"""Random weights in the layout in which published segmenters come, and cards and a hub that serve them."""

from __future__ import annotations

import hashlib
import io
import json
from collections import OrderedDict
from dataclasses import replace
from pathlib import Path

import torch
from hub_server import Hub, Repository
from torch import nn

from medfm_core.card_library import load_card
from medfm_core.cards import ModelCard
from medfm_core.strict import to_dict

ROOT = Path(__file__).resolve().parents[1]
CARDS = ROOT / "Resources" / "cards"


def published_network(card: ModelCard) -> nn.Module:
    """The whole network as its owner publishes it, with random weights made in a second even for gigabytes."""
    from monai.networks.nets.segresnet import SegResNet
    from monai.networks.nets.vista3d import vista3d132

    options = card.architecture.options
    with torch.device("meta"):
        if card.architecture.name == "monai_segresnet":
            net = SegResNet(
                spatial_dims=3, in_channels=1, out_channels=options["out_channels"], dropout_prob=0.2,
                init_filters=options["init_filters"], blocks_down=options["blocks_down"],
                blocks_up=options["blocks_up"],
            )  # fmt: skip
        else:
            net = vista3d132(encoder_embed_dim=options["encoder_embed_dim"], in_channels=options["in_channels"])
    noise = torch.randn(100_003, generator=torch.Generator().manual_seed(5))
    state = {name: _random(value.shape, noise) for name, value in net.state_dict().items()}
    net.load_state_dict(state, assign=True)
    return net.eval()


def _random(shape: torch.Size, noise: torch.Tensor) -> torch.Tensor:
    """Weights of the usual size: norms near 1, biases small, kernels by their fan-in."""
    count = shape.numel()
    values = noise.repeat(-(-count // len(noise)))[:count].reshape(shape)
    return values / (shape[1:].numel() / 2) ** 0.5 if len(shape) > 1 else 1 + values / 4


def checkpoint(net: nn.Module, card: ModelCard) -> bytes:
    """The published file: a state dict and nothing around it.

    The whole-body bundle's tensors carry attributes, which pickles name `_rebuild_from_type_v2`; VISTA3D's do not.
    """
    state = OrderedDict((name, value.detach()) for name, value in net.state_dict().items())
    if card.weights[0].published.endswith(".safetensors"):
        from safetensors.torch import save

        return save({f"network.{name}": value for name, value in state.items()})
    if card.architecture.name == "monai_segresnet":
        for value in state.values():
            value.from_training = True
    stream = io.BytesIO()
    torch.save(state, stream)
    return stream.getvalue()


def serving(hub: Hub, name: str, folder: Path, content: bytes, **changes: object) -> ModelCard:
    """Serve a file as a shipped card's, and write that card with the file's own hash into a Resources folder.

    Args:
        hub: the server.
        name: id of a card of `Resources/cards`.
        folder: the Resources folder.
        content: the published file.
        changes: entries of the card to replace.
    """
    card = load_card(name, CARDS)
    hub.repositories[card.source.repo] = Repository({card.weights[0].published: content}, commit=card.source.revision)
    digest = hashlib.sha256(content).hexdigest()
    file = replace(card.weights[0], sha256=digest, bytes=len(content)) if card.weights[0].sha256 else card.weights[0]
    data = to_dict(replace(card, weights=(file,), **changes))
    data.pop("folder", None)
    (folder / "cards").mkdir(parents=True, exist_ok=True)
    path = folder / "cards" / f"{name}.json"
    path.write_text(json.dumps(data))
    return load_card(path)
