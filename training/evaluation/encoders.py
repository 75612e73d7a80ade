"""What evaluation asks of an encoder, whichever kind of module it is: one vector per sample, or its tokens.

An encoder is a module with `encode(batch) -> (B, F)`, `tokens(batch) -> (B, N, F)`, or both. An objective of a run has
the first; its exported network, or the backbone of that, mostly gives tokens when called with the image. A plain
network is called with the image too.
"""

from __future__ import annotations

import copy
import hashlib

import torch
from torch import Tensor, nn

from medfm_core.errors import InputError
from medfm_core.models.encoded import pooled

Batch = dict[str, Tensor]


def pooled_features(encoder: nn.Module, batch: Batch) -> Tensor:
    """One vector per sample, `(B, F)`: what `encode` or the network gives, or the mean of the tokens.

    A network whose `pooling` says so has its first token taken instead.

    Raises:
        InputError: the encoder gives neither.
    """
    try:
        features = _called(encoder, "encode", batch)
    except NotImplementedError:  # an objective that has none of its own
        features = token_features(encoder, batch)
    if features.ndim == 3:
        features = pooled(features, getattr(encoder, "pooling", "mean"))
    if features.ndim != 2:
        raise InputError(f"the encoder gives features of shape {tuple(features.shape)}", "encode must give (B, F)")
    return features


def token_features(encoder: nn.Module, batch: Batch) -> Tensor:
    """The tokens of each sample, `(B, N, F)`.

    Raises:
        InputError: the encoder has none.
    """
    inner = encoder
    while not hasattr(inner, "tokens"):
        if hasattr(inner, "exported"):
            inner = inner.exported()
        elif hasattr(inner, "backbone"):
            inner = inner.backbone
        else:
            break
    encodes_only = not hasattr(inner, "tokens") and hasattr(inner, "encode")
    tokens = None if encodes_only else _called(inner, "tokens", batch)
    if not isinstance(tokens, Tensor) or tokens.ndim != 3:
        raise InputError(f"the encoder {type(encoder).__name__} gives no tokens", "use a probe of kind linear")
    return tokens


def randomised(encoder: nn.Module, seed: int) -> nn.Module:
    """A copy of an encoder that has learnt nothing.

    Layers that can are initialised again; the values of the other parameters (positions, class tokens) are shuffled.
    torch's own generator is as before afterwards.

    Args:
        encoder: stays as it is.
        seed: decides the new weights.
    """
    fresh = copy.deepcopy(encoder)
    done: set[int] = set()
    with torch.random.fork_rng(), torch.no_grad():
        torch.manual_seed(seed)
        for module in fresh.modules():
            if callable(getattr(module, "reset_parameters", None)):
                module.reset_parameters()
                done.update(id(parameter) for parameter in module.parameters(recurse=False))
        for parameter in fresh.parameters():
            if id(parameter) not in done:
                flat = parameter.flatten()
                parameter.copy_(flat[torch.randperm(len(flat), device=flat.device)].view_as(parameter))
    return fresh


def untrained(encoder: nn.Module, seed: int) -> nn.Module:
    """A new network of the same architecture, as it is where a training begins.

    Where a network says no `config` to build it from, a copy is made random; see `randomised`.

    Args:
        encoder: stays as it is; of an objective what it exports is meant.
        seed: decides the weights; torch's own generator is as before afterwards.
    """
    net = encoder.exported() if hasattr(encoder, "exported") else encoder
    if getattr(net, "config", None) is None:
        return randomised(net, seed)
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return type(net)(net.config).eval().requires_grad_(False)


def weights_digest(encoder: nn.Module) -> str:
    """sha256 of all weights and buffers with their names, and of the kind of module."""
    digest = hashlib.sha256(f"{type(encoder).__module__}.{type(encoder).__qualname__}".encode())
    for name, value in sorted(encoder.state_dict().items()):
        if isinstance(value, Tensor):
            digest.update(f"{name} {value.dtype} {tuple(value.shape)}".encode())
            digest.update(value.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy())
    return digest.hexdigest()


def _called(encoder: nn.Module, method: str, batch: Batch) -> Tensor:
    """What a method makes of the batch, or the module of the image where it has no such method."""
    if hasattr(encoder, method):
        return getattr(encoder, method)(batch)
    other = "tokens" if method == "encode" else "encode"
    return getattr(encoder, other)(batch) if hasattr(encoder, other) else encoder(batch["image"])
