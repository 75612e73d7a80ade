import json

import numpy as np
import pytest
import yaml
from fake_cohort import make_cohort

from medfm_core.errors import InputError
from training import label_efficiency, prepare
from training.data.manifest import read_manifest
from training.evaluation.label_efficiency import PRETRAINED, UNET, Point, Sweep, few_cases, summary

INPUT = """modality: [CT]
orientation: null
spacing_mm: [10.0, 5.0, 5.0]
spacing_rule: at_least
intensity: {kind: clip_scale, hu: [-1000, 1000], to: [0, 1]}
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("few")
    make_cohort(folder, 5)
    (folder / "input.yaml").write_text(INPUT)
    assert prepare.main(["--manifest", str(folder / "manifest.csv"), "--store", str(folder / "store"),
                         "--input", str(folder / "input.yaml"), "--preparation", "slices"]) == 0  # fmt: skip
    recipe = {
        "model": {"name": "spad_vit", "channels": 1, "patch": 4, "width": 16, "depth": 4, "heads": 2, "mlp_width": 16,
                  "position_grid": [2, 3, 3]},
        "objective": {"name": "spad_segmentation", "outputs": 2, "degree": 1, "widths": [4, 4, 8, 8]},
        "data": {"name": "label_volumes", "manifest": str(folder / "manifest.csv"), "store": str(folder / "store"),
                 "input": yaml.safe_load(INPUT), "preparation": "slices", "crop": [8, 16, 16],
                 "classes": ["liver"]},
        "run": {"steps": 2, "batch_size": 2, "workers": 0, "precision": "fp32", "device": "cpu", "best": "finest",
                "monitor_samples": 0},
        "monitor": {"terminal": "none", "tensorboard": False, "measure_peak": False, "count_flops": False},
    }  # fmt: skip
    (folder / "recipe.yaml").write_text(yaml.safe_dump(recipe))
    return folder


def test_fewer_cases_are_among_more(folder, tmp_path):
    sweep = Sweep({}, (1, 2, 3), (), 0, tmp_path)
    chosen = []
    for count in sweep.cases:
        rows = read_manifest(few_cases(folder / "manifest.csv", count, sweep), files="none").rows
        chosen.append({row.subject for row in rows if row.split == "train"})
        assert sum(row.split != "train" for row in rows) == 2
    assert [len(one) for one in chosen] == [1, 2, 3]
    assert chosen[0] < chosen[1] < chosen[2]
    with pytest.raises(InputError, match="3 subjects of train"):
        few_cases(folder / "manifest.csv", 4, sweep)


def test_the_sweep_tells_dice_per_number_of_cases(folder, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("training.engine.monitors.pictures.Pictures.draw", lambda self: None)
    command = ["--config", str(folder / "recipe.yaml"), "--out", str(tmp_path), "--cases", "1", "2"]
    assert label_efficiency.main([*command, "--starts", "from scratch"]) == 0
    found = json.loads((tmp_path / "label_efficiency.json").read_text())
    assert [(row["cases"], row["start"], row["volumes"]) for row in found["runs"]] == [
        (1, "from scratch", 1), (2, "from scratch", 1),
    ]  # fmt: skip
    assert all(0 <= row["dice"] <= 1 for row in found["runs"])
    assert found["runs"][0]["dice_interval"] is None  # of one subject
    assert (tmp_path / "label_efficiency.png").stat().st_size > 3000
    assert "from scratch" in capsys.readouterr().out

    def never(*_, **__):
        raise AssertionError("judged again")

    monkeypatch.setattr("training.evaluation.segment_volumes.segment_volume", never)
    assert label_efficiency.main([*command, "--starts", "from scratch"]) == 0
    assert json.loads((tmp_path / "label_efficiency.json").read_text()) == found


def test_figures_are_means_of_classes_with_intervals_over_subjects():
    rng = np.random.default_rng(0)
    table = rng.uniform(0.2, 0.6, (12, 3))
    table[:8, 2] = np.nan  # shown by few
    subjects = tuple(f"s{number}" for number in range(12))
    points = [Point(5, PRETRAINED, table, subjects), Point(5, UNET, table - rng.uniform(0, 0.2, (12, 1)), subjects),
              Point(1, UNET, np.full((12, 3), np.nan), subjects)]  # fmt: skip
    first, second, none = summary(points, ("a", "b", "c"))["runs"]
    assert first["dice"] == pytest.approx(np.mean([table[:, 0].mean(), table[:, 1].mean(), table[8:, 2].mean()]))
    low, high = first["dice_interval"]
    assert low < first["dice"] < high
    assert "pretrained_lead" not in first
    assert second["pretrained_lead"] == pytest.approx(first["dice"] - second["dice"])
    low, high = second["pretrained_lead_interval"]
    assert 0.05 < low < second["pretrained_lead"] < high < 0.15
    assert none["dice"] is None
    assert none["classes"] == {"a": None, "b": None, "c": None}
    assert "pretrained_lead" not in none
