"""What the published SPAD checkpoints call each of our parameters."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import nn

from medfm_core.models.spad_tokenizer import SpadTokenizerConfig
from medfm_core.models.spad_vit import SpadVitConfig

Names = dict[str, str]
MASK_NAMES: Names = {
    "mask_token": "mask_token",
    "head.0.weight": "mim_head.0.weight",
    "head.0.bias": "mim_head.0.bias",
    "head.2.weight": "mim_head.2.weight",
    "head.2.bias": "mim_head.2.bias",
}
"""The part of `SpadMaskedModel` around the transformer."""
_BLOCK = {
    "attention_norm": "norm1",
    "attention.query": "attn.q_proj",
    "attention.key": "attn.k_proj",
    "attention.value": "attn.v_proj",
    "attention.projection": "attn.proj",
    "mlp_norm": "norm2",
    "mlp.gate": "mlp.w1",
    "mlp.widen": "mlp.w2",
    "mlp.norm": "mlp.ffn_ln",
    "mlp.narrow": "mlp.w3",
}
_BIASES = {"attn.q_proj.bias": "attn.q_bias", "attn.v_proj.bias": "attn.v_bias"}


def tokenizer_names(config: SpadTokenizerConfig) -> Names:
    """Pair each parameter of `SpadTokenizer` with its published name; ours to theirs, one to one.

    Source: SPAD spec, section 9.
    """
    down = len(config.widths)
    modules = {"quantiser.projection": "quantize.proj", "decoder.draw": f"decoder.{5 + down}"}
    for step in range(down):
        modules |= _step(f"encoder.steps.{step}", f"encoder.{3 * step}", f"encoder.{3 * step + 1}.1")
    for step in range(2):
        first = 3 * (down + step)
        modules |= _step(f"encoder.steps.{down + step}", f"encoder.{first}", f"encoder.{first + 1}")
        modules |= _step(f"decoder.steps.{step}", f"decoder.{3 * step}", f"decoder.{3 * step + 1}")
    for up in range(down - 1):
        place = f"decoder.{6 + up}"
        modules[f"decoder.steps.{2 + 2 * up}"] = f"{place}.transposed_conv"
        modules |= _step(f"decoder.steps.{3 + 2 * up}", f"{place}.conv.0", f"{place}.conv.1")
    names = _both_leaves(modules)
    return names | {"quantiser.codebook": "quantize.embedding.weight"}


def vit_names(config: SpadVitConfig) -> Names:
    """Pair each parameter of `SpadVit` with its published name; ours to theirs, one to one.

    Source: SPAD spec, section 9.
    """
    names = {"class_token": "cls_token", "positions.table": "pos_embed"}
    names |= _both_leaves({"patch_embedding": "patch_embed.proj", "norm": "norm"})
    for block in range(config.depth):
        for ours, theirs in _both_leaves(_BLOCK).items():
            if ours != "attention.key.bias":
                names[f"blocks.{block}.{ours}"] = f"blocks.{block}.{_BIASES.get(theirs, theirs)}"
    return names


def masked_names(config: SpadVitConfig) -> Names:
    """Pair each parameter of `SpadMaskedModel` with its published name; ours to theirs, one to one."""
    return {f"encoder.{ours}": theirs for ours, theirs in vit_names(config).items()} | MASK_NAMES


def shapes_of(kind: type[nn.Module], *arguments: object) -> dict[str, tuple[int, ...]]:
    """Shape of each parameter that a model would have, without making it."""
    with torch.device("meta"):
        return {name: tuple(value.shape) for name, value in kind(*arguments).state_dict().items()}


def _step(ours: str, convolution: str, norm: str) -> Names:
    return {f"{ours}.convolution": convolution, f"{ours}.norm": norm}


def _both_leaves(modules: Mapping[str, str]) -> Names:
    return {f"{a}.{leaf}": f"{b}.{leaf}" for a, b in modules.items() for leaf in ("weight", "bias")}
