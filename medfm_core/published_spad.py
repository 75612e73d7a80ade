"""The published SPAD checkpoints, `simple-soft.ckpt` and `pumit-b.ckpt`, made usable here: safetensors and a card.

Nobody has stated a licence for them, so none is shipped or fetched: whoever has a file may take it in for themselves.
The file is read in a process of its own that takes tensors and plain containers and nothing else.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from medfm_core.card_inputs import InputSpec, Intensity
from medfm_core.card_parts import Architecture, WeightFile
from medfm_core.card_sources import Conversion, KeyRule
from medfm_core.cards import ModelCard
from medfm_core.errors import InputError, WeightsError
from medfm_core.hashing import file_sha256
from medfm_core.hub.conversion import convert_checkpoint
from medfm_core.io.atomic import atomic_text
from medfm_core.models import spad_tokenizer, spad_vit
from medfm_core.models.sizes import size_config
from medfm_core.models.spad_masked import SpadMaskedModel
from medfm_core.models.spad_names import masked_names, shapes_of, tokenizer_names
from medfm_core.models.spad_tokenizer import SpadTokenizer, SpadTokenizerConfig
from medfm_core.models.spad_vit import SpadVitConfig
from medfm_core.strict import from_dict, to_dict, unknown_name

Shapes = Mapping[str, tuple[int, ...]]
_TOKENS = 1024
_MODULE = KeyRule(r"module\.(.+)", r"\1")
_INPUT = InputSpec(
    ("CT", "MR", "PT", "CR", "DX", "US", "OT"),
    Intensity("percentiles", percentiles=(0.5, 99.5), to=(0.0, 1.0)),
    orientation=None, spacing_mm=(0.5, 0.5, 0.5), spacing_rule="at_least",
)  # fmt: skip


@dataclass(frozen=True)
class Published:
    """What one published checkpoint is.

    Attributes:
        file: its name.
        task: of the card.
        design: name of the architecture.
        size: of the architecture.
        conversion: where in it the tensors are, and the rules for their names.
    """

    file: str
    task: str
    design: str
    size: str
    conversion: Conversion


KINDS: dict[str, Published] = {
    "tokenizer": Published(
        "simple-soft.ckpt", "reconstruction", spad_tokenizer.ARCHITECTURE, "released",
        Conversion("simple-soft.ckpt", ("model",), (_MODULE,)),
    ),
    "encoder": Published(
        "pumit-b.ckpt", "embedding", spad_vit.ARCHITECTURE, "base",
        Conversion("pumit-b.ckpt", ("state_dict",), (KeyRule(r"(?:module\.)?tokenizer\..+"), _MODULE)),
    ),
}  # fmt: skip


def tokenizer_shapes(card: ModelCard, file: WeightFile | None = None) -> Shapes:
    """Tensors of a published tokenizer under its own names, which `load_spad_tokenizer` reads.

    Raises:
        WeightsError: the card's architecture is not usable.
    """
    config = _config(SpadTokenizerConfig, card)
    shapes = shapes_of(SpadTokenizer, config)
    return {theirs: shapes[ours] for ours, theirs in tokenizer_names(config).items()}


def encoder_shapes(card: ModelCard, file: WeightFile | None = None) -> Shapes:
    """Tensors of a published transformer with mask token and head, under its own names; see `tokenizer_shapes`."""
    config = _config(SpadVitConfig, card)
    shapes = shapes_of(SpadMaskedModel, config, _TOKENS)
    return {theirs: shapes[ours] for ours, theirs in masked_names(config).items()}


def import_published(path: Path, kind: str, resources: Path, options: Mapping[str, Any] | None = None) -> Path:
    """Convert a published checkpoint, and write `weights/<id>.safetensors` and `cards/<id>.json`.

    Args:
        path: the checkpoint, as its authors give it.
        kind: of `KINDS`.
        resources: folder to write to.
        options: of the architecture, where it is not the published one.

    Returns:
        The card's path.

    Raises:
        InputError: there is no such file or kind.
        WeightsError: it holds something besides tensors and plain containers, or other tensors than the network has.
        ResourceError: it took too long, or memory or disk ran out.

    Source: SPAD spec, sections 9 and 10.
    """
    if kind not in KINDS:
        raise InputError(unknown_name("published SPAD network", kind, KINDS))
    if not path.is_file():
        raise InputError(f"there is no file {path}", f"give the published {KINDS[kind].file}")
    published, card_id = KINDS[kind], f"spad-{kind}-published"
    target = resources / "weights" / f"{card_id}.safetensors"
    target.parent.mkdir(parents=True, exist_ok=True)
    card = _card(published, card_id, {"file": target.name, "sha256": "0" * 64, "bytes": 1}, options)
    checked = from_dict(ModelCard, card, f"the card {card_id}", WeightsError)
    shapes = tokenizer_shapes if kind == "tokenizer" else encoder_shapes
    sha256 = file_sha256(path)
    convert_checkpoint(path, target, published.conversion, shapes(checked), sha256)
    data = target.read_bytes()
    card["weights"] = [{"file": target.name, "sha256": hashlib.sha256(data).hexdigest(), "bytes": len(data)}]
    place = resources / "cards" / f"{card_id}.json"
    place.parent.mkdir(parents=True, exist_ok=True)
    atomic_text(place, json.dumps(card, indent=1, ensure_ascii=False) + "\n")
    return place


def _card(
    published: Published, card_id: str, weights: dict[str, Any], options: Mapping[str, Any] | None
) -> dict[str, Any]:
    kind = SpadTokenizerConfig if published.design == spad_tokenizer.ARCHITECTURE else SpadVitConfig
    architecture = options or to_dict(size_config(published.design, published.size, kind), defaults=True)
    return {
        "id": card_id,
        "task": published.task,
        "title": f"{published.file}, as published",
        "architecture": to_dict(Architecture(published.design, dict(architecture))),
        "weights": [weights],
        "source": {"kind": "file", "path": "../weights"},
        "input": to_dict(_INPUT),
        "licence": "LicenseRef-not-stated",
        "trained_on": ["55 public data sets of 2D images and volumes, named in the paper; some are non-commercial"],
        "intended_use": "Research only; not a medical device. No licence is stated for these weights.",
        "limits": ["some public benchmarks were among the images of the pre-training"],
        "references": ["https://github.com/function2-llx/PUMIT"],
    }


def _config(kind: type, card: ModelCard) -> Any:
    return from_dict(kind, dict(card.architecture.options), f"the card {card.id}", WeightsError)
