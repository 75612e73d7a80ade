"""Sentences to vectors by an encoder of the transformers library.

Sentences of one length in tokens go through together. So nothing is padded, no time is spent on padding, and a
sentence's vector does not depend on how long its neighbours are.
"""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from medfm_core.errors import InputError, ResourceError, WeightsError
from medfm_core.models.text_files import INSTALL_TRANSFORMERS
from medfm_core.models.text_pooling import Reading, mean_of_tokens
from medfm_core.progress import SILENT, Progress
from medfm_core.weights import load_weights

BATCH_TOKENS = 4096
_LOG = logging.getLogger(__name__)


class SentenceEncoder:
    """A text tower that runs a transformers encoder.

    Args:
        tower_id: see `TextTower.id`.
        model: the encoder, in evaluation mode.
        tokenizer: the one it was trained with.
        reading: how it reads a sentence.
    """

    def __init__(self, tower_id: str, model: Any, tokenizer: Any, reading: Reading) -> None:
        self.id, self.width = tower_id, int(model.config.hidden_size)
        self._model, self._tokenizer, self._reading = model, tokenizer, reading
        self._limit = min(reading.tokens_limit, getattr(model.config, "max_position_embeddings", reading.tokens_limit))

    def encode(self, sentences: Sequence[str], progress: Progress = SILENT) -> Tensor:
        """Encode sentences; the same list gives the same values.

        Args:
            sentences: any number; equal ones are read once.
            progress: one step per different sentence.

        Returns:
            `(N, width)` float32 on the CPU, not normalised.

        Raises:
            InputError: a sentence is empty.
        """
        place = {sentence: row for row, sentence in enumerate(dict.fromkeys(_checked(sentences)))}
        vectors = torch.empty(len(place), self.width)
        tokens, counted = self._tokenize(list(place))
        with torch.no_grad(), progress.stage("Encode sentences", len(place)) as stage:
            for rows in _batches(tokens):
                batch = torch.tensor([tokens[row] for row in rows])
                vectors[rows] = self._encode_batch(batch, torch.tensor([counted[row] for row in rows]))
                stage.advance(len(rows))
        return vectors[[place[sentence.strip()] for sentence in sentences]]

    def _tokenize(self, sentences: list[str]) -> tuple[list[list[int]], list[list[bool]]]:
        """Tokens of each sentence, and which of them count in its mean."""
        if not sentences:
            return [], []
        written = [self._reading.written(sentence) for sentence in sentences]
        found = self._tokenizer(
            written, truncation=True, max_length=self._limit, padding=False, return_special_tokens_mask=True
        )
        marks = [list(map(bool, flags)) for flags in found["special_tokens_mask"]]
        if any(all(flags) for flags in marks):
            raise InputError("a sentence has no word that the text tower knows", "leave it out or correct it")
        full = sum(len(tokens) >= self._limit for tokens in found["input_ids"])
        if full:
            _LOG.warning("%d sentences fill the %d tokens that are read; what follows is left out.", full, self._limit)
        return found["input_ids"], [self._reading.counted(flags) for flags in marks]

    def _encode_batch(self, tokens: Tensor, counted: Tensor) -> Tensor:
        tokens = tokens.to(self._model.device)
        hidden = self._model(input_ids=tokens, attention_mask=torch.ones_like(tokens)).last_hidden_state
        return mean_of_tokens(hidden, counted.to(hidden.device)).cpu()


