"""The pictures of a run, and the command that draws them."""

from __future__ import annotations

import math

import pytest
from matplotlib.image import imread

from medfm_core.errors import InputError
from training import plot
from training.engine.monitors.panels import make_panels
from training.engine.monitors.plots import plot_run
from training.engine.monitors.writers import CsvWriter


def write_run(folder, rows: int = 60):
    folder.mkdir()
    writer = CsvWriter(folder / "log.csv")
    for i in range(1, rows + 1):
        row = {"seconds": i, "samples": 8 * i, "loss": math.nan if i == 30 else 1 / i, "lr": 1e-3, "grad_norm": 1.0}
        row |= {"samples_per_second": 40.0, "data_wait": 0.01, "organ_share/liver": 0.5, "organ_share/brain": 0.5}
        row |= {f"expert_load/{e}": 1.0 for e in range(16)}
        if i % 20 == 0:
            row |= {"health/effective_rank": 9.0, "health/limit": 15.0, "health/mean_cosine": 0.3}
            row |= {"probe/sex/auroc": 0.8, "probe/sex/balanced_accuracy": 0.7, "alarm/loss_spike": 1}
        writer.write(10 * i, row)
    writer.close()
    return folder


def test_every_column_finds_its_panel():
    panels = make_panels(
        ["seconds", "loss", "loss_max", "lr", "mfu", "health/effective_rank", "probe/age/r2", "probe/a/b/auroc",
         "alarm/x", "expert_load/0", "expert_load/1", "block/2/share", "loss/context", "ema"]
    )  # fmt: skip
    found = {panel.name: (panel.columns, panel.labels) for panel in panels}
    assert found == {
        "loss": (("loss",), ("loss",)),
        "lr": (("lr",), ("lr",)),
        "device": (("mfu",), ("MFU",)),
        "rank": (("health/effective_rank",), ("effective rank",)),
        "probe_auroc": (("probe/a/b/auroc",), ("a/b",)),
        "probe_r2": (("probe/age/r2",), ("age",)),
        "extra_expert_load": (("expert_load/0", "expert_load/1"), ("0", "1")),
        "extra_block_2": (("block/2/share",), ("share",)),
        "extra_loss": (("loss/context",), ("context",)),
        "extra_ema": (("ema",), ("ema",)),
    }
    assert next(panel for panel in panels if panel.name == "extra_expert_load").aim == (0.5, 2.0)


def test_chance_of_several_classes_is_drawn_where_it_is_one():
    columns = ["probe/a/balanced_accuracy", "probe/b/balanced_accuracy"]
    assert make_panels(columns, dict.fromkeys(columns, 0.25))[0].chance == 0.25
    assert make_panels(columns, {columns[0]: 0.25, columns[1]: 0.5})[0].chance is None


def test_pictures_of_a_run(tmp_path):
    files = plot_run(write_run(tmp_path / "run"))
    assert files[0].name == "overview.png"
    assert {"loss.png", "rank.png", "probe_auroc.png", "extra_organ_share.png"} <= {path.name for path in files}
    page = imread(files[0])
    assert page.shape[1] == 1650
    assert page[..., :3].std() > 0.02


@pytest.mark.parametrize("row", [{"loss": math.nan}, {"loss": 1.0, "lr": 0.0}, {"health/limit": math.nan}, {"x": -1.0}])
def test_a_run_of_one_odd_row_is_drawn(tmp_path, row):
    writer = CsvWriter(tmp_path / "log.csv")
    writer.write(0, row)
    assert plot_run(tmp_path)[0].exists()


def test_a_run_without_steps_is_refused(tmp_path):
    CsvWriter(tmp_path / "log.csv")
    with pytest.raises(InputError, match="no step yet"):
        plot_run(tmp_path)


def test_the_command(tmp_path, capsys):
    run = write_run(tmp_path / "run", rows=3)
    assert plot.main([str(run), "--overview-only", "--out", str(tmp_path / "pictures")]) == 0
    assert [path.name for path in (tmp_path / "pictures").iterdir()] == ["overview.png"]
    assert plot.main([str(tmp_path / "missing")]) == 2
    assert plot.main([str(run), "--out", str(run / "log.csv")]) == 2
    assert plot.main([str(run), str(run), "--out", str(tmp_path)]) == 2
    errors = capsys.readouterr().err
    assert "cannot be read" in errors
    assert "Traceback" not in errors
    with pytest.raises(SystemExit):
        plot.main(["--help"])
    assert "overview.png" in capsys.readouterr().out
