"""Kill a training again and again, start it again each time, and prove that nothing was lost.

    python Testing/kill_training.py --kills 200
    python Testing/kill_training.py --kills 20 --command "python -m training.pretrain --config r.yaml --out {folder}"

Kills fall at any moment, while a checkpoint is written, and while old ones are removed. After each one the last and
the best checkpoint must be there, whole, and no older or worse than any that was seen before; at the end the weights
and the optimiser must be those of a run that nothing disturbed, bit for bit. Without `--command` a tiny loop trains.
"""

from __future__ import annotations

import argparse
import os
import random
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import torch
from torch import nn

from training.engine.checkpoint import RunState, load_checkpoint, save_checkpoint
from training.engine.checkpoint_files import MODEL, OPTIMISER, STATE, check_content, read_manifest
from training.engine.retention import best, find_checkpoints, last, retain

STEPS, EVERY = 60, 3
POLL_SECONDS, LOOK_SECONDS = 2e-4, 5e-3
MEMORY = "/dev/shm"  # no disk to wait for; a kill, unlike a power cut, leaves what was written
AIMS = ("any moment", "writing", "removing")


def tiny_metric(step: int) -> float:
    """A metric that jumps, so that the best checkpoint is sometimes an old one."""
    return random.Random(step).random()


def tiny_training(folder: Path) -> None:
    """A loop as plain as can be: resume, step, save, retain."""
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(8, 32), nn.GELU(), nn.Linear(32, 8))
    optimiser = torch.optim.AdamW(net.parameters(), 0.01, fused=True)
    modules, optimisers = {"net": net}, {"all": optimiser}
    newest = last(folder / "checkpoints")
    step = load_checkpoint(newest.path, modules, optimisers, "tiny").step if newest else 0
    while step < STEPS:
        batch = torch.randn(4, 8, generator=torch.Generator().manual_seed(step))
        (net(batch) - batch).square().mean().backward()
        optimiser.step()
        optimiser.zero_grad()
        step += 1
        if step % EVERY == 0:
            save_checkpoint(folder / "checkpoints", modules, optimisers, RunState(step, "tiny", {}, tiny_metric(step)))
            retain(folder / "checkpoints", keep_last=2, keep_best=1)


def load_what_torch_loads_late() -> None:
    """Let forked processes find everything imported; without a backward pass, after which none could be forked."""
    value = nn.Parameter(torch.zeros(1))
    value.grad = torch.zeros(1)
    torch.optim.AdamW([value], fused=True).step()


class Child:
    """A running training: a forked process of this one, or a command in a session of its own."""

    def __init__(self, command: str | None, folder: Path) -> None:
        self._code: int | None = None
        if command is None:
            self._process = None
            self._id = os.fork()
            if self._id == 0:
                os.setsid()
                self._train(folder)
        else:
            words = [word.replace("{folder}", str(folder)) for word in shlex.split(command)]
            self._process = subprocess.Popen(words, start_new_session=True, stdout=subprocess.DEVNULL)
            self._id = self._process.pid

    @staticmethod
    def _train(folder: Path) -> None:
        try:
            tiny_training(folder)
        except BaseException as error:
            print(error, file=sys.stderr, flush=True)
            os._exit(1)
        os._exit(0)

    def code(self, wait: bool = False) -> int | None:
        """Exit code, negative for a signal; None while it runs."""
        if self._code is None and self._process is not None:
            self._code = self._process.wait() if wait else self._process.poll()
        elif self._code is None:
            done, status = os.waitpid(self._id, 0 if wait else os.WNOHANG)
            self._code = os.waitstatus_to_exitcode(status) if done else None
        return self._code

    def kill(self) -> bool:
        """Kill it and all that it started; whether it was still running."""
        if self.code() is not None:
            return False
        try:
            os.killpg(self._id, signal.SIGKILL)
        except ProcessLookupError:  # it has no session of its own yet
            os.kill(self._id, signal.SIGKILL)
        return self.code(wait=True) == -signal.SIGKILL


class Watch:
    """Remembers the last and the best checkpoint that were ever seen, and notices if they are lost."""

    def __init__(self, folder: Path, mode: str, tiny: bool) -> None:
        self._folder, self._mode, self._tiny = folder, mode, tiny
        self.step, self.metric = -1, None

    def look(self) -> None:
        """Note what is there; nothing may be missing while the training runs."""
        for info in find_checkpoints(self._folder):
            self.step = max(self.step, info.step)
            if info.metric is not None and (self.metric is None or not self._worse(info.metric)):
                self.metric = info.metric

    def check(self) -> None:
        """Raise AssertionError if something was lost or is damaged."""
        newest, good = last(self._folder), best(self._folder, self._mode)
        assert self.step < 0 or newest is not None, "no checkpoint is left"
        if newest is None:
            return
        assert newest.step >= self.step, f"the last checkpoint was step {self.step}, now {newest.step}"
        assert self.metric is None or (good is not None and not self._worse(good.metric)), "the best is lost"
        if self._tiny:
            wanted = min(tiny_metric(step) for step in range(EVERY, newest.step + 1, EVERY))
            assert good.metric == wanted, f"the best is {good.metric} instead of {wanted}"
        for info in find_checkpoints(self._folder):
            for name in (MODEL, OPTIMISER, STATE):
                check_content(info.path, name, read_manifest(info.path))
        self.look()

    def _worse(self, metric: float) -> bool:
        return metric > self.metric if self._mode == "min" else metric < self.metric


