"""What the commands that probe frozen features share: their options, the request that these make, and the features."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from medfm_core.progress import Progress

if TYPE_CHECKING:
    from torch import Tensor

    from training.evaluation.probe_inputs import ProbeInputs, ProbeRequest


def add_inputs(parser: argparse.ArgumentParser) -> None:
    """Options that say which encoder, and which volumes."""
    encoder = parser.add_mutually_exclusive_group(required=True)
    encoder.add_argument("--run", type=Path, help="folder of a run of training.pretrain, or one of its checkpoints")
    encoder.add_argument("--card", help="id of an installed model card, or the path of a card's file")
    add = parser.add_argument
    add("--which", choices=("last", "best"), default="last", help="checkpoint of the run (default: last)")
    add("--manifest", type=Path, required=True, help="list of the volumes, with columns target.NAME")
    add("--store", required=True, help="folder (or shards) that training.prepare filled")


def add_encoding(parser: argparse.ArgumentParser) -> None:
    """Options that say how features are computed and kept, and where the results go."""
    add = parser.add_argument
    add("--resamples", type=int, default=1000, help="of subjects, for the intervals (default: 1000)")
    add("--no-random", action="store_true", help="leave out the baseline of random weights")
    add("--crop", type=int, nargs=3, metavar=("D", "H", "W"), help="voxels seen (default: as in training)")
    add("--prepared-for", metavar="CARD", help="card whose preparation the store holds, where the run does not say")
    add("--batch-size", type=int, default=8, help="volumes at once (default: 8)")
    add("--workers", type=int, default=0, help="processes that read volumes (default: 0)")
    add("--device", choices=("auto", "cpu", "cuda"), default="auto", help="where the encoder runs (default: auto)")
    add("--cache", type=Path, help="folder to keep features in, so that the next probe starts at once")
    add("--out", type=Path, required=True, help="folder of the results; made if missing")


def request_of(options: argparse.Namespace, targets: Sequence[str], task: str | None = None) -> ProbeRequest:
    """What the options ask for."""
    from training.evaluation.probe_inputs import ProbeRequest

    return ProbeRequest(
        options.run, options.card, options.manifest, options.store, tuple(targets), task,
        options.which, options.crop and tuple(options.crop), options.prepared_for,
    )  # fmt: skip


def frozen_features(
    inputs: ProbeInputs, kind: Literal["pooled", "tokens"], options: argparse.Namespace, progress: Progress
) -> tuple[Tensor, Tensor | None]:
    """Features of the encoder, and of one with random weights unless the options leave it out.

    Args:
        inputs: encoder and volumes.
        kind: vectors `(N, F)` or tokens `(N, T, F)`.
        options: of `add_encoding`.
        progress: advances by volumes.
    """
    from training.evaluation.encoders import randomised
    from training.evaluation.feature_cache import FeatureCache
    from training.evaluation.features import Extraction, extract_features

    extraction = Extraction(kind, options.batch_size, device_of(options.device), workers=options.workers)
    index = {"subject": inputs.cohort.subjects, "study": inputs.cohort.studies}
    cache = None if options.cache is None else FeatureCache(options.cache, index)
    features = extract_features(inputs.encoder, inputs.source, extraction, cache, progress)
    if options.no_random:
        return features, None
    progress.message("Now the same encoder with random weights")
    untrained = randomised(inputs.encoder, seed=0)
    return features, extract_features(untrained, inputs.source, extraction, cache, progress)


def device_of(name: str) -> str:
    """The device that a word means.

    Raises:
        ResourceError: it is not there.
    """
    from medfm_core.inference.devices import choose_device

    return str(choose_device(name))