def load_sentence_encoder(
    tower_id: str, folder: Path, reading: Reading, device: torch.device | str, weights: Path | None = None
) -> SentenceEncoder:
    """Load an encoder and its tokenizer from a folder in the form of the Hugging Face hub.

    Args:
        tower_id: see `TextTower.id`.
        folder: config.json, model.safetensors and the tokenizer's files.
        reading: how it reads a sentence.
        device: where it runs.
        weights: safetensors file to take every weight from instead.

    Raises:
        ResourceError: transformers is not installed.
        WeightsError: files are missing or damaged, or the weights are of another network.
    """
    try:
        from transformers import AutoModel, AutoTokenizer
    except ImportError as error:
        raise ResourceError("text towers need transformers", f"run {INSTALL_TRANSFORMERS}") from error
    local = {"local_files_only": True, "trust_remote_code": False}
    try:
        with _no_bars():
            tokenizer = AutoTokenizer.from_pretrained(str(folder), use_fast=True, **local)
            model, found = AutoModel.from_pretrained(
                str(folder), use_safetensors=True, output_loading_info=True, **local
            )
    except Exception as error:  # the library lets through whatever its parts raise
        if isinstance(error, MemoryError):
            raise
        reason = (str(error).strip() or type(error).__name__).splitlines()[0][:200]
        raise WeightsError(f"the text encoder in {folder} cannot be loaded ({reason})", _COMPLETE) from error
    _check_loaded(folder, model, found)
    if weights is not None:
        _replace_weights(model, weights)
    model = model.to(device=device, dtype=reading.dtype).eval().requires_grad_(False)
    return SentenceEncoder(tower_id, model, tokenizer, reading)


_COMPLETE = "give config.json, model.safetensors and the tokenizer's files of an encoder"


def _check_loaded(folder: Path, model: Any, found: dict[str, Any]) -> None:
    """Refuse what the library would fill up at random."""
    missing = sorted(name for name in found["missing_keys"] if not _is_pooler(name))
    if missing:
        raise WeightsError(f"the text encoder in {folder} lacks the weights {missing[0]!r}", _COMPLETE)
    if model.config.is_encoder_decoder:
        raise WeightsError(f"the model in {folder} is not an encoder alone", _COMPLETE)
    if hasattr(model.config, "reference_compile"):
        model.config.reference_compile = (
            False  # compiling ModernBERT takes longer than reading a few thousand sentences
        )


def _replace_weights(model: Any, path: Path) -> None:
    own = model.state_dict()
    given = load_weights(path)
    unused = [name for name in given if name not in own]
    missing = [name for name in own if name not in given and not _is_pooler(name)]
    if unused or missing:
        what = f"holds {unused[0]!r}" if unused else f"lacks {missing[0]!r}"
        raise WeightsError(
            f"the weights file {path} is of another language model: it {what}", "use the one of this tower"
        )
    wrong = [name for name, value in given.items() if value.shape != own[name].shape]
    if wrong:
        raise WeightsError(f"{wrong[0]!r} of {path} has another shape", "use the weights of this tower")
    model.load_state_dict(given, strict=False)


def _is_pooler(name: str) -> bool:
    """A pooler works on [CLS] after the last layer, which no mean of tokens uses."""
    return name.startswith("pooler.")


def _checked(sentences: Sequence[str]) -> Iterator[str]:
    if isinstance(sentences, str):
        raise InputError("a text tower reads a list of sentences, not one text", "put the sentence into a list")
    for number, sentence in enumerate(sentences, 1):
        if not sentence.strip():
            raise InputError(f"sentence {number} of {len(sentences)} is empty", "leave it out")
        if not _is_unicode(sentence):
            raise InputError(f"sentence {number} of {len(sentences)} is not Unicode text", "write it as UTF-8")
        yield sentence.strip()


def _is_unicode(text: str) -> bool:
    """Arguments of a command may carry bytes that are no characters."""
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True


def _batches(tokens: list[list[int]]) -> Iterator[list[int]]:
    """Rows of one length, as many at a time as `BATCH_TOKENS` allows; short ones first."""
    rows_by_length: dict[int, list[int]] = defaultdict(list)
    for row, sentence in enumerate(tokens):
        rows_by_length[len(sentence)].append(row)
    for length, rows in sorted(rows_by_length.items()):
        size = max(1, BATCH_TOKENS // length)
        yield from (rows[start : start + size] for start in range(0, len(rows), size))


@contextmanager
def _no_bars() -> Iterator[None]:
    """The library draws its own bars over ours."""
    from transformers.utils import logging as library

    was_on = library.is_progress_bar_enabled()
    library.disable_progress_bar()
    try:
        yield
    finally:
        if was_on:
            library.enable_progress_bar()
