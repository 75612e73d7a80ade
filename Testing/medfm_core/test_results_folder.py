"""What killed processes left beside a folder of results goes with the next result."""

from __future__ import annotations

import subprocess
import sys

from medfm_core.results_folder import results_folder

_LEAVE = """
import os, sys
from medfm_core.results_folder import results_folder
with results_folder(sys.argv[1]) as folder:
    (folder / "half").write_text("written")
    os._exit(9)
"""


def test_leftovers_of_a_killed_process_are_cleared_and_those_of_a_living_one_stay(tmp_path):
    done = subprocess.run([sys.executable, "-c", _LEAVE, str(tmp_path / "case")], check=False)
    assert done.returncode == 9
    assert len(list(tmp_path.iterdir())) == 1
    with results_folder(tmp_path / "other") as folder, results_folder(tmp_path / "third") as third:
        (folder / "file").write_text("whole")
        (third / "file").write_text("whole")
        assert len([path for path in tmp_path.iterdir() if path.name.startswith(".part-")]) == 2
    assert sorted(path.name for path in tmp_path.iterdir()) == ["other", "third"]
