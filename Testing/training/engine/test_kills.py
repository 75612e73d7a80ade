"""Processes killed while they train: the short versions of two scripts that can be run for longer."""

from __future__ import annotations

import subprocess
import sys
from argparse import Namespace
from pathlib import Path

import pytest
from kill_training import Assault, Watch
from torch import nn

from training.engine.checkpoint import RunState, save_checkpoint
from training.engine.retention import find_checkpoints

TESTING = Path(__file__).resolve().parents[2]
pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="kills as POSIX does")


def run(*arguments: str) -> str:
    done = subprocess.run([sys.executable, *arguments], capture_output=True, text=True, cwd=TESTING, timeout=900)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_kills_at_random_moments_lose_nothing():
    assert "nothing was lost" in run("kill_training.py", "--kills", "15")


def test_a_kill_at_any_file_operation_loses_nothing():
    assert run("checkpoint_crashes.py").count("nothing was lost") == 3


@pytest.mark.parametrize(
    ("harm", "words"),
    [
        (lambda found: found[-1].path.rename(found[-1].path.with_name("gone")), "the last checkpoint was step 3"),
        (lambda found: found[0].path.rename(found[0].path.with_name("gone")), "the best is lost"),
        (lambda found: [info.path.rename(info.path.with_name(f"x{info.step}")) for info in found], "is left"),
        (lambda found: (found[1].path / "state.json").write_text("x" * found[1].step), "the best|no checkpoint|last"),
    ],
)
def test_a_loss_is_noticed(tmp_path, harm, words):
    for step, metric in ((1, 0.1), (3, 0.5)):
        save_checkpoint(tmp_path, {"net": nn.Linear(1, 1)}, {}, RunState(step, "abc", metric=metric))
    watch = Watch(tmp_path, "min", tiny=False)
    watch.look()
    watch.check()
    harm(find_checkpoints(tmp_path))
    with pytest.raises(AssertionError, match=words):
        watch.check()


def test_a_training_that_starts_anew_each_time_is_noticed(tmp_path):
    """Its weights differ from those of the undisturbed run."""
    script = tmp_path / "forgetful.py"
    script.write_text(
        "import os, shutil, sys, time\n"
        "target = os.path.join(sys.argv[1], 'checkpoints', 'step_00000001')\n"
        f"source = {str(tmp_path / 'made')!r}\n"
        "if os.path.exists(target): source += '-other'; shutil.rmtree(target)\n"
        "shutil.copytree(os.path.join(source, 'step_00000001'), target)\n"
        "time.sleep(2)\n"  # long beside the start of an interpreter, so that not every kill comes before the copy
    )
    for folder in ("made", "made-other"):
        net = nn.Linear(1, 1)
        save_checkpoint(tmp_path / folder, {"net": net}, {}, RunState(1, "abc", metric=0.5))
    command = f"{sys.executable} {script} {{folder}}"
    options = Namespace(command=command, kills=3, seed=0, checkpoints="checkpoints", mode="min")
    with pytest.raises(AssertionError):
        Assault(options, tmp_path / "work").go()
