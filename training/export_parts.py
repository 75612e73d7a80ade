"""The files that a run's weights are exported to: one, or one per role of the card."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from medfm_core.io.atomic import atomic_write
from medfm_core.models.organ_text import OrganTextModel


@dataclass(frozen=True)
class Naming:
    """How the files are called, and what is written into them.

    Attributes:
        folder: where they go.
        card_id: name of the card.
        recipe: digest and step of the run.
    """

    folder: Path
    card_id: str
    recipe: str


def write_parts(net: nn.Module, naming: Naming) -> list[dict[str, Any]]:
    """Write a net's weights in fp16, and the prompts of a net that reads text, and return the card's `weights`.

    Raises:
        InputError, ResourceError: a file cannot be written, or the text tower is not installed.
    """
    if not isinstance(net, OrganTextModel):
        return [_write(net.state_dict(), naming, "weights")]
    image = _write(net.image.state_dict(), naming, "weights")
    text = {f"text_projection.{name}": value for name, value in net.text.state_dict().items()}
    logits = {f"logits.{name}": value for name, value in net.logits.state_dict().items()}
    return [image, _write(text | logits, naming, "text")]


def write_prompts(
    text_tower: str, weights: list[dict[str, Any]], naming: Naming, embedding_width: int
) -> dict[str, Any]:
    """Embed the catalogue's wordings for exported weights and return the file's entry of the card's `weights`.

    Args:
        text_tower: its name.
        weights: entries of the files written.
        naming: as for these.
        embedding_width: values of an embedding.
    """
    from medfm_core.anatomy import load_findings
    from medfm_core.models.text import load_text_tower
    from medfm_core.models.totalfm_weights import load_text_side
    from medfm_core.progress import RichProgress
    from medfm_core.prompts import build_prompt_cache

    tower = load_text_tower(text_tower)
    side = next(entry for entry in weights if entry.get("role") == "text")
    projection, _ = load_text_side(naming.folder / side["file"], tower.width, embedding_width)
    own = next(entry for entry in weights if "role" not in entry)
    cache = build_prompt_cache(load_findings(), tower, projection, own["sha256"], RichProgress())
    path = naming.folder / f"{naming.card_id}.prompts.safetensors"
    cache.write(path)
    return _entry(path, "prompts")


def _write(state: dict[str, Tensor], naming: Naming, role: str) -> dict[str, Any]:
    tensors = {
        name: (value.to(torch.float16) if value.is_floating_point() else value).contiguous().clone()
        for name, value in state.items()
    }
    path = naming.folder / (
        f"{naming.card_id}.safetensors" if role == "weights" else f"{naming.card_id}.{role}.safetensors"
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_write(path) as part:
        # One entry of metadata: several would come in random order, and the file's hash with them.
        save_file(tensors, part, metadata={"recipe": naming.recipe})
    return _entry(path, role)


def _entry(path: Path, role: str) -> dict[str, Any]:
    path.chmod(0o644)
    data = path.read_bytes()
    entry = {"file": path.name, "sha256": hashlib.sha256(data).hexdigest(), "bytes": len(data)}
    return entry if role == "weights" else {**entry, "role": role}
