"""How the worker is started: which Python, where `medfm_core` lies, and with which environment.

This is the only file of the panel that reads the environment.
"""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

WORKER = ("-u", "-m", "medfm_core.worker")
_OF_SLICER = ("PYTHONHOME", "PYTHONPATH", "PYTHONNOUSERSITE", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH")


@dataclass(frozen=True)
class HubChoices:
    """What the user chose for the hub; "" for what the environment says.

    Attributes:
        cache: folder of fetched weights.
        endpoint: address of the hub or a mirror.
        authorities: file of the certificate authorities to trust.
        proxy: for https.
        offline: never open a connection.
    """

    cache: str = ""
    endpoint: str = ""
    authorities: str = ""
    proxy: str = ""
    offline: bool = False

    def environment(self) -> dict[str, str]:
        """The variables that say so."""
        chosen = {
            "MEDFM_CACHE": self.cache,
            "HF_ENDPOINT": self.endpoint,
            "SSL_CERT_FILE": self.authorities,
            "HTTPS_PROXY": self.proxy,
            "MEDFM_OFFLINE": "1" if self.offline else "",
        }
        return {name: value for name, value in chosen.items() if value}


@dataclass(frozen=True)
class Launch:
    """A Python and what it is started with.

    Attributes:
        python: its path.
        environment: all of it.
        is_external: whether it is not Slicer's own.
    """

    python: str
    environment: Mapping[str, str] = field(default_factory=dict, repr=False)
    is_external: bool = False

    def command(self, *arguments: str) -> list[str]:
        """The command line for this Python."""
        return [self.python, *arguments]


def plan_launch(
    external_python: str = "",
    hub: HubChoices | None = None,
    environment: Mapping[str, str] | None = None,
) -> Launch:
    """Choose the Python that computes.

    Args:
        external_python: path of a Python that is not Slicer's; "" for Slicer's own.
        hub: choices for the hub.
        environment: to begin with; by default ours. For an external Python give the one that Slicer was started with
            (`slicer.util.startupEnvironment()`); what Slicer adds for its own Python is left out in any case.
    """
    base = dict(os.environ if environment is None else environment)
    if external_python:
        base = {name: value for name, value in base.items() if name.upper() not in _OF_SLICER}
    base |= {"PYTHONUTF8": "1", **(hub or HubChoices()).environment()}
    core = core_folder()
    if core:
        base["PYTHONPATH"] = os.pathsep.join(filter(None, (core, base.get("PYTHONPATH", ""))))
    return Launch(external_python or own_python(), base, bool(external_python))


def own_python() -> str:
    """Slicer's Python as a program of its own; outside of Slicer the Python that runs this."""
    found = shutil.which("PythonSlicer")
    if found:
        return found
    for folder in (Path(sys.executable).parent, Path(sys.executable).parent.parent / "bin"):
        for name in ("PythonSlicer", "PythonSlicer.exe"):
            if (folder / name).is_file():
                return str(folder / name)
    return sys.executable


def core_folder() -> str:
    """The folder that holds `medfm_core` where it comes with the extension; "" where it must be installed."""
    for folder in Path(__file__).resolve().parents:
        if (folder / "medfm_core" / "worker" / "__main__.py").is_file():
            return str(folder)
    return ""
