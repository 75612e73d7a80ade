"""Installs packages into Slicer's own Python: torch by the PyTorch extension alone, all else by `slicer.packaging`."""

from __future__ import annotations

import importlib.util
import inspect
import os
from collections.abc import Callable
from typing import Any

_TORCH = ">=2.8"
_NOT_ON_WINDOWS = ",!=2.13.*"  # its licence folders are too deep for Windows' paths of 260 characters


class SlicerInstaller:
    """Asks the user by Slicer's own windows, which also show the log."""

    def can_install_torch(self) -> str:
        """What the user must do first, one sentence; empty where the PyTorch extension is there."""
        if importlib.util.find_spec("PyTorchUtils") is not None:
            return ""
        return "Install the extension PyTorch in the Extensions Manager, and restart Slicer."

    def install_torch(self) -> None:
        """Install torch.

        Raises:
            RuntimeError: the user refused, or it failed.
        """
        from PyTorchUtils import PyTorchUtilsLogic

        wanted = {
            "askConfirmation": True,
            "torchVersionRequirement": _TORCH + (_NOT_ON_WINDOWS if os.name == "nt" else ""),
        }
        if _call(PyTorchUtilsLogic().installTorch, **wanted) is None:
            raise RuntimeError("PyTorch was not installed; the log of Slicer says why.")

    def install(self, requirements: tuple[str, ...]) -> None:
        """Install other packages.

        Raises:
            RuntimeError: the user refused, this Slicer is too old, or pip failed.
        """
        try:
            from slicer.packaging import pip_ensure
        except ImportError as error:
            raise RuntimeError("Slicer 5.12 or newer is needed to install packages.") from error
        _call(pip_ensure, list(requirements), requester="MedFM")


def _call(function: Callable[..., Any], *values: Any, **wanted: Any) -> Any:
    """Call a function of another extension with those of the named arguments that its release knows."""
    known = inspect.signature(function).parameters
    return function(*values, **{name: value for name, value in wanted.items() if name in known})
