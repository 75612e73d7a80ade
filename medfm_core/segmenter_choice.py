"""Which predictor runs a segmenter's card, and whether it can run here."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from medfm_core import segmentation, total_segmentator
from medfm_core.cards import ModelCard
from medfm_core.hub.present import require_files
from medfm_core.models.segmenters import check_architecture
from medfm_core.progress import Progress
from medfm_core.volume import Volume

Predictor = Callable[[Volume, Progress], segmentation.Segmentation]


def check_ready(card: ModelCard) -> None:
    """Refuse a segmenter that cannot run here, before a scan is opened for it.

    Weights that come with MedFM or lie in a folder are looked at when they are loaded.

    Args:
        card: an `organ_segmentation` card.

    Raises:
        WeightsError: its weights are not there: the sentence says how big they are and how to get them.
        ResourceError: a package or program is missing.
    """
    if card.source.kind == "package":
        total_segmentator.check_installed(card)
    elif card.source.kind == "hub":
        check_architecture(card)
        require_files(card)


def loading_predictor(card: ModelCard, device: str = "auto", **settings: Any) -> Predictor:
    """What segments by a card; a network loads in a thread of its own meanwhile.

    Args:
        card: an `organ_segmentation` card.
        device: `auto`, `cpu`, `cuda`, ...
        settings: further arguments of `OrganPredictor`.

    Raises:
        ResourceError, WeightsError: see `check_ready`.
    """
    if card.architecture.name == total_segmentator.ARCHITECTURE:
        return total_segmentator.TotalSegmentatorPredictor(card, device, **settings)
    return segmentation.LoadingPredictor(card, device, **settings)
