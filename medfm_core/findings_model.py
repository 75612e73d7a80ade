"""The model of a findings card: image encoder, prompt embeddings and the scale of its similarities.

Loading takes as long as encoding a small organ or more, so it can run beside the segmentation: `LoadingFindingsModel`
loads in a thread of its own.
"""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from medfm_core.anatomy import load_findings
from medfm_core.cards import ModelCard
from medfm_core.embedding import Encoder
from medfm_core.errors import WeightsError
from medfm_core.hub.present import require_files
from medfm_core.organ_volumes import channels_of, size_features
from medfm_core.own_prompts import own_prompts
from medfm_core.progress import SILENT, Progress
from medfm_core.strict import from_dict

if TYPE_CHECKING:
    import numpy as np
    import torch

    from medfm_core.models.ct_clip import CTClipConfig, ScanTransformer
    from medfm_core.models.merlin import MerlinConfig, ScanEncoder
    from medfm_core.models.text_projection import TextProjection
    from medfm_core.models.totalfm import ImageEncoder, TotalFMConfig
    from medfm_core.prompts import PromptCache

TASK = "findings"
_TEXT_KEYS = ("text_width", "text_tower")
_TEXT_ENCODER = "text_encoder"  # read by `medfm_core.text_towers`
_REPLACE = "use the files that belong to this card"


@dataclass(frozen=True)
class TextSide:
    """What a findings card says of its text tower: the width of its vectors, `W`, and its name."""

    text_width: int
    text_tower: str


@dataclass(frozen=True, eq=False)
class Sentences:
    """What organs are compared with: the side of a findings model that needs no image.

    Attributes:
        card: what it belongs to.
        prompts: embeddings of the catalogue's wordings.
        projection: of sentence vectors, on the CPU; for free text.
        scale: what similarities are multiplied with before the softmax.
        text_tower: name of the text tower that the projection belongs to.
    """

    card: ModelCard
    prompts: PromptCache
    projection: TextProjection
    scale: float
    text_tower: str

    @property
    def encoder(self) -> Encoder:
        """What makes the embeddings that the sentences can be compared with."""
        return Encoder(self.card.id, self.prompts.source.weights_sha256, self.prompts.width)

    def wordings(self, finding: str) -> tuple[np.ndarray, np.ndarray] | None:
        """Embeddings of a finding's positive and negative wordings, `(P, E)` and `(N, E)`; None where it has none."""
        if finding not in self.prompts.findings:
            return None
        return tuple(self.prompts.of_finding(finding, polarity).numpy() for polarity in ("positive", "negative"))


@dataclass(frozen=True, eq=False)
class FindingsModel:
    """A findings model, loaded and ready.

    Attributes:
        image: the encoder of organs, or of whole scans, in fp32 and evaluation mode, on its device.
        sentences: what organs are compared with.
        device: where the encoder is.
    """

    image: ImageEncoder | ScanEncoder | ScanTransformer
    sentences: Sentences
    device: torch.device

    @property
    def card(self) -> ModelCard:
        """What it is."""
        return self.sentences.card


def architecture_of(card: ModelCard) -> tuple[TotalFMConfig | MerlinConfig | CTClipConfig, TextSide]:
    """Read the architecture of a findings card: the encoder's own entries, and `text_width` and `text_tower`.

    Raises:
        WeightsError: another architecture, an entry that is not known, or an input that the encoder cannot take.
    """
    from medfm_core.models.ct_clip import ARCHITECTURE as CT_CLIP
    from medfm_core.models.ct_clip import CTClipConfig
    from medfm_core.models.merlin import ARCHITECTURE as MERLIN
    from medfm_core.models.merlin import MerlinConfig
    from medfm_core.models.totalfm import ARCHITECTURE as TOTALFM
    from medfm_core.models.totalfm import TotalFMConfig

    if card.task != TASK:
        raise WeightsError(f"the model {card.id} is for {card.task}, not for findings", "choose another model")
    kinds = {TOTALFM: TotalFMConfig, MERLIN: MerlinConfig, CT_CLIP: CTClipConfig}
    if card.architecture.name not in kinds:
        raise WeightsError(
            f"{card.id} needs the architecture {card.architecture.name!r}, which is not here", "update MedFM"
        )
    place, options = f"{card.id}: architecture", dict(card.architecture.options)
    options.pop(_TEXT_ENCODER, None)
    text = {key: options.pop(key) for key in _TEXT_KEYS if key in options}
    config = from_dict(kinds[card.architecture.name], options, place, WeightsError)
    _check_input(card, config)
    return config, from_dict(TextSide, text, place, WeightsError)


