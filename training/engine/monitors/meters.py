"""Means of scalars between two lines of the log, without waiting for the device in the loop.

Tensors are added up where they are; only `Meters.flush` copies them to the host, all in one go.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor

AllReduce = Callable[[Tensor], Tensor]


class Meters:
    """Running means of named scalars, and the largest value of some.

    Args:
        keep_largest: names whose largest value on this process is kept too, as `<name>_max`.
    """

    def __init__(self, keep_largest: tuple[str, ...] = ()) -> None:
        self._keep_largest = frozenset(keep_largest)
        self._clear()

    def add(self, scalars: Mapping[str, Tensor | float | int | None]) -> None:
        """Add one step's scalars.

        Args:
            scalars: values by name; tensors hold one element each, on any device, and may be overwritten afterwards.
                None is left out.
        """
        for name, value in scalars.items():
            if value is None:
                continue
            value = value.detach() if isinstance(value, Tensor) else float(value)
            self._counts[name] = self._counts.get(name, 0) + 1
            self._add_up(name, value)
            if name in self._keep_largest:
                self._compare(name, value)

    def flush(self, all_reduce: AllReduce | None = None) -> dict[str, float]:
        """Return the means since the last flush, and begin anew.

        Args:
            all_reduce: adds up a float64 tensor `(2, names)` on the host over all processes and returns it. Every
                process must have met the same names, and flush at the same step.

        Returns:
            Means by name, in the order they were met, over all additions (of all processes), and `<name>_max` of this
            process. A NaN or an infinity in one step makes the mean so too.
        """
        names = sorted(self._counts)
        sums, largest = _to_host({name: self._sums[name] for name in names}), _to_host(self._largest)
        table = torch.tensor([[sums[name] for name in names], [self._counts[name] for name in names]]).double()
        if all_reduce is not None:
            table = all_reduce(table)
        means = dict(zip(names, (table[0] / table[1]).tolist(), strict=True))
        means = {name: means[name] for name in self._counts}
        self._clear()
        return means | {f"{name}_max": value for name, value in largest.items()}

    def state(self) -> dict[str, Any]:
        """Sums, counts and largest values so far, as JSON can hold them; this waits for the device."""
        return {"sums": _to_host(self._sums), "counts": dict(self._counts), "largest": _to_host(self._largest)}

    def load(self, state: Mapping[str, Any]) -> None:
        """Go on from a state as if nothing had come between."""
        self._sums = {name: float(value) for name, value in state["sums"].items()}
        self._largest = {name: float(value) for name, value in state["largest"].items()}
        self._counts = {name: int(value) for name, value in state["counts"].items()}

    def _clear(self) -> None:
        self._sums: dict[str, Tensor | float] = {}
        self._largest: dict[str, Tensor | float] = {}
        self._counts: dict[str, int] = {}

    def _add_up(self, name: str, value: Tensor | float) -> None:
        if name not in self._sums:
            # A copy: the step's own tensor may be a view of something large, or be overwritten by the next step.
            self._sums[name] = value.reshape(()).float().clone() if isinstance(value, Tensor) else value
        elif isinstance(self._sums[name], Tensor) and isinstance(value, Tensor):
            self._sums[name].add_(value.reshape(()))
        elif isinstance(value, Tensor):  # the sum comes from a checkpoint
            self._sums[name] = self._sums[name] + value.reshape(()).float()
        else:
            self._sums[name] = self._sums[name] + value

    def _compare(self, name: str, value: Tensor | float) -> None:
        if isinstance(value, Tensor):
            value = value.reshape(()).float()
            before = self._largest.get(name)
            before = value if before is None else torch.as_tensor(before, dtype=torch.float32, device=value.device)
            self._largest[name] = torch.maximum(before, value).clone()  # maximum lets NaN through
        else:
            before = float(self._largest.get(name, value))
            self._largest[name] = value if value != value or value > before else before


def _to_host(values: Mapping[str, Tensor | float]) -> dict[str, float]:
    """Copy scalars to the host, those of one device together."""
    host = {name: value for name, value in values.items() if not isinstance(value, Tensor)}
    by_device: dict[torch.device, list[str]] = {}
    for name, value in values.items():
        if isinstance(value, Tensor):
            by_device.setdefault(value.device, []).append(name)
    for names in by_device.values():
        host.update(zip(names, torch.stack([values[name] for name in names]).tolist(), strict=True))
    return host
