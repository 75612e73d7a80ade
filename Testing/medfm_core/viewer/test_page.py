"""The page in a real browser: what a click and a slider change is seen in its pixels."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys

import numpy as np
import pytest

pytest.importorskip("trame_slicer", reason="needs the extra view")
pytest.importorskip("websocket", reason="needs websocket-client")

import browser

pytestmark = pytest.mark.skipif(browser.find_chromium() is None, reason="needs Chromium: apt-get install chromium")


@pytest.fixture
def server(viewed):
    """`medfm view`, running."""
    command = [sys.executable, "-m", "medfm_core.cli", "view", str(viewed.folder), str(viewed.file)]
    process = subprocess.Popen(
        [*command, "--port", "0", "--no-browser"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
    )  # fmt: skip
    process.address = re.match(r"http://127\.0\.0\.1:\d+/", process.stdout.readline())
    yield process
    process.kill()
    process.communicate()


def part(picture: np.ndarray) -> np.ndarray:
    """The views, without lists and bars."""
    return picture[60:-60, 320:].astype(int)


def test_a_reader_clicks_through_a_result(server):
    assert server.address, server.communicate(timeout=20)[1]
    with browser.open_page(server.address[0]) as tab:
        tab.wait("document.querySelectorAll('.finding').length === 2")
        tab.wait("document.querySelectorAll('img').length >= 4")
        liver = np.array((141, 50, 48))  # of the outlines
        tab.until(lambda picture: (np.abs(part(picture) - liver).max(-1) < 12).sum() > 50)
        start = part(tab.settled())

        tab.click("#organs_on")
        tab.until(lambda picture: (np.abs(part(picture) - liver).max(-1) < 12).sum() < 10)
        tab.click("#organs_on")
        tab.until(lambda picture: (np.abs(part(picture) - liver).max(-1) < 12).sum() > 50)
        tab.click(".organ")
        tab.until(lambda picture: (np.abs(part(picture) - start).max(-1) > 40).sum() > 500)
        before = warm(tab.settled())

        tab.click(".finding")
        tab.wait("document.body.innerText.includes('Research use only, not a diagnosis')")
        tab.until(lambda picture: warm(picture) > before + 100)
        tab.click("#saliency_on")
        tab.until(lambda picture: warm(picture) <= before + 20)
        tab.click("#saliency_on")
        tab.until(lambda picture: warm(picture) > before + 100)
        slider = ".v-app-bar .v-slider__container"
        tab.press_until(slider, 0.05, lambda picture: warm(picture) <= before + 20)
        tab.press_until(slider, 0.95, lambda picture: warm(picture) > before + 100)
    server.send_signal(signal.SIGINT)
    assert server.wait(60) in (0, 130)
    assert "Traceback" not in server.stderr.read()


def warm(picture: np.ndarray) -> int:
    """How many pixels in the middle of the views, beside the legends, have the orange of saliency."""
    wide = (picture.shape[1] - 300) // 2  # of a view, at the right of the list
    starts = (300 + wide // 10, 300 + wide + wide // 10)
    red, green, blue = np.concatenate([picture[60:-60, x : x + 6 * wide // 10] for x in starts]).astype(int).T
    return int(((red > 170) & (red - blue > 70) & (green > 90) & (green - blue > 20)).sum())
