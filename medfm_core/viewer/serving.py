"""Around the viewer: are its packages there, is the port free, which browser opens."""

from __future__ import annotations

import socket
import webbrowser
from importlib.util import find_spec

from medfm_core.errors import ResourceError

HOST = "127.0.0.1"  # what is shown is a patient's: other computers must not reach it
_PACKAGES = ("slicer", "slicer_core", "trame_slicer", "trame_vuetify", "trame_rca")


def check_packages() -> None:
    """Make sure that the extra is installed.

    Raises:
        ResourceError: a package of it is missing.
    """
    missing = [name for name in _PACKAGES if find_spec(name) is None]
    if missing:
        raise ResourceError(
            f"the browser view needs packages that are not installed ({', '.join(missing)})",
            "pip install 'medfm[view]'",
        )


def free_port(wanted: int) -> int:
    """The port to serve on.

    Args:
        wanted: 0 for any that is free.

    Raises:
        ResourceError: the port is taken, or needs rights that this user does not have.
    """
    with socket.socket() as probe:
        try:
            probe.bind((HOST, wanted))
        except OSError as error:
            fix = "choose another with --port, or --port 0 for any that is free"
            raise ResourceError(f"port {wanted} cannot be used ({error.strerror or error})", fix) from error
        return probe.getsockname()[1]


def open_browser(address: str) -> bool:
    """Open the user's browser; False where there is none that could be started."""
    try:
        return webbrowser.open(address)
    except (webbrowser.Error, OSError):
        return False
