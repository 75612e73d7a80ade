"""The settings of the computer, kept where the program keeps its own, and the Python that they lead to."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from .launch import HubChoices, Launch, plan_launch

_GROUP = "MedFM"
NAMES = ("Python", "Device", "KeepIn", "Cache", "Endpoint", "Authorities", "Proxy", "Offline", "Card")


class Settings:
    """Settings by name, each a text; "" for what is usual.

    Args:
        store: a QSettings, or whatever has its `value` and `setValue`.
    """

    def __init__(self, store: Any) -> None:
        self._store = store

    def __getitem__(self, name: str) -> str:
        return str(self._store.value(f"{_GROUP}/{_known(name)}") or "")

    def __setitem__(self, name: str, value: str) -> None:
        self._store.setValue(f"{_GROUP}/{_known(name)}", value)

    def hub(self) -> HubChoices:
        """What they say of the hub."""
        names = ("Cache", "Endpoint", "Authorities", "Proxy")
        return HubChoices(*(self[name] for name in names), offline=self["Offline"] == "1")

    def launch(self, environment: Callable[[], Mapping[str, str]] | None = None) -> Launch:
        """The Python that computes.

        Args:
            environment: makes what an external Python begins with; see `plan_launch`.
        """
        python = self["Python"]
        return plan_launch(python, self.hub(), environment() if python and environment else None)


def _known(name: str) -> str:
    if name not in NAMES:
        raise KeyError(name)
    return name
