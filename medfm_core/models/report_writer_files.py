"""A report writer on disk: `report_writer.safetensors` and `report_writer.json` in a folder.

They hold what was trained: the querying transformer, the projections and the low-rank additions. The language model is
named, with a fingerprint of its weights, and lies where it was.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor

from medfm_core.errors import WeightsError
from medfm_core.io.atomic import atomic_text, atomic_write
from medfm_core.models.language_model import LanguageModel, load_language_model
from medfm_core.models.report_writer import ReportWriter, ReportWriterConfig
from medfm_core.strict import from_dict, to_dict
from medfm_core.weights import load_weights

WEIGHTS, DESCRIPTION = "report_writer.safetensors", "report_writer.json"


@dataclass(frozen=True)
class WriterDescription:
    """What `report_writer.json` says.

    Attributes:
        writer: what the writer is made of.
        fingerprint: of the language model's weights; see `LanguageModel.fingerprint`.
        image_encoder: the model card whose embeddings it reads; "" if not stated.
        version: of this file's form.
    """

    writer: ReportWriterConfig
    fingerprint: str
    image_encoder: str = ""
    version: int = 1

    def __post_init__(self) -> None:
        if self.version != 1:
            raise ValueError(f"version {self.version} is not known; this MedFM reads version 1")


def save_report_writer(writer: ReportWriter, folder: str | Path, image_encoder: str = "") -> None:
    """Write a writer's own weights (in their types) and its description.

    Args:
        writer: the trained writer.
        folder: where to; it is made if need be.
        image_encoder: model card of the encoder that made the embeddings.

    Raises:
        InputError, ResourceError: the files cannot be written.
    """
    from safetensors.torch import save_file

    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    config = replace(writer.config, units=writer.config.unit_names)  # the vocabulary may grow
    merged = writer.additions.is_merged
    writer.additions.unmerge()
    description = WriterDescription(config, writer.language.fingerprint(), image_encoder)
    if merged:
        writer.additions.merge()
    tensors = {name: value.detach().cpu().contiguous().clone() for name, value in writer.state_dict().items()}
    with atomic_write(folder / WEIGHTS) as part:
        save_file(tensors, part)
    (folder / WEIGHTS).chmod(0o644)
    atomic_text(folder / DESCRIPTION, json.dumps(to_dict(description, defaults=True), indent=1) + "\n")


def load_report_writer(
    folder: str | Path, language_model: str | None = None, device: torch.device | str = "cpu"
) -> ReportWriter:
    """Load a writer strictly, in evaluation mode.

    Args:
        folder: as `save_report_writer` wrote it.
        language_model: the same language model (folder or `hf:owner/name`), where it lies elsewhere on this machine.
        device: where it goes.

    Raises:
        ResourceError: transformers is not installed.
        WeightsError: a file is missing, damaged or of another writer, or the language model is another one.
    """
    folder = Path(folder)
    description = read_description(folder / DESCRIPTION)
    config = description.writer
    if language_model is not None:
        config = replace(config, language_model=language_model, revision=None)
    language = load_language_model(config.place())
    if language.fingerprint() != description.fingerprint:
        raise WeightsError(
            f"the language model {config.language_model} is not the one that the writer {folder} was trained with",
            "give the folder or revision of that one",
        )
    return build_report_writer(config, folder / WEIGHTS, language).to(device)


def build_report_writer(config: ReportWriterConfig, weights: Path, language: LanguageModel) -> ReportWriter:
    """Build a writer around a language model and load its own weights strictly, as fp32.

    Raises:
        WeightsError: the weights are damaged or of another writer.
    """
    writer = ReportWriter(config, language)
    shapes = {name: tuple(value.shape) for name, value in writer.state_dict().items()}
    state: Mapping[str, Tensor] = load_weights(weights, shapes)
    writer.load_state_dict({name: value.float() for name, value in state.items()}, strict=True)
    return writer.eval().requires_grad_(False)


def read_description(path: Path) -> WriterDescription:
    """Read `report_writer.json`.

    Raises:
        WeightsError: it is missing, no JSON, or holds something else.
    """
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as problem:
        raise WeightsError(
            f"the report writer's {path} cannot be read", "give the folder of a report writer"
        ) from problem
    return from_dict(WriterDescription, data, f"the report writer's {path}", WeightsError)
