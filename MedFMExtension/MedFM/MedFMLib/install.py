"""The install page: what is there, what is missing and how big it is; success only after a test in a child process."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Any

from .client import PROTOCOL
from .host import Installer
from .launch import Launch
from .requirements import REQUIREMENTS, SLICER, TORCH, Requirement
from .signals import Signal
from .transport import PipeTransport, Transport

PROBE = Path(__file__).with_name("probe.py")


class InstallState(Enum):
    """UNKNOWN before the first check; CHECKING while the child process looks; READY only when its test passed."""

    UNKNOWN = "unknown"
    CHECKING = "checking"
    READY = "ready"
    INCOMPLETE = "incomplete"
    INSTALLING = "installing"
    FAILED = "failed"


@dataclass(frozen=True)
class PackageLine:
    """One package: what is there of it, and what is to be done."""

    requirement: Requirement
    version: str
    is_met: bool

    @property
    def text(self) -> str:
        """For the user."""
        need = self.requirement
        if self.is_met:
            return f"{need.package} {self.version}"
        has = {"": "missing", "broken": "only half installed"}.get(self.version, f"{self.version} is too old")
        return f"{need.package}: {has}; about {need.megabytes} MB, brought by {need.brought_by}"


@dataclass(frozen=True)
class InstallView:
    """What the install page shows.

    Attributes:
        state: see `InstallState`.
        packages: all of them.
        megabytes: about what is missing.
        message: what was found, or what to do; one or two sentences.
        is_install_enabled: whether the Install button can be pressed.
        command: for an external Python, the command line that installs what is missing; "" otherwise.
        python: the Python that computes, with its version.
    """

    state: InstallState
    packages: tuple[PackageLine, ...]
    megabytes: int
    message: str
    is_install_enabled: bool
    command: str
    python: str


class InstallModel:
    """Looks and installs.

    Args:
        launch: the Python to look at.
        installer: installs into Slicer's own Python.
        open_transport: starts the child process.

    Attributes:
        changed: called when `view()` changed.
    """

    def __init__(
        self,
        launch: Callable[[], Launch],
        installer: Installer,
        open_transport: Callable[[Launch, tuple[str, ...]], Transport] = PipeTransport,
    ) -> None:
        self._launch, self._installer, self._open_transport = launch, installer, open_transport
        self._transport: Transport | None = None
        self._output: list[bytes] = []
        self._found: Mapping[str, Any] = {}
        self._has_installed = False
        self.state, self.message, self.changed = InstallState.UNKNOWN, "", Signal()

    def check(self, device: str = "auto") -> None:
        """Let a child process look, and compute a little; the answer comes by `pump`."""
        self._stop()
        self._output, self._found = [], {}
        self.state, self.message = InstallState.CHECKING, "Looking at the Python that computes\u2026"
        packages = (requirement.package for requirement in REQUIREMENTS)
        try:
            self._transport = self._open_transport(self._launch(), ("-u", str(PROBE), device, *packages))
        except (OSError, ValueError) as error:
            self.state = InstallState.FAILED
            self.message = f"The Python that computes cannot be started ({error}). Choose another one under Advanced."
        self.changed.emit()

    def install(self) -> None:
        """Install what is missing, torch through the PyTorch extension alone, and then check again."""
        if self.state not in (InstallState.INCOMPLETE, InstallState.FAILED) or self._launch().is_external:
            return
        missing = [line.requirement for line in self._packages() if not line.is_met]
        self.state, self.message = InstallState.INSTALLING, "Installing\u2026"
        self.changed.emit()
        try:
            if any(need.brought_by == TORCH for need in missing):
                first = self._installer.can_install_torch()
                if first:
                    raise RuntimeError(first)
                self._installer.install_torch()
            lines = tuple(need.line for need in missing if need.brought_by != TORCH)
            if lines:
                self._installer.install(lines)
        except Exception as error:  # refusals, and whatever pip meets
            self.state, self.message = InstallState.FAILED, f"Not installed: {error}"
            self.changed.emit()
            return
        self._has_installed = True
        self.check()

    def pump(self) -> bool:
        """Take what the child process said; whether it is still looking."""
        if self._transport is None:
            return False
        self._output += self._transport.receive()
        code = self._transport.exit_code()
        if code is None:
            return True
        transport, self._transport = self._transport, None
        transport.stop(0.0)
        self._judge(code, transport.log())
        self.changed.emit()
        return False

    def close(self) -> None:
        """The panel goes away."""
        self._stop()
        self.changed.clear()

    def view(self) -> InstallView:
        """What the page shows."""
        launch, lines = self._launch(), self._packages()
        missing = [line.requirement for line in lines if not line.is_met] if self._found else []
        can_install = self.state in (InstallState.INCOMPLETE, InstallState.FAILED) and bool(missing)
        names = " ".join(f'"{need.line}"' for need in missing)
        version = self._found.get("python", "")
        return InstallView(
            self.state,
            lines if self._found else (),
            sum(need.megabytes for need in missing),
            self.message,
            can_install and not launch.is_external,
            f'"{launch.python}" -m pip install {names}' if launch.is_external and missing else "",
            f"{launch.python}{f' (Python {version})' if version else ''}",
        )

    def _packages(self) -> tuple[PackageLine, ...]:
        versions = self._found.get("packages", {})
        return tuple(
            PackageLine(need, versions.get(need.package, ""), need.is_met_by(versions.get(need.package, "")))
            for need in REQUIREMENTS
        )

    def _judge(self, code: int, log: tuple[str, ...]) -> None:
        self._found = _answer(self._output)
        if not self._found:
            last = next((line for line in reversed(log) if line.strip()), f"it ended with code {code}")
            self.state, self.message = InstallState.FAILED, f"The test could not be run ({last})."
            return
        missing = [line for line in self._packages() if not line.is_met]
        if missing:
            self.state = InstallState.FAILED if self._has_installed else InstallState.INCOMPLETE
            self.message = self._missing_sentence(missing)
        elif not self._found["torch_works"]:
            self.state, self.message = InstallState.FAILED, f"PyTorch does not work: {self._found['torch_detail']}."
        elif not self._found["core_works"]:
            self.state, self.message = InstallState.FAILED, f"MedFM does not work: {self._found['core_detail']}."
        elif self._found["protocol"] != PROTOCOL:
            self.state = InstallState.FAILED
            self.message = "The panel and medfm are of different releases; install both of one."
        else:
            self.state = InstallState.READY
            self.message = f"Everything is there, and works: {self._found['torch_detail']}."

    def _missing_sentence(self, missing: list[PackageLine]) -> str:
        size = sum(line.requirement.megabytes for line in missing)
        names = ", ".join(line.requirement.package for line in missing)
        sentence = f"Missing: {names}; about {size} MB in all."
        if any(line.requirement.brought_by == SLICER for line in missing) and not self._launch().is_external:
            sentence += " Some of it comes with Slicer 5.12 and later: update Slicer."
        return f"{sentence} Restart Slicer, then check again." if self._has_installed else sentence

    def _stop(self) -> None:
        transport, self._transport = self._transport, None
        if transport is not None:
            transport.stop(0.0)


def _answer(lines: list[bytes]) -> Mapping[str, Any]:
    """The last line that is JSON; packages may print what they like before."""
    for line in reversed(lines):
        try:
            found = json.loads(line)
        except ValueError:
            continue
        if isinstance(found, dict) and "packages" in found:
            return found
    return {}
