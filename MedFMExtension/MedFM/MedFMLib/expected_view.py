"""How long and how much memory a run will take, by device, before Run is pressed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from .asking import Asking
from .client import Device, WorkerClient
from .host import VolumeFacts
from .run_progress import duration


@dataclass(frozen=True)
class DeviceChoice:
    """One line of the device menu.

    Attributes:
        name: for the worker: "auto", "cpu", "cuda:0", "mps".
        title: for the user, with the expected time where it is known.
        seconds: expected; None where nothing is known.
        basis: where that figure comes from.
    """

    name: str
    title: str
    seconds: float | None = None
    basis: str = ""


@dataclass(frozen=True)
class Plan:
    """What the worker expects of a run.

    Attributes:
        seconds: by device: expected time, None where nothing is known, and where the figure comes from.
        memory_gb: planned peak of main memory; None where it does not fit, or is not known.
        free_gb: what is free.
        problem: why it does not fit, one sentence; "" where it does.
        warnings: about the scan's geometry.
    """

    seconds: Mapping[str, tuple[float | None, str]]
    memory_gb: float | None
    free_gb: float
    problem: str
    warnings: tuple[str, ...]


class ExpectedModel:
    """Keeps the plan of the chosen volume, model and devices up to date.

    Attributes:
        asking: the request; its `changed` is called when `choices` or `sentence` changed.
    """

    def __init__(self, client: WorkerClient) -> None:
        self._client = client
        self._asked: dict[str, Any] | None = None
        self.asking: Asking[Plan] = Asking(client, "plan", _read)

    def update(
        self,
        facts: VolumeFacts | None,
        model: str = "",
        findings_model: str = "",
        brains: Mapping[str, Any] | None = None,
    ) -> None:
        """Ask anew where something changed.

        Args:
            facts: of the volume; None for nothing to expect.
            model: "" for the default one.
            findings_model: "" for the default one.
            brains: further arguments of the request, for brain MRI.
        """
        arguments = None if facts is None else {**self._arguments(facts, model, findings_model), **(brains or {})}
        if arguments == self._asked:
            return
        self._asked = arguments
        if arguments is None:
            self.asking.forget()
        else:
            self.asking.ask(arguments)

    def forget(self) -> None:
        """Know nothing, so that the next `update` asks."""
        self._asked = None
        self.asking.forget()

    def choices(self) -> tuple[DeviceChoice, ...]:
        """The device menu: first the worker's own choice, then every device."""
        devices = self._client.devices or ()
        best = _best(devices)
        lines = [self._choice("auto", f"Automatic ({best})" if best else "Automatic", best)]
        return (*lines, *(self._choice(d.name, f"{d.name.upper()}: {d.title}{_room(d)}", d.name) for d in devices))

    def sentence(self) -> str:
        """Memory in one sentence; "" while nothing is known."""
        plan = self.asking.answer
        if plan is None:
            return self.asking.problem
        if plan.problem:
            return plan.problem
        if plan.memory_gb is None:
            return f"{plan.free_gb:.1f} GB of memory are free."
        return f"Needs about {plan.memory_gb:.1f} GB of memory; {plan.free_gb:.1f} GB are free."

    def accelerator_sentence(self) -> str:
        """What is said loudly where no GPU is used."""
        devices = self._client.devices
        if devices is None or any(device.name != "cpu" for device in devices):
            return ""
        return "No GPU was found: the CPU computes."

    def _arguments(self, facts: VolumeFacts, model: str, findings_model: str) -> dict[str, Any]:
        grid = {
            "shape": list(facts.shape),
            "spacing_mm": list(facts.spacing_mm),
            "voxel_bytes": facts.voxel_bytes,
        }
        named = {"model": model, "findings_model": findings_model}
        devices = [device.name for device in self._client.devices or ()] or ["cpu"]
        return {"grid": grid, "devices": devices, **{name: value for name, value in named.items() if value}}

    def _choice(self, name: str, title: str, device: str) -> DeviceChoice:
        plan = self.asking.answer
        seconds, basis = plan.seconds.get(device, (None, "")) if plan else (None, "")
        time = "" if seconds is None else f", about {duration(seconds)}"
        return DeviceChoice(name, title + time, seconds, basis)


def _read(event: Mapping[str, Any]) -> Plan:
    seconds = {name: (found["seconds"], found["basis"]) for name, found in event["devices"].items()}
    return Plan(seconds, event["memory_gb"], event["free_gb"], event["problem"], tuple(event["warnings"]))


def _best(devices: tuple[Device, ...]) -> str:
    """What the worker takes by itself: the first CUDA device, else the CPU."""
    names = [device.name for device in devices]
    return next((name for name in names if name.startswith("cuda")), "cpu" if names else "")


def _room(device: Device) -> str:
    if device.free is None or device.total is None:
        return ""
    return f", {device.free / 1e9:.1f} of {device.total / 1e9:.1f} GB free"
