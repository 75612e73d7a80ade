"""Finding checkpoints, keeping the last and the best, and tidying up after processes that were killed."""

from __future__ import annotations

import os
import subprocess
import sys
import time

import numpy as np
import pytest
from torch import nn

from medfm_core.errors import InputError
from training.engine.checkpoint import RunState, load_module, save_checkpoint
from training.engine.retention import best, find_checkpoints, last, retain

NET = nn.Linear(1, 1)


def save(folder, step, metric=None):
    return save_checkpoint(folder, {"net": NET}, {}, RunState(step, "abc", metric=metric))


def steps(folder):
    return [info.step for info in find_checkpoints(folder)]


def test_a_new_run_has_none(tmp_path):
    assert find_checkpoints(tmp_path / "none") == []
    assert last(tmp_path / "none") is None
    assert best(tmp_path) is None
    retain(tmp_path / "none", 1, 1)


def test_last_and_best(tmp_path):
    for step, metric in ((10, 0.5), (200, None), (30, 0.2), (40, 0.9), (50, 0.2)):
        save(tmp_path, step, metric)
    assert steps(tmp_path) == [10, 30, 40, 50, 200]
    assert last(tmp_path).step == 200
    assert last(tmp_path).metric is None
    assert best(tmp_path).step == 50
    assert best(tmp_path, "max").step == 40
    assert best(tmp_path).path == tmp_path / "step_00000050"


def test_without_a_metric_there_is_no_best(tmp_path):
    save(tmp_path, 1)
    assert best(tmp_path) is None


@pytest.mark.parametrize("mode", ["min", "max"])
@pytest.mark.parametrize(("keep_last", "keep_best"), [(1, 1), (2, 1), (1, 3), (3, 0), (20, 20)])
def test_the_newest_and_the_best_stay(tmp_path, mode, keep_last, keep_best):
    rng = np.random.default_rng(keep_last)
    metrics = {step: None if step % 5 == 0 else float(rng.integers(0, 6)) for step in range(1, 13)}
    for step, metric in metrics.items():
        save(tmp_path, step, metric)
        retain(tmp_path, keep_last, keep_best, mode)
    sign = 1 if mode == "min" else -1
    measured = sorted((step for step in metrics if metrics[step] is not None), key=lambda s: (sign * metrics[s], -s))
    assert steps(tmp_path) == sorted({*list(metrics)[-keep_last:], *measured[:keep_best]})
    assert len(list(tmp_path.iterdir())) == len(steps(tmp_path))


@pytest.mark.parametrize(("counts", "mode"), [((0, 1), "min"), ((1, -1), "min"), ((1, 1), "low")])
def test_nothing_is_removed_on_a_wrong_call(tmp_path, counts, mode):
    save(tmp_path, 1)
    save(tmp_path, 2)
    with pytest.raises(InputError, match=r"keep|choose"):
        retain(tmp_path, *counts, mode)
    assert steps(tmp_path) == [1, 2]


def test_what_is_not_a_checkpoint_is_passed_over_and_stays(tmp_path):
    save(tmp_path, 1, 0.5)
    (tmp_path / "step_00000009").mkdir()
    (tmp_path / "step_00000008").write_text("a file")
    save(tmp_path / "elsewhere", 7).rename(tmp_path / "step_00000070")
    save(tmp_path / "elsewhere", 6).rename(tmp_path / "mine")
    assert steps(tmp_path) == [1]
    before = sorted(tmp_path.iterdir())
    retain(tmp_path, 1, 1)
    assert sorted(tmp_path.iterdir()) == before


def test_a_checkpoint_of_the_same_step_is_replaced(tmp_path):
    save(tmp_path, 1, 0.5)
    path = save(tmp_path, 1, 0.25)
    assert best(tmp_path).metric == 0.25
    assert list(tmp_path.iterdir()) == [path]


def dead_process():
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


def test_leftovers_of_dead_processes_go_with_the_next_save(tmp_path):
    dead, alive = dead_process(), os.getppid()
    kinds = [f".step_00000001_{kind}-{owner}" for kind in ("part", "gone") for owner in (dead, alive, os.getpid())]
    kept = [".other", ".step_00000001_part-x", f".step_00000001_new-{dead}"]
    for name in (*kinds, *kept):
        (tmp_path / name).mkdir()
    abandoned = tmp_path / f".step_00000002_part-{alive}"
    abandoned.mkdir()
    os.utime(abandoned, (time.time() - 2 * 24 * 3600,) * 2)
    save(tmp_path, 5)
    left = {path.name for path in tmp_path.iterdir()}
    assert left == {"step_00000005", *kept, *(name for name in kinds if name.endswith(f"-{alive}"))}


def test_one_that_made_way_counts_until_the_other_took_its_place(tmp_path):
    path = save(tmp_path, 1, 0.5)
    aside = tmp_path / f".step_00000001_old-{dead_process()}"
    path.rename(aside)
    assert last(tmp_path).path == best(tmp_path).path == aside
    load_module(last(tmp_path).path, "net", NET)
    retain(tmp_path, 1, 1)
    assert last(tmp_path).path == aside
    save(tmp_path, 2)
    assert sorted(tmp_path.iterdir()) == [path, tmp_path / "step_00000002"]
    path.rename(aside)
    save(tmp_path, 1, 0.75)
    assert sorted(tmp_path.iterdir()) == [path, tmp_path / "step_00000002"]
    assert best(tmp_path).metric == 0.75


def test_one_that_made_way_can_be_retired_too(tmp_path):
    path = save(tmp_path, 1)
    path.rename(tmp_path / f".step_00000001_old-{dead_process()}")
    save(tmp_path / "elsewhere", 2).rename(tmp_path / "step_00000002")
    retain(tmp_path, 1, 0)
    assert steps(tmp_path) == [2]
