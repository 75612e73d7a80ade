"""A language model on this machine, by transformers; nothing is downloaded."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from medfm_core.errors import InputError, ResourceError, WeightsError
from training.data.reports.llm import Message


class LocalModel:
    """A causal language model from a folder.

    Args:
        folder: model and tokenizer as `save_pretrained` writes them, weights as safetensors.
        device: torch device.
        most_tokens: of an answer.

    Raises:
        InputError: there is no such folder.
        ResourceError: transformers is not installed.
        WeightsError: the folder holds no usable model.
    """

    def __init__(self, folder: Path, device: str = "cpu", most_tokens: int = 4096) -> None:
        if not folder.is_dir():
            raise InputError(f"there is no folder {folder}", "give a language model's folder")
        try:
            from transformers import AutoModelForCausalLM, AutoTokenizer
        except ImportError as error:
            raise ResourceError("a local language model needs transformers", "pip install transformers") from error
        try:
            self._tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
            self._model = AutoModelForCausalLM.from_pretrained(folder, local_files_only=True, use_safetensors=True)
        except (OSError, ValueError, KeyError, RuntimeError) as error:
            first = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
            raise WeightsError(f"{folder} holds no usable language model: {first}", "give another folder") from error
        self._model = self._model.to(device).eval()
        self._most = most_tokens
        self.name = folder.name

    def ask(self, messages: Sequence[Message]) -> str:
        """Generate an answer, greedily.

        Raises:
            ResourceError: the report is longer than the model can read.
        """
        import torch

        ids = self._tokenizer(self._prompt(messages), return_tensors="pt").to(self._model.device)
        room = getattr(self._model.config, "max_position_embeddings", None)
        used = ids["input_ids"].shape[1]
        if room is not None and used >= room:
            raise ResourceError(
                f"the question has {used} tokens and {self.name} reads {room}", "use a model with a longer context"
            )
        most = self._most if room is None else min(self._most, room - used)
        padding = self._tokenizer.pad_token_id
        padding = self._tokenizer.eos_token_id if padding is None else padding
        with torch.inference_mode():
            out = self._model.generate(**ids, max_new_tokens=most, do_sample=False, pad_token_id=padding)
        return self._tokenizer.decode(out[0, used:], skip_special_tokens=True)

    def _prompt(self, messages: Sequence[Message]) -> str:
        if getattr(self._tokenizer, "chat_template", None):
            return self._tokenizer.apply_chat_template(list(messages), tokenize=False, add_generation_prompt=True)
        return "\n\n".join(f"{message['role']}: {message['content']}" for message in messages) + "\n\nassistant: "
