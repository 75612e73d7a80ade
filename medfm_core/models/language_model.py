"""Causal language models of the transformers library: found, checked and frozen."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor, nn

from medfm_core.errors import ResourceError, WeightsError

HUB_PREFIX = "hf:"
_SAMPLES_PER_TENSOR = 64
_TYPES = {"fp32": torch.float32, "bf16": torch.bfloat16}

Precision = Literal["fp32", "bf16"]


@dataclass(frozen=True)
class LanguageModel:
    """A frozen causal language model with its tokenizer; not a module, so that no checkpoint takes it in.

    Attributes:
        model: of transformers, in evaluation mode, without gradients of its own.
        tokenizer: of transformers.
    """

    model: nn.Module
    tokenizer: Any

    @property
    def width(self) -> int:
        """Channels of its tokens."""
        return self.model.get_input_embeddings().weight.shape[1]

    @property
    def end(self) -> int:
        """The token that ends a text.

        Raises:
            WeightsError: the tokenizer has none.
        """
        if self.tokenizer.eos_token_id is None:
            raise WeightsError("the language model's tokenizer has no token for the end", "use another language model")
        return int(self.tokenizer.eos_token_id)

    def embed(self, tokens: Tensor) -> Tensor:
        """Embed token numbers, `(B, L)` to `(B, L, width)`."""
        return self.model.get_input_embeddings()(tokens)

    def fingerprint(self) -> str:
        """What tells its weights from others, 16 hexadecimal digits: names, shapes and some values of all tensors.

        It is the same in fp32 and bf16.
        """
        digest = hashlib.sha256()
        for name, value in sorted(self.model.state_dict().items()):
            flat = value.detach().reshape(-1)
            places = torch.linspace(0, max(len(flat) - 1, 0), min(_SAMPLES_PER_TENSOR, len(flat)), dtype=torch.float64)
            some = flat[places.long().to(flat.device)].to(torch.bfloat16).float().cpu()
            digest.update(f"{name} {tuple(value.shape)}\n".encode())
            digest.update(some.numpy().tobytes())
        return digest.hexdigest()[:16]


@dataclass(frozen=True)
class LanguageModelPlace:
    """Where a language model is, and how it is read.

    Attributes:
        name: folder on this machine, or `hf:owner/name` on the Hugging Face Hub.
        revision: commit on the Hub; None for the newest.
        precision: of its frozen weights.
        download: fetch from the Hub what is not on this machine.
    """

    name: str
    revision: str | None = None
    precision: Precision = "fp32"
    download: bool = False


def load_language_model(place: LanguageModelPlace) -> LanguageModel:
    """Load a language model, from safetensors only and without running code that comes with it.

    Args:
        place: which, and how.

    Raises:
        ResourceError: transformers is not installed.
        WeightsError: it is not there, not causal, not in safetensors, or needs code of its own.
    """
    try:
        from transformers import AutoModelForCausalLM, AutoTokenizer
    except ImportError as problem:
        raise ResourceError(
            "report text by a language model needs transformers", "run pip install 'medfm[text]'"
        ) from problem
    name = place.name.removeprefix(HUB_PREFIX)
    if name == place.name and not Path(name).is_dir():
        raise WeightsError(
            f"there is no folder {name} with a language model", f"give a folder, or {HUB_PREFIX}owner/name for the Hub"
        )
    if name != place.name and not place.download:
        _check_is_here(name, place.revision)
    how = {"revision": place.revision, "trust_remote_code": False, "local_files_only": not place.download}
    logging.getLogger(__name__).info("loading the language model %s", place.name)
    try:
        with _without_bars():
            tokenizer = AutoTokenizer.from_pretrained(name, **how)
            kind = _TYPES[place.precision]
            model = AutoModelForCausalLM.from_pretrained(name, use_safetensors=True, dtype=kind, **how)
    except Exception as problem:  # the library raises many kinds, all of them about the model that was named
        says = " ".join(str(problem).split())[:300]
        raise WeightsError(
            f"the language model {place.name} cannot be loaded ({says})",
            "use a causal language model in safetensors, of an architecture that transformers has itself",
        ) from problem
    return LanguageModel(model.eval().requires_grad_(False), tokenizer)


def _check_is_here(repository: str, revision: str | None) -> None:
    """Say that a model of the Hub has not been fetched, before the library speaks of connections."""
    from huggingface_hub import try_to_load_from_cache
    from huggingface_hub.errors import HFValidationError

    try:
        found = try_to_load_from_cache(repository, "config.json", revision=revision)
    except HFValidationError as problem:
        raise WeightsError(
            f"{repository!r} is not the name of a model on the Hub", "write it as owner/name"
        ) from problem
    if not isinstance(found, str):
        raise WeightsError(
            f"the language model {repository} is not on this machine", "set objective.download, or give its folder"
        )


@contextmanager
def _without_bars() -> Iterator[None]:
    """Keep the library's own progress bars out of ours."""
    from transformers.utils import logging as library

    were_on = library.is_progress_bar_enabled()
    library.disable_progress_bar()
    try:
        yield
    finally:
        if were_on:
            library.enable_progress_bar()
