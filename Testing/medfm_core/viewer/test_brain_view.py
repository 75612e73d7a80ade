"""A result of brain MRI in the viewer: its scans are found by their voxels, its maps seen in a real browser."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from types import SimpleNamespace

import nibabel
import numpy as np
import pytest
import scene_brains
from scene_brains import affine_of, phantom

from medfm_core.errors import InputError
from medfm_core.geometry import Affine
from medfm_core.viewer.sources import ShownBrain, open_any
from medfm_core.volume import Volume
from medfm_core.voxel_hash import voxel_hash

NAMES = ("T1w", "FLAIR")


@pytest.fixture
def study(tmp_path):
    """Folder of a result, and the files of its scans."""
    files, digests = {}, {}
    for number, name in enumerate(NAMES):
        grey = phantom(name)[0] + number * (phantom(name)[0] > 0)
        files[name] = tmp_path / f"{number}.nii.gz"
        nibabel.Nifti1Image(grey.astype(np.int16), affine_of(name)).to_filename(files[name])
        digests[name] = voxel_hash(Volume(grey.astype(np.int16), Affine(affine_of(name))))
    return SimpleNamespace(folder=scene_brains.write_result(tmp_path / "result", NAMES, digests), files=files)


def test_scans_find_their_places_in_any_order(study):
    shown = open_any(study.folder, [study.files["FLAIR"], study.files["T1w"]])
    assert isinstance(shown, ShownBrain)
    assert shown.has_scan
    assert list(shown.scans) == list(NAMES)
    assert shown.scans["FLAIR"].voxels.max() == 301
    one = open_any(study.folder, [study.files["FLAIR"]])
    assert (one.has_scan, one.given) == (False, ("FLAIR",))
    assert not one.scans["T1w"].voxels.any()
    assert one.scans["T1w"].shape == scene_brains.SHAPE


def test_another_scan_is_refused(study, tmp_path):
    other = np.arange(504, dtype=np.int16).reshape(9, 8, 7)
    nibabel.Nifti1Image(other, np.eye(4)).to_filename(tmp_path / "other.nii.gz")
    with pytest.raises(InputError, match="was not made of"):
        open_any(study.folder, [tmp_path / "other.nii.gz"])
    with pytest.raises(InputError, match="was not made of"):
        open_any(study.folder, [study.files["T1w"], study.files["T1w"]])


def orange(picture):
    """How many pixels in the middle of the views, beside the legends, have the colours of saliency."""
    wide = (picture.shape[1] - 300) // 2  # of a view, at the right of the list
    starts = (300 + wide // 10, 300 + wide + wide // 10)
    red, green, blue = np.concatenate([picture[60:-60, x : x + 6 * wide // 10] for x in starts]).astype(int).T
    return int(((red > 170) & (red - blue > 70) & (green > 90) & (green - blue > 20)).sum())


def part(picture):
    """The views, without lists and bars."""
    return picture[60:-60, 320:].astype(int)


def green(picture):
    return int((np.abs(part(picture) - scene_brains.COLOURS[1]).max(-1) < 60).sum())


def test_a_reader_looks_at_maps(study, tmp_path):
    pytest.importorskip("trame_slicer", reason="needs the extra view")
    pytest.importorskip("websocket", reason="needs websocket-client")
    import browser

    if browser.find_chromium() is None:
        pytest.skip("needs Chromium: apt-get install chromium")
    command = [sys.executable, "-m", "medfm_core.cli", "view", str(study.folder), *map(str, study.files.values())]
    server = subprocess.Popen(
        [*command, "--port", "0", "--no-browser"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
    )  # fmt: skip
    try:
        address = re.match(r"http://127\.0\.0\.1:\d+/", server.stdout.readline())
        assert address, server.communicate(timeout=20)[1]
        with browser.open_page(address[0]) as tab:
            tab.wait("document.querySelectorAll('.map').length === 4")
            tab.wait("document.querySelectorAll('img').length >= 4")
            tab.wait("document.body.innerText.includes('not what is abnormal')")
            tab.until(lambda picture: orange(picture) > 100)
            tab.press_until(".v-app-bar .v-slider__container", 0.02, lambda picture: orange(picture) < 50)
            tab.press_until(".v-app-bar .v-slider__container", 0.95, lambda picture: orange(picture) > 100)
            tab.click("#map_on")
            tab.until(lambda picture: orange(picture) < 50)
            tab.click(".map:last-child")
            tab.wait("document.body.innerText.includes('none stands for a disease')")
            tab.until(lambda picture: green(picture) > 1000)
            tab.click(".scan")
            tab.until(lambda picture: green(picture) < 50)
            tab.wait("document.body.innerText.includes('Brain models give no findings')")
        server.send_signal(signal.SIGINT)
        assert server.wait(60) in (0, 130)
        assert "Traceback" not in server.stderr.read()
    finally:
        server.kill()
        server.communicate()
