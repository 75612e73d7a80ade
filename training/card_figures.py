"""What a model card says was measured, from the files that the evaluating commands write."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from medfm_core.errors import InputError

_DICE_NOTE = (
    "Dice against a network's labels at the scan's own resolution; the shipped weights have seen both patients. Organs "
    "that the other scan does not show were learnt from virtual patients alone."
)


def segmenter_entries(folds: Sequence[Path], baselines: Path | None) -> list[dict[str, Any]]:
    """Turn the figures of `evaluate_segmenter` on left-out patients into entries of `measured`.

    Args:
        folds: JSON files of figures per case, each made with weights that had not seen the case.
        baselines: JSON file of `segmenter_baselines`.

    Raises:
        InputError: a file cannot be read.
    """
    others = read_json(baselines) if baselines else {}
    entries = []
    for path in folds:
        for case, values in read_json(path).items():
            beside = {
                name: {organ: round(value, 3) for organ, value in figures.items() if organ in values}
                for name, figures in others.get(case, {}).items()
            }
            entry = {
                "on": f"leave-one-patient-out: {case}, by weights trained without it",
                "metric": "dice",
                "values": {organ: round(value, 3) for organ, value in values.items()},
                "baselines": beside,
                "n": 1,
                "note": _DICE_NOTE,
            }
            entries.append(entry)
    return entries


def findings_entry(path: Path) -> dict[str, Any]:
    """Turn the figures of `evaluate_findings` into an entry of `measured`: the first run's, the others beside them.

    Args:
        path: what the command wrote with `--out`.

    Raises:
        InputError: the file cannot be read.
    """
    (_, own), *others = read_json(path).items()
    counted = {"mean": own["mean"], **{name: entry for name, entry in own["findings"].items() if entry["counted"]}}
    return {
        "on": own["on"],
        "metric": "auroc",
        "values": {name: round(entry["auroc"], 3) for name, entry in counted.items()},
        "baselines": {name: _beside(result, counted) for name, result in others},
        "interval": {
            name: [round(entry["low"], 3), round(entry["high"], 3)]
            for name, entry in counted.items()
            if entry["low"] is not None
        },
        "n": own["studies"],
        "note": "Zero-shot by the catalogue's wordings, organ by organ; intervals by patient.",
    }


def read_json(path: Path) -> dict[str, Any]:
    """Read a JSON file.

    Raises:
        InputError: it is not there, or is not JSON.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as problem:
        raise InputError(f"{path} cannot be read", "check its name and that it is JSON") from problem


def _beside(result: dict[str, Any], names: dict[str, Any]) -> dict[str, float]:
    figures = {"mean": result["mean"], **result["findings"]}
    return {name: round(figures[name]["auroc"], 3) for name in names if figures.get(name, {}).get("auroc") is not None}
