"""Die at every single file operation of saving and retaining, one after the other, and look at what is left.

    python Testing/checkpoint_crashes.py

Each time a forked process kills itself before its n-th operation on a file or folder, until one gets through. Then a
last process must find the last and the best checkpoint whole, and save and retain again.
"""

from __future__ import annotations

import os
import shutil
import signal
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import torch
from torch import nn

from training.engine.checkpoint import RunState, load_module, save_checkpoint
from training.engine.retention import best, find_checkpoints, last, retain

OPERATIONS = {"open", "os.mkdir", "os.rename", "os.remove", "os.rmdir", "os.chmod"}
METRICS = {1: 0.5, 2: 0.1, 3: 0.9, 4: 0.7, 5: 0.6}


def save(folder: Path, step: int, metric: float) -> None:
    net = nn.Linear(3, 2)
    torch.nn.init.constant_(net.weight, step + metric)
    save_checkpoint(folder, {"net": net}, {}, RunState(step, "abc", metric=metric))


def next_step(folder: Path) -> None:
    save(folder, 5, METRICS[5])
    retain(folder, keep_last=2, keep_best=1)


def same_step(folder: Path) -> None:
    save(folder, 4, 0.05)
    retain(folder, keep_last=1, keep_best=1)


def best_again(folder: Path) -> None:
    save(folder, 2, METRICS[2])
    retain(folder, keep_last=1, keep_best=1)


def check(folder: Path, action: Callable[[Path], None]) -> None:
    """The last and the best are there, whole, and what they say."""
    for info in find_checkpoints(folder):
        net = nn.Linear(3, 2)
        state = load_module(info.path, "net", net)
        assert (state.step, state.metric) == (info.step, info.metric)
        assert torch.all(net.weight == torch.tensor(info.step + info.metric)), info
    assert last(folder).step >= 4, last(folder)
    best_metric = 0.05 if action is same_step and last(folder).metric == 0.05 else 0.1
    assert best(folder).metric == best_metric, best(folder)


def dies_at(number: int, action: Callable[[Path], None], folder: Path) -> bool:
    """Whether a process that does `action` was killed before its operation `number`."""
    child = os.fork()
    if child == 0:
        left = [number]

        def count(event: str, arguments: tuple) -> None:
            if event in OPERATIONS:
                left[0] -= 1
                if left[0] < 0:
                    os.kill(os.getpid(), signal.SIGKILL)

        sys.addaudithook(count)
        try:
            action(folder)
        finally:
            os._exit(1 if sys.exc_info()[0] else 0)
    _, status = os.waitpid(child, 0)
    assert status in (0, signal.SIGKILL), f"the process failed with status {status}"
    return status == signal.SIGKILL


def main() -> int:
    torch.set_num_threads(1)
    memory = "/dev/shm" if os.path.isdir("/dev/shm") else None
    with tempfile.TemporaryDirectory(dir=memory) as root:
        start = Path(root) / "start"
        for step in range(1, 5):
            save(start, step, METRICS[step])
        for action in (next_step, same_step, best_again):
            number, killed = 0, True
            while killed:
                folder = Path(root) / f"{action.__name__}-{number}"
                shutil.copytree(start, folder)
                killed = dies_at(number, action, folder)
                check(folder, action)
                number += 1
                assert not dies_at(10**9, action, folder)
                check(folder, action)
                assert len(list(folder.iterdir())) == len(find_checkpoints(folder)), "leftovers stay"
            print(f"{action.__name__}: killed at each of {number - 1} operations, nothing was lost")
    return 0


if __name__ == "__main__":
    sys.exit(main())
