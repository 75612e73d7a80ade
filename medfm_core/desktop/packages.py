"""Is there what the window needs: its packages, and a display?"""

from __future__ import annotations

import importlib
from importlib.util import find_spec

from medfm_core.errors import ResourceError
from medfm_core.settings import has_display

_PACKAGES = {"PySide6": "PySide6", "Qt": "Qt.py", "slicer": "slicer-core"}


def check_display() -> None:
    """Make sure that there is something to open a window on.

    Raises:
        ResourceError: there is not.
    """
    if not has_display():
        raise ResourceError(
            "there is no display to open a window on",
            "use `medfm view RESULT` in a browser, or set QT_QPA_PLATFORM=offscreen to write a --screenshot",
        )


def check_packages() -> None:
    """Make sure that the extra is installed.

    Raises:
        ResourceError: a package of it is missing, or the system lacks what Qt stands on.
    """
    missing = [name for module, name in _PACKAGES.items() if find_spec(module) is None]
    if missing:
        raise ResourceError(
            f"the panel needs packages that are not installed ({', '.join(missing)})", "pip install 'medfm[panel]'"
        )
    try:
        importlib.import_module("PySide6.QtWidgets")
    except ImportError as error:
        fix = "install it; on Debian and Ubuntu: apt-get install libegl1 libxkbcommon0 libdbus-1-3 libfontconfig1"
        raise ResourceError(f"Qt cannot be loaded, a library of the system is missing ({error})", fix) from error
