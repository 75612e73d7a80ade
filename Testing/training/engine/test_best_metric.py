"""What makes a checkpoint best: what the loop logs, or what only the probe and the monitors measure."""

from __future__ import annotations

import engine_toys
import numpy as np
import pytest
import torch
from engine_toys import TOY, ToyData

from medfm_core.errors import InputError
from training.engine.best_metric import BestMetric
from training.engine.config import recipe_from_data
from training.engine.draw import DrawKey
from training.engine.loop import train
from training.engine.monitors.config import MonitorConfig
from training.engine.monitors.writers import read_log
from training.engine.retention import best, find_checkpoints, last
from training.engine.runs import load_run


@pytest.fixture(autouse=True)
def no_pictures(monkeypatch):
    """Pictures take longer to draw than these runs."""
    monkeypatch.setattr("training.engine.monitors.pictures.Pictures.draw", lambda self: None)


QUIET = {"terminal": "none", "tensorboard": False, "measure_peak": False, "count_flops": False, "log_every": 1}


def recipe(steps=12, monitor=None, **run):
    plain = {"steps": steps, "batch_size": 4, "workers": 0, "checkpoint_every": 5, "precision": "fp32", "keep_last": 20}
    watched = {"health_every": 2, "probe_every": 4} | (monitor or {})
    data = TOY | {"run": plain | run, "monitor": QUIET | watched, "optim": {"lr": 0.05, "warmup_steps": 2}}
    return recipe_from_data(data)


@pytest.fixture
def told(monkeypatch):
    """Let the toy's samples tell a sign and a size, so that there is something to probe."""

    def monitor_samples(self, count, seed):
        samples = []
        for number in range(count):
            sample = self.sample(number, DrawKey(seed, number))
            total = float(sample["x"].sum())
            samples.append(sample | {"subject": number, "target.sign": int(total > 0), "target.total": total})
        return samples

    monkeypatch.setattr(ToyData, "monitor_samples", monitor_samples, raising=False)


def test_a_figure_of_the_probe_ranks_the_checkpoints(tmp_path, told):
    train(recipe(best="probe.auroc", best_is="max"), tmp_path)
    log = read_log(tmp_path / "log.csv")
    found = {info.step: info.metric for info in find_checkpoints(tmp_path / "checkpoints")}
    assert sorted(found) == [4, 5, 8, 10, 12]  # also where it is measured, besides every five steps and the end
    assert found[5] is None
    assert found[10] is None
    for step in (4, 8, 12):
        assert found[step] == pytest.approx(log[step]["probe/sign/auroc"], rel=1e-5)
    wanted = max((4, 8, 12), key=lambda step: (found[step], step))
    assert best(tmp_path / "checkpoints", "max").step == wanted
    assert load_run(tmp_path, "best")[2] == wanted


def test_the_best_by_the_highest_stays_and_is_what_others_load(tmp_path, told, monkeypatch):
    figures = iter([0.5, 0.6, 0.9, 0.7])  # of steps 0, 4, 8 and 12
    monkeypatch.setattr(
        "training.engine.monitors.monitor.Monitor._probe", lambda *_: {"probe/sign/auroc": next(figures)}
    )
    train(recipe(best="probe.sign.auroc", best_is="max", keep_last=1), tmp_path)
    assert [info.step for info in find_checkpoints(tmp_path / "checkpoints")] == [8, 12]
    assert load_run(tmp_path, "best")[2] == 8
    assert load_run(tmp_path, "last")[2] == 12


def test_the_mean_over_targets_and_a_single_one():
    figures = {"probe/a/auroc": 0.6, "probe/b.c/auroc": 0.8, "probe/a/balanced_accuracy": 0.1, "health/std_mean": 3.0}
    for name, value in (("probe.auroc", 0.7), ("probe.b.c.auroc", 0.8), ("probe/a/auroc", 0.6)):
        metric = BestMetric(name, "max", MonitorConfig())
        metric.add({"loss": torch.tensor(2.0)}, None)
        metric.see(7, figures)
        assert metric.flush(7, None) == (2.0, pytest.approx(value))
        metric.add({"loss": torch.tensor(2.0)}, None)
        assert metric.flush(8, None) == (2.0, None)  # measured at another step


def test_the_health_of_the_representation_ranks_too(tmp_path):
    train(recipe(best="health.effective_rank", best_is="max"), tmp_path)
    found = {info.step: info.metric for info in find_checkpoints(tmp_path / "checkpoints")}
    assert [step for step, metric in found.items() if metric is not None] == [2, 4, 6, 8, 10, 12]


def test_what_the_objective_logs_ranks_by_its_mean(tmp_path):
    train(recipe(best="error"), tmp_path)
    log = read_log(tmp_path / "log.csv")
    found = {info.step: info.metric for info in find_checkpoints(tmp_path / "checkpoints")}
    assert found[5] == pytest.approx(np.mean([log[step]["error"] for step in range(1, 6)]), rel=1e-4)
    assert found[12] == pytest.approx(np.mean([log[step]["error"] for step in (11, 12)]), rel=1e-4)


@pytest.mark.parametrize(
    ("run", "said"),
    [
        ({"best": "helth"}, None),
        ({"best": "eror"}, "error"),
        ({"best": "health.efective_rank", "best_is": "max"}, "health.effective_rank"),
        ({"best": "probe.aurok", "best_is": "max"}, "probe.auroc"),
        ({"best": "probe.sgn.auroc", "best_is": "max"}, "probe.sign.auroc"),
        ({"best": "probe.auroc"}, "highest"),
    ],
)
def test_unknown_names_are_refused_with_the_nearest_before_the_second_step(tmp_path, told, run, said):
    with pytest.raises(InputError, match=r"run\.best") as problem:
        train(recipe(**run), tmp_path)
    assert said is None or said in str(problem.value)
    assert last(tmp_path / "checkpoints") is None
    log = tmp_path / "log.csv"
    assert not log.exists() or max(read_log(log), default=0) <= 1


def test_what_is_never_measured_is_refused(tmp_path, monkeypatch):
    with pytest.raises(InputError, match=r"monitor\.probe_every"):
        train(recipe(best="probe.auroc", best_is="max", monitor={"probe_every": 0}), tmp_path)
    with pytest.raises(InputError, match=r"probe\.json"):  # the toy's data tell nothing to probe
        train(recipe(best="probe.auroc", best_is="max"), tmp_path / "b")
    monkeypatch.delattr(engine_toys.Toy, "encode")
    with pytest.raises(InputError, match="no representation"):
        train(recipe(best="health.effective_rank"), tmp_path / "c")
