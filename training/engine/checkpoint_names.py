"""The tensors of modules by name, as a plain module names them, whatever is put around it for training."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from medfm_core.errors import InputError
from training.engine.checkpoint_tensors import DTYPES

Modules = Mapping[str, nn.Module]
# What torch.compile, activation checkpointing and Fabric put into names; DistributedDataParallel's is a usual word.
_WRAPPERS = {"_orig_mod", "_checkpoint_wrapped_module", "_forward_module", "_original_module"}


def live_tensors(modules: Modules) -> dict[str, Tensor]:
    """Parameters and persistent buffers of modules, tied ones once under their first name.

    Args:
        modules: by name; `<module>.<name>` are the tensors' names.

    Returns:
        The tensors themselves; those of a module split by `fully_shard` as DTensors.

    Raises:
        InputError: a module's name has a dot, or it has a state that cannot be stored.
    """
    named: dict[str, Tensor] = {}
    for prefix, module in modules.items():
        if not prefix or "." in prefix:
            raise InputError(f"a module of a checkpoint cannot be named {prefix!r}", "give it a name without dots")
        state = module.state_dict(keep_vars=True)  # before all else: it makes FSDP put its shards back into place
        live = {id(value) for value in (*module.parameters(), *module.buffers())}
        seen: set[int] = set()
        for raw, value in state.items():
            name = f"{prefix}.{_plain_name(module, raw)}"
            if id(value) not in live:
                raise InputError(f"{name} is neither a parameter nor a buffer", "keep such state in a buffer")
            if id(value) not in seen:
                named[name] = checked_tensor(name, value)
            seen.add(id(value))
    return named


def names_by_id(live: Mapping[str, Tensor]) -> dict[int, str]:
    """Name of each tensor by its `id`; the first where modules share it."""
    names: dict[int, str] = {}
    for name, value in live.items():
        names.setdefault(id(value), name)
    return names


def checked_tensor(name: str, value: Tensor) -> Tensor:
    """Return a tensor that a checkpoint can hold.

    Raises:
        InputError: it cannot.
    """
    if value.is_meta:
        raise InputError(f"{name} has no values yet", "move the module from the meta device to a real one first")
    if value.dtype not in DTYPES.values() or value.layout != torch.strided:
        raise InputError(f"{name} is {value.dtype}, {value.layout}", "keep dense tensors of real numbers")
    return value


def _plain_name(module: nn.Module, raw: str) -> str:
    kept, here = [], module
    for part in raw.split("."):
        if part not in _WRAPPERS and not (part == "module" and isinstance(here, DistributedDataParallel)):
            kept.append(part)
        here = getattr(here, part, None)
    return ".".join(kept)
