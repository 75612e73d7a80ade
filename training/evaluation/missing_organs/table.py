"""The study's result as JSON and as a page of tables."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from medfm_core.io.atomic import atomic_text
from training.evaluation.bootstrap import Estimate
from training.evaluation.missing_organs.incident import IncidentRow
from training.evaluation.missing_organs.recognition import Recognition
from training.evaluation.missing_organs.study import Row, StudyResult

NOTE = (
    "Where subjects are virtual, the figures say how methods behave in a made-up world, never how well a disease is "
    "told in patients. Saliency-guided masking is a reconstruction from a published abstract. Mean AUROC over the "
    "diseases and seeds; in brackets the 95 % interval over test subjects (the spread over seeds stands in its own "
    "column)."
)
_LATER = (
    "Harrell's index over the diseases and seeds: of two subjects, how often the one with the higher hazard falls ill "
    "first; 0.5 is chance. Who has a disease at the visit is left out of it. Proportional hazards on frozen vectors, "
    "with 95 % intervals over test subjects; no competing risks."
)
_KNOWN = (
    "Share of the test studies with organs missing whose nearest whole study, by the cosine of standardised vectors, "
    "is their own; mean over seeds. Both are of the same scan: this says what a vector keeps, not that a patient would "
    "be known again years later."
)
_LOOKS = (
    "Shares of the last block's attention, all organs given; entropy is 1 for equal shares. Informativeness: how far "
    "one organ alone is above chance, as a share."
)


def write_study(result: StudyResult, folder: Path, about: Mapping[str, Any]) -> Path:
    """Write `study.json` and `study.md`.

    Args:
        result: of the study.
        folder: where; it exists.
        about: what was run, as JSON can hold it.

    Returns:
        The page.
    """
    attention = {name: [_plain(entry) for entry in entries] for name, entries in result.attention.items()}
    data = {
        "note": NOTE, "about": dict(about), "facts": dict(result.facts), "attention": attention,
        "informativeness": dict(result.informativeness), "rows": [asdict(row) for row in result.rows],
        "incident": [asdict(row) for row in result.incident],
        "recognised": [asdict(row) for row in result.recognised],
    }  # fmt: skip
    atomic_text(folder / "study.json", json.dumps(data, indent=1, allow_nan=False) + "\n")
    atomic_text(folder / "study.md", page(result))
    return folder / "study.md"


def page(result: StudyResult) -> str:
    """The tables in Markdown."""
    facts = result.facts
    counts = ", ".join(f"{number} {split}" for split, number in facts["studies"].items())
    lines = ["# Diseases from whatever organs are left", "", NOTE, "", f"Studies: {counts}.", ""]
    scenarios = list(dict.fromkeys(row.scenario for row in result.rows))
    lines += _auroc_table(result.rows, scenarios)
    if any(row.gain is not None for row in result.rows):
        lines += _gain_table(result.rows, scenarios)
    if result.incident:
        lines += _incident_tables(result.incident)
    if result.recognised:
        lines += _recognition_table(result.recognised)
    lines += _attention_table(result)
    return "\n".join(lines) + "\n"


def _auroc_table(rows: Sequence[Row], scenarios: Sequence[str]) -> list[str]:
    lines = ["## Mean AUROC", "", _row("model", *scenarios, "spread over seeds"), _row(*["---"] * (len(scenarios) + 2))]
    for name in dict.fromkeys(row.model for row in rows):
        own = {row.scenario: row for row in rows if row.model == name}
        spread = max(_spread(own[s].by_seed) for s in scenarios)
        said = f"{spread:.3f} at most, {own[scenarios[0]].seeds} seeds" if own[scenarios[0]].seeds > 1 else "one run"
        lines.append(_row(name, *(_text(own[s].auroc) for s in scenarios), said))
    return [*lines, ""]


def _gain_table(rows: Sequence[Row], scenarios: Sequence[str]) -> list[str]:
    lines = ["## Difference to the reference arm, on the same subjects", "",
             "In bold where the interval excludes 0.", "", _row("model", *scenarios),
             _row(*["---"] * (len(scenarios) + 1))]  # fmt: skip
    for name in dict.fromkeys(row.model for row in rows if row.gain is not None):
        own = {row.scenario: row for row in rows if row.model == name}
        lines.append(_row(name, *(_text(own[s].gain, signed=True) for s in scenarios)))
    return [*lines, ""]


def _incident_tables(rows: Sequence[IncidentRow]) -> list[str]:
    scenarios = list(dict.fromkeys(row.scenario for row in rows))
    lines = ["## When diseases will come: mean concordance", "", _LATER, ""]
    for signed, title in ((False, "model"), (True, "difference to the reference arm")):
        told = [row for row in rows if not signed or row.gain is not None]
        lines += [_row(title, *scenarios), _row(*["---"] * (len(scenarios) + 1))] if told else []
        for name in dict.fromkeys(row.model for row in told):
            own = {row.scenario: row.gain if signed else row.concordance for row in told if row.model == name}
            lines.append(_row(name, *(_text(own[scenario], signed) for scenario in scenarios)))
        lines.append("")
    return lines


def _recognition_table(rows: Sequence[Recognition]) -> list[str]:
    scenarios = list(dict.fromkeys(row.scenario for row in rows))
    lines = ["## Whether a body is known again", "", _KNOWN, "", _row("vectors", "numbers", *scenarios),
             _row(*["---"] * (len(scenarios) + 2))]  # fmt: skip
    for name in dict.fromkeys(row.model for row in rows):
        own = {row.scenario: row for row in rows if row.model == name}
        lines.append(_row(name, str(own[scenarios[0]].width), *(_text(own[s].share) for s in scenarios)))
    return [*lines, ""]


def _attention_table(result: StudyResult) -> list[str]:
    organs = result.facts["organs"]
    lines = ["## Where the body token looks", "", _LOOKS, "", _row("arm", *organs, "entropy", "entropy per token"),
             _row(*["---"] * (len(organs) + 3))]  # fmt: skip
    for name, entries in result.attention.items():
        shares = np.mean([entry["sum"] for entry in entries], axis=0)
        single = [entry["entropy"] for entry in entries]
        per_token = np.mean([entry["entropy_per_token"] for entry in entries])
        spread = f" ± {np.std(single, ddof=1):.3f}" if len(single) > 1 else ""
        lines.append(_row(name, *(f"{s:.2f}" for s in shares), f"{np.mean(single):.3f}{spread}", f"{per_token:.3f}"))
    if result.informativeness:
        lines.append(_row("informativeness", *(f"{result.informativeness[o]:.2f}" for o in organs), "", ""))
    return [*lines, ""]


def _spread(by_seed: Sequence[float | None]) -> float:
    known = [value for value in by_seed if value is not None]
    return float(np.std(known, ddof=1)) if len(known) > 1 else 0.0


def _text(estimate: Estimate | None, signed: bool = False) -> str:
    if estimate is None or estimate.value is None:
        return "n/a"
    form = "{:+.3f}" if signed else "{:.3f}"
    value = form.format(estimate.value)
    if estimate.low is None or estimate.high is None:
        return value
    if signed and (estimate.low > 0 or estimate.high < 0):
        value = f"**{value}**"
    return f"{value} ({form.format(estimate.low)} to {form.format(estimate.high)})"


def _row(*cells: str) -> str:
    return "| " + " | ".join(cells) + " |"


def _plain(entry: Mapping[str, Any]) -> dict[str, Any]:
    return {
        name: np.round(value, 4).tolist() if isinstance(value, np.ndarray) else round(float(value), 4)
        for name, value in entry.items()
    }
