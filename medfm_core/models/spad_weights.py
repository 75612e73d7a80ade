"""The SPAD networks' weights, under our names of the parameters or under the published ones.

The published checkpoints (`simple-soft.ckpt`, `pumit-b.ckpt`) have no licence: whoever has them may use them here, none
is shipped or fetched. `tokenizer_side` and `masked_side` take them apart; saved as safetensors, the loaders read them.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from medfm_core.errors import WeightsError
from medfm_core.models.spad_masked import SpadMaskedModel
from medfm_core.models.spad_names import MASK_NAMES, Names, masked_names, shapes_of, tokenizer_names, vit_names
from medfm_core.models.spad_tokenizer import SpadTokenizer, SpadTokenizerConfig
from medfm_core.models.spad_vit import SpadVit, SpadVitConfig
from medfm_core.weights import check_safetensors, load_weights

Model = TypeVar("Model", bound=nn.Module)
_TOKENIZER = ("encoder.", "decoder.", "quantize.")
_VIT = ("cls_token", "pos_embed", "patch_embed.", "blocks.", "norm.")
_MASK = ("mask_token", "mim_head.")
_USE_TOKENIZER = "use the file of the published SPAD tokenizer"
_USE_VIT = "use the file of the published SPAD-ViT"


def tokenizer_side(checkpoint: Mapping[str, Any]) -> dict[str, Tensor]:
    """Take the tokenizer out of its published checkpoint.

    Where there is no projection to logits, the codebook itself is one, without bias.

    Args:
        checkpoint: as read (tensors under `model`, beside a discriminator and optimisers), or its tensors by name.

    Returns:
        Tensors by published name.

    Raises:
        WeightsError: it is not one of the tokenizer.

    Source: SPAD spec, sections 3 and 9.
    """
    found = _tensors(checkpoint, "model", _TOKENIZER, "the SPAD tokenizer", _USE_TOKENIZER)
    codebook = found.get("quantize.embedding.weight")
    if codebook is not None and "quantize.proj.weight" not in found:
        found["quantize.proj.weight"] = codebook.clone()
        found["quantize.proj.bias"] = torch.zeros_like(codebook[:, 0])
    return found


def masked_side(checkpoint: Mapping[str, Any]) -> dict[str, Tensor]:
    """Take the transformer, its mask token and its head out of its published checkpoint.

    Args:
        checkpoint: as read (tensors under `state_dict`), or its tensors by name.

    Returns:
        Tensors by published name.

    Raises:
        WeightsError: it is not one of SPAD-ViT.

    Source: SPAD spec, section 9.
    """
    return _tensors(checkpoint, "state_dict", _VIT + _MASK, "SPAD-ViT", _USE_VIT)


def load_spad_tokenizer(
    path: str | Path, config: SpadTokenizerConfig, device: torch.device | str = "cpu"
) -> SpadTokenizer:
    """Build the tokenizer and load its weights strictly, in fp32 and evaluation mode.

    Args:
        path: a safetensors file of the tokenizer and nothing else, with our names or the published ones.
        config: the architecture; published weights want `up_reduction` "sum".
        device: where the net goes.

    Raises:
        WeightsError: weights missing, damaged or of another network.
    """
    return _load(path, SpadTokenizer, (config,), tokenizer_names(config), device)


def load_spad_vit(path: str | Path, config: SpadVitConfig, device: torch.device | str = "cpu") -> SpadVit:
    """Build the transformer and load its weights strictly; see `load_spad_tokenizer`.

    Args:
        path: a safetensors file with our names or the published ones; a published one may hold the mask token and the
            head too, which are left out.
        config: the architecture.
        device: where the net goes.

    Raises:
        WeightsError: weights missing, damaged or of another network.
    """
    names = vit_names(config)
    found = check_safetensors(path).tensors
    extra = {name: found[name].shape for name in MASK_NAMES.values() if name in found}
    return _load(path, SpadVit, (config,), names, device, extra)


def load_spad_masked(
    path: str | Path, config: SpadVitConfig, tokens: int = 1024, mask_layer: int = 0, device: torch.device | str = "cpu"
) -> SpadMaskedModel:
    """Build the transformer with mask token and head and load their weights strictly; see `load_spad_tokenizer`.

    Args:
        path: a safetensors file with our names or the published ones.
        config: the architecture of the transformer.
        tokens: entries of the tokenizer's codebook.
        mask_layer: block before which mask tokens enter.
        device: where the net goes.

    Raises:
        WeightsError: weights missing, damaged or of another network.
    """
    return _load(path, SpadMaskedModel, (config, tokens, mask_layer), masked_names(config), device)


def _load(
    path: str | Path,
    kind: type[Model],
    arguments: tuple[Any, ...],
    names: Names,
    device: torch.device | str,
    extra: Mapping[str, tuple[int, ...]] | None = None,
) -> Model:
    """Build a model and load it under the names that the file uses; `extra` tensors are allowed for and left out."""
    shapes = shapes_of(kind, *arguments)
    # A few names are the same in both, so what tells them apart is a name that only the published ones have.
    only_published = set(names.values()) - set(names)
    published = any(name in only_published for name in check_safetensors(path).tensors)
    used = names if published else {name: name for name in shapes}
    expected = {used[name]: shape for name, shape in shapes.items()}
    state = load_weights(path, expected | dict(extra or {}), str(device))
    with torch.device("meta"):
        model = kind(*arguments)
    model.load_state_dict({name: state[used[name]].float() for name in shapes}, strict=True, assign=True)
    return model.eval().requires_grad_(False)


def _tensors(
    checkpoint: Mapping[str, Any], key: str, prefixes: tuple[str, ...], what: str, fix: str
) -> dict[str, Tensor]:
    """Its tensors by name, out of what the trainer wrapped them in; all must begin with one of the prefixes."""
    tensors = checkpoint.get(key, checkpoint)
    plain = {name.removeprefix("module."): value for name, value in tensors.items()}
    unknown = [name for name, value in plain.items() if not name.startswith(prefixes) or not torch.is_tensor(value)]
    if unknown or not plain:
        holds = repr(unknown[0]) if unknown else "nothing"
        raise WeightsError(f"the checkpoint is not one of {what}: it holds {holds}", fix)
    return plain
