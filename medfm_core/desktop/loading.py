"""Reads `MedFM.ui`, with the counterparts of Slicer's own widgets."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import MedFMLib
from PySide6.QtUiTools import QUiLoader
from Qt import QtWidgets

from medfm_core.desktop.twins import TWINS
from medfm_core.errors import ResourceError

_FILE = Path("Resources", "UI", "MedFM.ui")


def ui_file() -> Path:
    """The file: in the extension's tree, or among the library's own where it was installed.

    Raises:
        ResourceError: it is in neither place.
    """
    library = Path(MedFMLib.__file__).parent
    for folder in (library.parent, library):
        if (folder / _FILE).is_file():
            return folder / _FILE
    raise ResourceError(f"{_FILE} is not there", "install medfm anew")


def load_panel() -> tuple[Any, SimpleNamespace]:
    """The panel's widget, and every named widget in it by name."""
    loader = QUiLoader()
    for twin in TWINS:
        loader.registerCustomWidget(twin)
    widget = loader.load(str(ui_file()))
    named = {child.objectName(): child for child in widget.findChildren(QtWidgets.QWidget) if child.objectName()}
    return widget, SimpleNamespace(**named)
