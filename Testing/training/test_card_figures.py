"""What evaluating commands wrote, as entries of a card."""

from __future__ import annotations

import json

import pytest

from medfm_core.card_parts import Measured
from medfm_core.errors import InputError
from medfm_core.strict import from_dict
from training.card_figures import findings_entry, read_json


def figure(auroc, low=None, high=None, counted=True):
    return {"auroc": auroc, "low": low, "high": high, "positives": 9, "negatives": 31, "counted": counted}


def test_the_first_run_is_the_card_s_and_the_others_stand_beside_it(tmp_path):
    run = {
        "on": "40 virtual patients", "studies": 40, "mean": {"auroc": 0.9123, "low": 0.88, "high": 0.94, "findings": 2},
        "findings": {
            "renal_cyst": figure(0.8, 0.7, 0.9), "splenomegaly": figure(1.0), "rare": figure(0.6, counted=False),
        },
    }  # fmt: skip
    other = {
        **run,
        "mean": {"auroc": 0.5, "low": 0.4, "high": 0.6, "findings": 2},
        "findings": {"renal_cyst": figure(None), "splenomegaly": figure(0.4)},
    }
    path = tmp_path / "figures.json"
    path.write_text(json.dumps({"full": run, "random weights": other}))
    entry = from_dict(Measured, findings_entry(path), "the entry")
    assert entry.values == {"mean": 0.912, "renal_cyst": 0.8, "splenomegaly": 1.0}
    assert entry.interval == {"mean": (0.88, 0.94), "renal_cyst": (0.7, 0.9)}
    assert entry.baselines == {"random weights": {"mean": 0.5, "splenomegaly": 0.4}}
    assert (entry.n, entry.on) == (40, "40 virtual patients")


def test_a_file_that_is_not_json_is_refused(tmp_path):
    (tmp_path / "x.json").write_text("{")
    with pytest.raises(InputError, match="cannot be read"):
        read_json(tmp_path / "x.json")
