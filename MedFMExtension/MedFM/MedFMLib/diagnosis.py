"""A text for bug reports."""

from __future__ import annotations

import platform

from .client import PROTOCOL, WorkerClient
from .install import InstallModel
from .run import RunModel


def diagnosis(client: WorkerClient, install: InstallModel, run: RunModel) -> str:
    """Versions, devices, states, the last log; no names of patients, volumes or files."""
    hello, view = client.hello, install.view()
    devices = ", ".join(f"{d.name} ({d.title})" for d in client.devices or ()) or "not known"
    lines = [
        f"MedFM panel, protocol {PROTOCOL}; Python {platform.python_version()}, {platform.platform()}",
        f"Worker: {client.state.value}; medfm {hello.get('medfm')}, Python {hello.get('python')}, "
        f"torch {hello.get('torch')}",
        f"Devices: {devices}",
        f"Installation: {view.state.value}; length of its path {len(view.python)}; {view.message}",
        *(f"  {line.text}" for line in view.packages),
        f"Run: {run.state.value}",
        *(f"  {line}" for line in client.log()[-20:]),
    ]
    return "\n".join(lines)
