"""A language model of a few thousand parameters with a tokenizer of whole words, in a folder as transformers has it."""

from __future__ import annotations

import os
from pathlib import Path

import torch

os.environ.setdefault("HF_HUB_OFFLINE", "1")  # nothing here may ask the network

STATES = {
    "liver": ("the liver is fatty", "the liver is normal"),
    "spleen": ("the spleen is large", "the spleen is normal"),
    "lung_left": ("the left lung holds a nodule", "the left lung is clear"),
}
_WORDS = sorted({word for pair in STATES.values() for sentence in pair for word in sentence.split()})


def write_language_model(folder: Path, kind: str = "llama", seed: int = 0) -> Path:
    """Random weights and tokenizer."""
    from tokenizers import Tokenizer
    from tokenizers.models import WordLevel
    from tokenizers.pre_tokenizers import Whitespace
    from transformers import GPT2Config, GPT2LMHeadModel, LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    words = ["<unk>", "<s>", "</s>", "Findings", ":", ".", *_WORDS]
    tokenizer = Tokenizer(WordLevel({word: number for number, word in enumerate(words)}, unk_token="<unk>"))
    tokenizer.pre_tokenizer = Whitespace()
    fast = PreTrainedTokenizerFast(tokenizer_object=tokenizer, bos_token="<s>", eos_token="</s>", unk_token="<unk>")
    shared = {"vocab_size": len(words), "bos_token_id": 1, "eos_token_id": 2}
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        if kind == "llama":
            model = LlamaForCausalLM(
                LlamaConfig(
                    hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=2,
                    max_position_embeddings=128, initializer_range=0.2, **shared,
                )
            )  # fmt: skip
        else:
            model = GPT2LMHeadModel(GPT2Config(n_embd=32, n_layer=2, n_head=2, n_positions=128, **shared))
    model.save_pretrained(folder)
    fast.save_pretrained(folder)
    return folder


def teach_language(folder: Path, steps: int = 120) -> Path:
    """Let the language model read reports without their studies, as a real one has read much before."""
    from transformers import AutoModelForCausalLM, AutoTokenizer

    model, tokenizer = AutoModelForCausalLM.from_pretrained(folder), AutoTokenizer.from_pretrained(folder)
    texts = [tokenizer(f"<s> Findings : {study(number)[1]} </s>")["input_ids"] for number in range(8)]
    longest = max(map(len, texts))
    labels = torch.tensor([text + [-100] * (longest - len(text)) for text in texts])
    optimiser = torch.optim.Adam(model.parameters(), 1e-2)
    for _ in range(steps):
        optimiser.zero_grad()
        model(labels.clamp_min(0), attention_mask=(labels >= 0).long(), labels=labels).loss.backward()
        optimiser.step()
    model.save_pretrained(folder)
    return folder


def study(number: int, width: int = 8) -> tuple[dict[str, torch.Tensor], str]:
    """Study of `number`, whose three bits say which organ is ill: normalised embeddings, and the report."""
    organs, sentences = {}, []
    noise = torch.Generator().manual_seed(number)
    for bit, (name, (ill, well)) in enumerate(STATES.items()):
        is_ill = number >> bit & 1
        vector = 0.1 * torch.randn(width, generator=noise)
        vector[bit * 2 + is_ill] += 1
        organs[name] = vector / vector.norm()
        sentences.append(ill if is_ill else well)
    return organs, " . ".join(sentences) + " ."
