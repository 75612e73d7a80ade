"""Features of every item of a data source, computed once and kept."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal, Protocol

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset, default_collate

from medfm_core.errors import InputError, ResourceError
from medfm_core.progress import SILENT, Progress
from training.engine.draw import DrawKey
from training.evaluation.encoders import Batch, pooled_features, token_features, weights_digest
from training.evaluation.feature_cache import FeatureCache

_LOG = logging.getLogger(__name__)


class Source(Protocol):
    """Where samples come from; `digest`, where it has one, changes when its samples do."""

    def __len__(self) -> int:
        """How many items."""

    def sample(self, item: int, key: DrawKey) -> dict[str, Any]:
        """One sample; the same for the same item and key."""


@dataclass(frozen=True)
class Extraction:
    """How features are computed.

    Attributes:
        kind: `pooled`, one vector per item, or `tokens`, kept as float16.
        batch_size: items at once.
        device: where the encoder runs.
        seed: of the samples' draws, such as the place of a crop.
        workers: processes that make samples; 0 makes them between the batches.
        most_bytes: refuse features that would take more.
    """

    kind: Literal["pooled", "tokens"] = "pooled"
    batch_size: int = 8
    device: str = "cpu"
    seed: int = 0
    workers: int = 0
    most_bytes: int = 8 << 30


def extract_features(
    encoder: nn.Module,
    source: Source,
    extraction: Extraction,
    cache: FeatureCache | None = None,
    progress: Progress = SILENT,
) -> Tensor:
    """Compute the features of all items, or read them where they are kept.

    Args:
        encoder: see `training.evaluation.encoders`; it is left in the mode that it was in.
        source: the items. Its features are kept only if it has a `digest`.
        extraction: how.
        cache: where they are kept; None keeps nothing.
        progress: advances by items.

    Returns:
        `(items, F)` float32, or `(items, N, F)` float16, on the CPU.

    Raises:
        InputError: the encoder has no such features, the source is empty, or tokens differ in number.
        ResourceError: they would take too much memory.
    """
    if not len(source):
        raise InputError("the data source holds nothing to encode", "check the manifest and its splits")
    key = cache.key(*_identity(encoder, source, extraction)) if cache and _digest(source) else None
    if key is not None and (kept := cache.read(key, len(source))) is not None:
        progress.message(f"Features of {len(source)} items were computed before")
        return kept
    features = _compute(encoder, source, extraction, progress)
    if not bool(torch.isfinite(features).all()):
        wrong = int((~torch.isfinite(features)).flatten(1).any(1).sum())
        _LOG.warning("the features of %d of %d items are not finite", wrong, len(source))
    if key is not None:
        cache.write(key, features)
    return features


def batches(source: Source, extraction: Extraction) -> Iterator[Batch]:
    """All samples of a source in order, as batches on the device."""
    loader = DataLoader(
        _Items(source, extraction.seed),
        batch_size=extraction.batch_size,
        num_workers=extraction.workers,
        collate_fn=default_collate,
    )
    for batch in loader:
        yield {
            name: value.to(extraction.device) if isinstance(value, Tensor) else value for name, value in batch.items()
        }


@torch.no_grad()
def _compute(encoder: nn.Module, source: Source, extraction: Extraction, progress: Progress) -> Tensor:
    read = pooled_features if extraction.kind == "pooled" else token_features
    dtype = torch.float32 if extraction.kind == "pooled" else torch.float16
    was_training, features, done = encoder.training, None, 0
    encoder.to(extraction.device).eval()
    try:
        with progress.stage("Encode", len(source)) as stage:
            for batch in batches(source, extraction):
                found = read(encoder, batch).to("cpu", dtype)
                if features is None:
                    features = _room(len(source), found, extraction.most_bytes)
                if found.shape[1:] != features.shape[1:]:
                    raise InputError("samples give features of different shapes", "use samples of one size")
                features[done : done + len(found)] = found
                done += len(found)
                stage.advance(len(found))
    finally:
        encoder.train(was_training)
    return features


class _Items(Dataset):
    """Samples by item; the draw of an item depends on nothing but the seed and its number."""

    def __init__(self, source: Source, seed: int) -> None:
        self._source, self._seed = source, seed

    def __len__(self) -> int:
        return len(self._source)

    def __getitem__(self, item: int) -> dict[str, Any]:
        return self._source.sample(item, DrawKey(self._seed, item))


def _room(items: int, found: Tensor, most_bytes: int) -> Tensor:
    needed = items * found[0].numel() * found.element_size()
    if needed > most_bytes:
        raise ResourceError(
            f"the features of {items} items would take {needed / 2**30:.1f} GiB", "use pooled features (kind linear)"
        )
    return torch.empty((items, *found.shape[1:]), dtype=found.dtype)


def _digest(source: Source) -> str | None:
    digest = getattr(source, "digest", None)
    return digest if isinstance(digest, str) and digest else None


def _identity(encoder: nn.Module, source: Source, extraction: Extraction) -> tuple[str, ...]:
    return weights_digest(encoder), str(_digest(source)), str(len(source)), extraction.kind, str(extraction.seed)
