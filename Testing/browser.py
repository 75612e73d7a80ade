"""Headless Chromium, driven over its own debugging protocol: open a page, run scripts in it, take a picture."""

from __future__ import annotations

import base64
import io
import itertools
import json
import shutil
import subprocess
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from PIL import Image

PATIENCE_S = 240


def find_chromium() -> str | None:
    """The program, or None."""
    return next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)


class Tab:
    """One page."""

    def __init__(self, address: str) -> None:
        import websocket

        self._socket = websocket.create_connection(address, timeout=PATIENCE_S, suppress_origin=True)
        self._numbers = itertools.count(1)

    def call(self, method: str, **parameters: object) -> dict:
        """One command of the protocol."""
        number = next(self._numbers)
        self._socket.send(json.dumps({"id": number, "method": method, "params": parameters}))
        while True:
            answer = json.loads(self._socket.recv())
            if answer.get("id") == number:
                if "error" in answer:
                    raise RuntimeError(answer["error"])
                return answer["result"]

    def run(self, script: str) -> object:
        """The value of a JavaScript expression."""
        answer = self.call("Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True)
        if "exceptionDetails" in answer:
            raise RuntimeError(answer["exceptionDetails"])
        return answer["result"].get("value")

    def wait(self, script: str) -> object:
        """Wait until an expression is true."""
        end = time.monotonic() + PATIENCE_S
        while True:
            try:
                if value := self.run(script):
                    return value
            except RuntimeError:  # the page is being replaced by the one it leads to
                pass
            assert time.monotonic() < end, f"never true: {script}"
            time.sleep(0.2)

    def click(self, selector: str) -> None:
        """Click on what a CSS selector finds first."""
        self.run(f"document.querySelector({json.dumps(selector)}).click()")

    def picture(self) -> np.ndarray:
        """What the page shows, `(height, width, 3)` uint8."""
        data = base64.b64decode(self.call("Page.captureScreenshot", format="png")["data"])
        return np.asarray(Image.open(io.BytesIO(data)).convert("RGB"))

    def settled(self) -> np.ndarray:
        """The picture once it does not change any more."""
        end, before = time.monotonic() + PATIENCE_S, self.picture()
        quiet = 0
        while quiet < 3:
            assert time.monotonic() < end, "the page does not come to rest"
            time.sleep(0.4)
            after = self.picture()
            quiet = quiet + 1 if np.array_equal(before, after) else 0
            before = after
        return before

    def press(self, selector: str, share: float) -> None:
        """Press the mouse on an element, at a share of its width."""
        box = self.run(
            f"(r => [r.x, r.y, r.width, r.height])(document.querySelector({selector!r}).getBoundingClientRect())"
        )
        place = {"x": box[0] + share * box[2], "y": box[1] + box[3] / 2, "button": "left", "clickCount": 1}
        for kind in ("mousePressed", "mouseReleased"):
            self.call("Input.dispatchMouseEvent", type=kind, **place)

    def press_until(self, selector: str, share: float, is_right: Callable[[np.ndarray], bool]) -> np.ndarray:
        """Press as `press` does, again every few seconds: a page that is busy drawing may miss a press."""
        return self.until(is_right, lambda: self.press(selector, share))

    def until(self, is_right: Callable[[np.ndarray], bool], do: Callable[[], None] = lambda: None) -> np.ndarray:
        """The first picture that is right; `do` is done at first and every few seconds."""
        end, next_time = time.monotonic() + PATIENCE_S, 0.0
        while True:
            if time.monotonic() > next_time:
                do()
                next_time = time.monotonic() + 5
            if is_right(picture := self.picture()):
                return picture
            assert time.monotonic() < end, "the page never shows it"
            time.sleep(0.3)


@contextmanager
def open_page(address: str, size: tuple[int, int] = (1280, 800)) -> Iterator[Tab]:
    """A browser of its own with one page; it is gone afterwards."""
    with tempfile.TemporaryDirectory(prefix="medfm-chromium-", ignore_cleanup_errors=True) as profile:
        command = [
            find_chromium(), "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage",
            "--hide-scrollbars", "--remote-debugging-port=0", f"--user-data-dir={profile}",
            f"--window-size={size[0]},{size[1]}", address,
        ]  # fmt: skip
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            yield Tab(_debugger(Path(profile), address))
        finally:
            process.terminate()
            process.wait(20)


def _debugger(profile: Path, address: str) -> str:
    """Where the page listens."""
    end = time.monotonic() + PATIENCE_S
    while time.monotonic() < end:
        try:
            port = (profile / "DevToolsActivePort").read_text().splitlines()[0]
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/json", timeout=5) as answer:
                pages = json.load(answer)
            return next(page["webSocketDebuggerUrl"] for page in pages if page["url"].startswith(address))
        except (OSError, IndexError, StopIteration):
            time.sleep(0.2)
    raise AssertionError("Chromium did not start")
