"""Text encoders that come inside a published image-text checkpoint: built from what the card says, loaded strictly.

The checkpoint holds the weights, trained together with the images; the tokenizer has a card of its own. transformers
computes, and nothing is fetched here.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch

from medfm_core.errors import ResourceError, WeightsError
from medfm_core.models.text_encoder import SentenceEncoder
from medfm_core.models.text_files import INSTALL_TRANSFORMERS, fingerprint
from medfm_core.models.text_pooling import Reading
from medfm_core.weights import load_weights

KINDS = ("modernbert", "longformer", "bert")
_WIDEST_WINDOW, _NARROWEST_WINDOW = 512, 64


@dataclass(frozen=True)
class TextEncoderConfig:
    """The text encoder of a published model, as its card says it.

    Attributes:
        kind: of `KINDS`.
        tokenizer: id of the card that brings its tokenizer.
        pooling: of `medfm_core.models.text_pooling.POOLINGS`.
        tokens_limit: tokens that are read.
        vocabulary: tokens that it knows.
        width, depth, heads, mlp_width: of its transformer.
        positions: rows of its table of positions; not used by ModernBERT, whose positions are rotations.
        lowered: whether sentences are written in small letters, words and signs apart; BERT's own tokenizer does that.
        dtype: number format of its weights.
    """

    kind: str
    tokenizer: str
    pooling: str
    tokens_limit: int
    vocabulary: int
    width: int = 768
    depth: int = 12
    heads: int = 12
    mlp_width: int = 3072
    positions: int = 4098
    lowered: bool = False
    dtype: str = "float32"

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ValueError(f"kind {self.kind!r} is not one of {', '.join(KINDS)}")
        if self.dtype not in ("float32", "bfloat16"):
            raise ValueError(f"dtype {self.dtype!r} must be float32 or bfloat16")
        if self.width % self.heads:
            raise ValueError(f"width {self.width} must be a multiple of heads {self.heads}")

    @property
    def reading(self) -> Reading:
        """How it reads a sentence."""
        return Reading(self.pooling, self.tokens_limit, getattr(torch, self.dtype), self.lowered)


def text_encoder_shapes(config: TextEncoderConfig) -> dict[str, tuple[int, ...]]:
    """Name to shape of its tensors, as transformers names them.

    Raises:
        ResourceError: transformers is not installed.
    """
    with torch.device("meta"):
        return {name: tuple(value.shape) for name, value in _build(config).state_dict().items()}


def load_published_tower(config: TextEncoderConfig, weights: Path, tokenizer: Path) -> SentenceEncoder:
    """Load the text encoder of a published model on the CPU, in evaluation mode.

    Args:
        config: the architecture.
        weights: safetensors file of its tensors and nothing else.
        tokenizer: folder with the tokenizer's files and `config.json`; for BERT `vocab.txt` alone.

    Raises:
        ResourceError: transformers is not installed.
        WeightsError: weights of another network, or a tokenizer that cannot be read.
    """
    state = load_weights(weights, text_encoder_shapes(config))
    model = _build(config)  # not on "meta": it has buffers that no file holds
    model.load_state_dict(state, strict=True, assign=True)
    reading = config.reading
    model = model.to(reading.dtype).eval().requires_grad_(False)
    made = NarrowWindow(model) if config.kind == "longformer" else model
    tower_id = f"{config.kind}+{fingerprint([weights])}"
    return SentenceEncoder(tower_id, made, _load_tokenizer(tokenizer, config.kind), reading)


class NarrowWindow:
    """A Longformer whose window is no wider than the text needs.

    Each token looks at its neighbours within half a window. Where the text is shorter than that, any window gives the
    same values, and the published one of 512 would pad a sentence of 20 tokens to 512.

    Args:
        model: a `LongformerModel`.
    """

    def __init__(self, model: Any) -> None:
        self._model, self.config = model, model.config

    @property
    def device(self) -> torch.device:
        """Where the model is."""
        return self._model.device

    def __call__(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> SimpleNamespace:
        """Run the model; arguments are the model's, `last_hidden_state` is its answer."""
        length, width = input_ids.shape[1], _NARROWEST_WINDOW
        while width < min(2 * length, _WIDEST_WINDOW):
            width *= 2
        self._model.config.attention_window = [width] * self._model.config.num_hidden_layers
        for layer in self._model.encoder.layer:
            layer.attention.self.one_sided_attn_window_size = width // 2
        added = (0, -length % width)  # what the model would add itself, with a warning
        tokens = torch.nn.functional.pad(input_ids, added, value=self.config.pad_token_id)
        hidden = self._model(input_ids=tokens, attention_mask=torch.nn.functional.pad(attention_mask, added))
        return SimpleNamespace(last_hidden_state=hidden.last_hidden_state[:, :length])


def _build(config: TextEncoderConfig) -> Any:
    try:
        from transformers import (
            BertConfig,
            BertModel,
            LongformerConfig,
            LongformerModel,
            ModernBertConfig,
            ModernBertModel,
        )
    except ImportError as error:
        raise ResourceError("text encoders need transformers", f"run {INSTALL_TRANSFORMERS}") from error
    sizes = {
        "vocab_size": config.vocabulary,
        "hidden_size": config.width,
        "num_hidden_layers": config.depth,
        "num_attention_heads": config.heads,
        "intermediate_size": config.mlp_width,
    }
    if config.kind == "modernbert":
        marks = {name: min(value, config.vocabulary - 1) for name, value in _MODERNBERT_MARKS.items()}
        return ModernBertModel(ModernBertConfig(**sizes, **marks, attn_implementation="sdpa"))
    if config.kind == "bert":  # its pooler works on the last layer's first token, which is taken as it is
        return BertModel(BertConfig(**sizes, max_position_embeddings=config.positions), add_pooling_layer=False)
    return LongformerModel(
        LongformerConfig(
            **sizes,
            attention_window=[_WIDEST_WINDOW] * config.depth,
            max_position_embeddings=config.positions,
            type_vocab_size=1,
            layer_norm_eps=1e-5,
            bos_token_id=0,
            pad_token_id=1,
            eos_token_id=2,
            sep_token_id=2,
        )
    )


_MODERNBERT_MARKS = {
    "cls_token_id": 50281,
    "bos_token_id": 50281,
    "eos_token_id": 50282,
    "sep_token_id": 50282,
    "pad_token_id": 50283,
}


def _load_tokenizer(folder: Path, kind: str) -> Any:
    from transformers import AutoTokenizer

    settings = {"use_fast": True, "local_files_only": True, "trust_remote_code": False}
    if kind == "bert":  # some owners name a class of their own, whose code is not run
        settings["tokenizer_type"] = "bert"
    try:
        return AutoTokenizer.from_pretrained(str(folder), **settings)
    except Exception as error:  # the library lets through whatever its parts raise
        if isinstance(error, MemoryError):
            raise
        reason = (str(error).strip() or type(error).__name__).splitlines()[0][:200]
        raise WeightsError(f"the tokenizer in {folder} cannot be read ({reason})", "fetch it again") from error
