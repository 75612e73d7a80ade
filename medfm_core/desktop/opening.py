"""From the command line to the window: what is opened, shown, and written as a picture."""

from __future__ import annotations

import signal
import time
from typing import Any

from MedFMLib.client import WorkerState
from MedFMLib.install import InstallState
from Qt import QtCore

from medfm_core.desktop.window import Window, application, run
from medfm_core.errors import InputError, MedFMError

_PATIENCE_S, _SETTLE_S = 300.0, 0.5


def open_window(scan: str | None, result: str | None, args: Any) -> int:
    """Open the window.

    Args:
        scan: file or DICOM folder to open; None for none.
        result: folder of its result; None for none.
        args: `series`, `finding` and `screenshot` of the command line.

    Returns:
        The exit code.

    Raises:
        InputError: the scan or the result cannot be shown.
    """
    made = application()
    made.setApplicationName("MedFM")
    window = Window(QtCore.QSettings("MedFM", "MedFM"))
    try:
        if scan is not None:
            window.open_scan(scan, args.series)
        if result is not None:
            show_result(window, result, args.finding)
        if args.screenshot:
            write_picture(window, args.screenshot)
            return 0
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, lambda *_: window.close())
        return run(window)
    finally:
        window.end()


def show_result(window: Window, folder: str, finding: str | None = None) -> None:
    """Show a result on the scan that is open, and choose a finding of it.

    Raises:
        InputError: it is no result of this scan, or has no such finding.
    """
    if not window.model.open_result(folder):
        message = window.model.run.view().message.rstrip(".")
        raise InputError(message, "give the folder that `medfm analyze` made of this scan")
    if finding is not None and not window.panel.findings.choose(*finding.split("/")):
        raise InputError(f"{finding} is not in the result", f"look into {folder}/findings.csv")


def write_picture(window: Window, path: str) -> None:
    """Write what the window shows once the panel has found out what there is.

    Raises:
        MedFMError: the picture cannot be written.
    """
    window.show()
    window.model.enter()
    wait_until(lambda: _knows(window), _PATIENCE_S)
    wait_until(lambda: False, _SETTLE_S)
    for view in window.views:
        view.draw()
    if not window.grab().save(path):
        raise MedFMError(f"{path} cannot be written", "give another name that ends in .png")


def wait_until(condition: Any, seconds: float) -> bool:
    """Let the window live until something is true, or the time is over."""
    last = time.monotonic() + seconds
    while not condition() and time.monotonic() < last:
        application().processEvents()
        time.sleep(0.01)
    return condition()


def _knows(window: Window) -> bool:
    """Whether the panel has heard of the installation, the models and how long a run takes."""
    model = window.model
    if model.install.state in (InstallState.FAILED, InstallState.INCOMPLETE):
        return True
    is_settled = model.client.state is WorkerState.BROKEN or (
        model.client.devices is not None and bool(model.weights.view().models)
    )
    return model.install.state is InstallState.READY and is_settled and not model.expected.asking.is_busy