class Assault:
    """Kills one training after the other, in a folder, until it was killed often enough."""

    def __init__(self, options: argparse.Namespace, folder: Path) -> None:
        self._options, self._folder = options, folder
        self._random = random.Random(options.seed)
        self._run = folder / "killed"
        self._checkpoints = self._run / options.checkpoints
        self.counts: Counter[str] = Counter()

    def go(self) -> None:
        """Do it all; raises AssertionError as soon as something is lost."""
        if self._options.command is None:
            load_what_torch_loads_late()
        began = time.monotonic()
        reference = self._folder / "undisturbed"
        assert Child(self._options.command, reference).code(wait=True) == 0, "the undisturbed run failed"
        self._longest = time.monotonic() - began
        self._wanted = self._result(reference)
        self._watch = self._new_watch()
        while self.counts["kills"] < self._options.kills:
            self._strike(self._random.choice(AIMS))
        assert Child(self._options.command, self._run).code(wait=True) == 0, "the last run failed"
        self._end()

    def _strike(self, aim: str) -> None:
        child = Child(self._options.command, self._run)
        self._wait(child, aim)
        if child.kill():
            self.counts["kills"] += 1
            self.counts[aim] += 1
            self.counts["caught in the act"] += any("_part-" in name or "_gone-" in name for name in self._names())
            self._watch.check()
            return
        assert child.code() == 0, f"a run ended by itself with exit code {child.code()}"
        self._end()
        shutil.rmtree(self._run)
        self._watch = self._new_watch()

    def _wait(self, child: Child, aim: str) -> None:
        """Wait for the moment to kill: some time, or a little after writing a checkpoint began, or ended."""
        end = time.monotonic() + self._random.uniform(0, self._longest) if aim == AIMS[0] else float("inf")
        left = self._random.randrange(1, 5)
        writing, next_look = False, 0.0
        while child.code() is None and time.monotonic() < end:
            before, writing = writing, any("_part-" in name for name in self._names())
            left -= (writing and not before) if aim == "writing" else (before and not writing)
            if left == 0 and aim != AIMS[0]:
                time.sleep(self._random.choice((0, 1e-4, 1e-3, 3e-3, 1e-2)) * self._random.random())
                return
            if time.monotonic() > next_look:
                self._watch.look()
                next_look = time.monotonic() + LOOK_SECONDS
            time.sleep(POLL_SECONDS)

    def _end(self) -> None:
        self.counts["complete runs"] += 1
        self._watch.check()
        assert self._result(self._run) == self._wanted, "the weights are not those of the undisturbed run"

    def _result(self, run: Path) -> tuple:
        newest = last(run / self._options.checkpoints)
        assert newest is not None, f"the run left no checkpoint in {run / self._options.checkpoints}"
        files = read_manifest(newest.path).files
        return newest.step, newest.metric, files[MODEL], files[OPTIMISER]

    def _names(self) -> list[str]:
        try:
            return os.listdir(self._checkpoints)
        except FileNotFoundError:
            return []

    def _new_watch(self) -> Watch:
        return Watch(self._checkpoints, self._options.mode, self._options.command is None)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=200, help="how often to kill (default: 200)")
    parser.add_argument("--seed", type=int, default=0, help="decides the moments (default: 0)")
    parser.add_argument("--command", help="training that resumes by itself, with {folder} for its run's folder")
    parser.add_argument("--checkpoints", default="checkpoints", help="their folder within the run's folder")
    parser.add_argument("--mode", choices=("min", "max"), default="min", help="which metric is best (default: min)")
    parser.add_argument("--where", type=Path, help=f"folder to work in (default: {MEMORY} where there is one)")
    options = parser.parse_args()
    torch.set_num_threads(1)
    began = time.monotonic()
    where = options.where or (MEMORY if os.path.isdir(MEMORY) else None)
    with tempfile.TemporaryDirectory(dir=where) as root:
        assault = Assault(options, Path(root))
        try:
            assault.go()
        except AssertionError as problem:
            print(f"LOST after {assault.counts['kills']} kills: {problem}")
            return 1
    counts = ", ".join(f"{name} {count}" for name, count in sorted(assault.counts.items()))
    print(f"nothing was lost ({counts}; {time.monotonic() - began:.0f} s)")
    return 0


if __name__ == "__main__":
    sys.exit(main())