def load_findings_model(card: ModelCard, device: str = "auto", root: str | Path | None = None) -> FindingsModel:
    """Load everything that findings need, after checking that the files are those of the card.

    Args:
        card: a card of the task "findings".
        device: `auto`, `cpu`, `cuda`, ...
        root: the folder of the files, where it is not the card's own.

    Raises:
        WeightsError: a file is missing, damaged, of another network or of other weights, or the card is of another
            kind.
        ResourceError: the device is not there.
    """
    from medfm_core.inference.devices import choose_device
    from medfm_core.models import ct_clip, merlin
    from medfm_core.models.ct_clip_weights import load_scan_transformer
    from medfm_core.models.merlin_weights import load_scan_encoder
    from medfm_core.models.totalfm_weights import load_image_encoder

    config, _ = architecture_of(card)
    sentences = load_sentences(card, root)
    place = choose_device(device)
    load = {merlin.ARCHITECTURE: load_scan_encoder, ct_clip.ARCHITECTURE: load_scan_transformer}
    image = load.get(card.architecture.name, load_image_encoder)(_path(card, "weights", root), config, place)
    return FindingsModel(image, sentences, place)


def load_sentences(card: ModelCard, root: str | Path | None = None, progress: Progress = SILENT) -> Sentences:
    """Load the side of the sentences alone, after checking that the files are those of the card.

    Args:
        card: a card of the task "findings".
        root: the folder of the files, where it is not the card's own.
        progress: told of the sentences where the prompts must be made first, which takes minutes once.

    Raises:
        WeightsError: as `load_findings_model`.
        ResourceError: the prompts must be made and the text tower is not on this machine.
    """
    from medfm_core.models.totalfm_weights import load_text_side
    from medfm_core.prompts import read_prompt_cache

    config, text = architecture_of(card)
    require_files(card, None if root is None else Path(root))
    width = config.embedding_width
    projection, logits = load_text_side(_path(card, "text", root), text.text_width, width)
    if any(file.role == "prompts" for file in card.weights):
        sha256 = card.sha256_of("weights", root)
        prompts = read_prompt_cache(_path(card, "prompts", root), sha256, width, load_findings())
    else:
        folder = card.root() if root is None else Path(root)
        prompts = own_prompts(card, projection, text.text_tower, folder, progress)
    missing = [name for name in card.findings if name not in prompts.findings]
    if missing:
        raise WeightsError(f"{card.id} is calibrated for {missing[0]} but its prompts lack it", _REPLACE)
    return Sentences(card, prompts, projection, float(logits.scale.exp()), text.text_tower)


class LoadingFindingsModel:
    """A `FindingsModel` that loads in a thread of its own while the caller goes on.

    Args:
        card: a card of the task "findings".
        settings: further arguments of `load_findings_model`.
    """

    def __init__(self, card: ModelCard, **settings: Any) -> None:
        pool = ThreadPoolExecutor(1, "loading findings")
        self._loading = pool.submit(_load, card, settings)
        pool.shutdown(wait=False)

    def __call__(self) -> FindingsModel:
        """The model, with the errors of `load_findings_model`; waits for it where it is not yet there."""
        return self._loading.result()


def _load(card: ModelCard, settings: Mapping[str, Any]) -> FindingsModel:
    import torch  # noqa: F401  first of all: the segmenter's thread imports it at the same time

    return load_findings_model(card, **settings)


def _path(card: ModelCard, role: str, root: str | Path | None) -> Path:
    return card.files(root)[card.file_of(role)]


def _check_input(card: ModelCard, config: TotalFMConfig | MerlinConfig | CTClipConfig) -> None:
    """Refuse a card whose organ volumes, or whose scans, its own encoder cannot take."""
    from medfm_core.models.ct_clip import CTClipConfig
    from medfm_core.models.totalfm import TotalFMConfig

    spec = card.input
    if spec.organs.whole == isinstance(config, TotalFMConfig):
        raise WeightsError(
            f"{card.id}: the architecture {card.architecture.name} and input.organs.whole contradict each other",
            "correct input or architecture",
        )
    if isinstance(config, CTClipConfig) and spec.size != config.image_size:
        raise WeightsError(
            f"{card.id}: input.size {list(spec.size)} is not the network's image_size {list(config.image_size)}",
            "correct input or architecture",
        )
    if not isinstance(config, TotalFMConfig):
        return
    channels = channels_of(spec)
    if channels != config.channels:
        raise WeightsError(
            f"{card.id}: the input has {channels} channels and the network takes {config.channels}",
            "correct input or architecture",
        )
    if config.organ_size and size_features(spec) != config.size_features:
        raise WeightsError(
            f"{card.id}: the input tells {size_features(spec)} numbers on an organ and the network takes "
            f"{config.size_features}",
            "correct input.organs.densities or architecture",
        )
    if any(side % patch for side, patch in zip(spec.size, config.patch_size, strict=True)):
        raise WeightsError(
            f"{card.id}: input.size {list(spec.size)} must be multiples of patch_size {list(config.patch_size)}",
            "correct input or architecture",
        )
