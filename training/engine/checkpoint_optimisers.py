"""The state of optimisers by parameter name: tensors to one file, all else to JSON, independent of the processes.

Values are read from and put into the optimiser itself. The state-dict functions of torch would take a step where the
state is empty, ask for a state of every parameter, and cast moments to their parameter's type.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from medfm_core.errors import InputError, WeightsError
from medfm_core.weights import TensorInfo
from training.engine.checkpoint_names import checked_tensor
from training.engine.checkpoint_ranks import gather, is_sharded, spread
from training.engine.checkpoint_tensors import DTYPES

Optimisers = Mapping[str, torch.optim.Optimizer]
Names = Mapping[int, str]
# How an optimiser computes is a matter of the machine that it runs on, not of the run.
_OWN_OPTIONS = {"params", "fused", "foreach", "capturable", "differentiable"}
_TYPES = {str(dtype).removeprefix("torch."): dtype for dtype in DTYPES.values()}
_PLAIN = (bool, int, float, str, type(None))


@dataclass(frozen=True)
class GroupRecord:
    """One parameter group: names of its parameters, and its options as JSON."""

    parameters: tuple[str, ...]
    options: Mapping[str, Any]


@dataclass(frozen=True)
class OptimiserRecord:
    """All of an optimiser but its tensors, which the file names `<optimiser>/<parameter>/<key>`.

    Attributes:
        kind: name of its class.
        groups: its parameter groups.
        state: by parameter and key: `{"tensor": shape}` for what is in the tensors' file, `{"scalar": number, "dtype":
            name}` for a tensor without axes, `{"value": number}` for a plain one.
    """

    kind: str
    groups: tuple[GroupRecord, ...]
    state: Mapping[str, Mapping[str, Any]]

    def __post_init__(self) -> None:
        """Check what types cannot."""
        for name, entries in self.state.items():
            for key, entry in entries.items():
                if not _is_entry(entry):
                    raise ValueError(f"the entry {key!r} of {name} is of an unknown kind")


def gather_optimiser(
    key: str, optimiser: torch.optim.Optimizer, names: Names, tensors: dict[str, Tensor | None]
) -> OptimiserRecord:
    """Describe an optimiser and collect its tensors, whole; all ranks must call.

    Args:
        key: name of the optimiser.
        optimiser: what to read.
        names: parameter names by `id`.
        tensors: receives the tensors by name, None on the other ranks.

    Raises:
        InputError: it moves parameters of no module, or has a state that cannot be stored.
    """
    groups, state = [], {}
    parameters = {id(value) for group in optimiser.param_groups for value in group["params"]}
    if any(id(value) not in parameters for value in optimiser.state):
        raise InputError(f"the optimiser {key!r} keeps state beside that of its parameters", "use another one")
    for group in optimiser.param_groups:
        own = _named_parameters(key, group, names)
        options = {name: _option(key, name, value) for name, value in group.items() if name not in _OWN_OPTIONS}
        groups.append(GroupRecord(tuple(own), options))
        for name, parameter in own.items():
            if parameter in optimiser.state:
                state[name] = {
                    entry: _entry(f"{key}/{name}/{entry}", value, parameter, tensors)
                    for entry, value in optimiser.state[parameter].items()
                }
    return OptimiserRecord(_kind(optimiser), tuple(groups), state)


@dataclass(frozen=True)
class OptimiserFit:
    """Compares optimisers with what a checkpoint holds of them.

    Attributes:
        path: the checkpoint, for messages.
        names: parameter names by `id`.
        found: header of the file of tensors.
    """

    path: Path
    names: Names
    found: Mapping[str, TensorInfo]

    def check(self, key: str, optimiser: torch.optim.Optimizer, record: OptimiserRecord | None) -> None:
        """Compare kind, groups, and the tensors of the state.

        Raises:
            WeightsError: they differ.
            InputError: the optimiser moves parameters of no module.
        """
        problem = self._problem(key, optimiser, record)
        if problem:
            what = f"the checkpoint {self.path} does not fit the optimiser {key!r}: {problem}"
            raise WeightsError(what, "resume with the recipe that it was made with")

    def _problem(self, key: str, optimiser: torch.optim.Optimizer, record: OptimiserRecord | None) -> str | None:
        groups = [_named_parameters(key, group, self.names) for group in optimiser.param_groups]
        if record is None:
            return "it holds none of that name"
        if record.kind != _kind(optimiser):
            return f"it was {record.kind}, not {_kind(optimiser)}"
        if [set(group) for group in groups] != [set(group.parameters) for group in record.groups]:
            return "its parameter groups were others"
        parameters = {name: value for group in groups for name, value in group.items()}
        for name, entries in record.state.items():
            if name not in parameters:
                return f"it has a state for {name}, which is in no group"
            for entry, shape in _tensor_shapes(entries):
                info = self.found.get(f"{key}/{name}/{entry}")
                if info is None or info.shape != shape:
                    return f"{entry} of {name} is missing or of another shape"
                if is_sharded(parameters[name]) and shape != tuple(parameters[name].shape):
                    return f"{entry} of {name} cannot be split as its parameter is"
        return None


def spread_optimiser(
    key: str,
    optimiser: torch.optim.Optimizer,
    record: OptimiserRecord,
    names: Names,
    read: Callable[[str], tuple[Tensor | None, torch.dtype]],
) -> None:
    """Give an optimiser the state that a record describes; all ranks must call.

    Args:
        key: name of the optimiser.
        optimiser: loses the state it has.
        record: fits the optimiser.
        names: parameter names by `id`.
        read: gives a tensor of the file by name (None on the other ranks), and its type.
    """
    optimiser.state.clear()
    for group, saved in zip(optimiser.param_groups, record.groups, strict=True):
        for name, value in saved.options.items():
            group[name] = _restored(group.get(name), value)
        on_device = bool(group.get("fused") or group.get("capturable"))
        for parameter in group["params"]:
            name = names[id(parameter)]
            if name not in record.state:
                continue
            own: dict[str, Any] = {}
            for entry, value in record.state[name].items():
                if "tensor" in value:
                    whole, dtype = read(f"{key}/{name}/{entry}")
                    own[entry] = _laid_out_like(parameter, tuple(value["tensor"]), dtype)
                    spread(whole, own[entry])
                else:
                    own[entry] = _scalar(value, parameter.device if on_device else torch.device("cpu"))
            optimiser.state[parameter] = own


def _named_parameters(key: str, group: Mapping[str, Any], names: Names) -> dict[str, Tensor]:
    named = {}
    for parameter in group["params"]:
        if id(parameter) not in names:
            shape = list(parameter.shape)
            raise InputError(
                f"the optimiser {key!r} moves a parameter of shape {shape} that is in no module of the checkpoint",
                "pass every module that it trains",
            )
        named[names[id(parameter)]] = parameter
    return named


def _kind(optimiser: torch.optim.Optimizer) -> str:
    """Name of an optimiser's class; Fabric puts its own name before it."""
    return type(optimiser).__name__.removeprefix("Fabric")


def _is_entry(entry: Any) -> bool:
    if not isinstance(entry, dict):
        return False
    if set(entry) == {"tensor"}:
        return isinstance(entry["tensor"], list) and all(type(side) is int for side in entry["tensor"])
    if set(entry) == {"scalar", "dtype"}:
        return isinstance(entry["scalar"], (bool, int, float)) and entry["dtype"] in _TYPES
    return set(entry) == {"value"} and isinstance(entry["value"], _PLAIN)


def _tensor_shapes(entries: Mapping[str, Any]) -> Iterator[tuple[str, tuple[int, ...]]]:
    for entry, value in entries.items():
        if "tensor" in value:
            yield entry, tuple(value["tensor"])


def _entry(name: str, value: Any, parameter: Tensor, tensors: dict[str, Tensor | None]) -> dict[str, Any]:
    if isinstance(value, _PLAIN):
        return {"value": value}
    if not isinstance(value, Tensor):
        raise InputError(f"{name} is a {type(value).__name__}, which a checkpoint cannot hold", "use another optimiser")
    checked_tensor(name, value)
    if value.ndim == 0 and not is_sharded(value):
        return {"scalar": value.item(), "dtype": str(value.dtype).removeprefix("torch.")}
    if is_sharded(parameter) and (value.shape != parameter.shape or not is_sharded(value)):
        raise InputError(f"{name} is not split as its parameter is", "train without FSDP or use another optimiser")
    tensors[name] = gather(value)
    return {"tensor": list(value.shape)}


def _scalar(entry: Mapping[str, Any], device: torch.device) -> Any:
    if "scalar" not in entry:
        return entry["value"]
    return torch.tensor(entry["scalar"], dtype=_TYPES[entry["dtype"]], device=device)


def _option(key: str, name: str, value: Any) -> Any:
    if isinstance(value, Tensor) and value.numel() == 1:
        return value.item()
    if isinstance(value, _PLAIN):
        return value
    if isinstance(value, (tuple, list)):
        return [_option(key, name, item) for item in value]
    raise InputError(
        f"the option {name!r} of the optimiser {key!r} is a {type(value).__name__}, which a checkpoint cannot hold",
        "use plain numbers and texts",
    )


def _restored(present: Any, value: Any) -> Any:
    """An option as the optimiser keeps it: JSON knows neither tuples nor tensors."""
    if isinstance(present, Tensor):
        return present.fill_(value)
    return tuple(value) if isinstance(present, tuple) and isinstance(value, list) else value


def _laid_out_like(parameter: Tensor, shape: tuple[int, ...], dtype: torch.dtype) -> Tensor:
    """An empty tensor with the memory layout of its parameter: a fused optimiser walks both in memory order."""
    if tuple(parameter.shape) == shape:
        return torch.empty_like(parameter, dtype=dtype, requires_grad=False)
    return torch.empty(shape, dtype=dtype, device=parameter.device)
