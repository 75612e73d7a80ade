"""The quality report of a prepared manifest: `qc.csv` for programs, `qc.html` for people (one file), `prepare.json`."""

from __future__ import annotations

import base64
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from medfm_core.guards import machine_facts
from medfm_core.io import atomic_text
from training.data.manifest import Manifest
from training.data.manifest_table import write_table
from training.data.preparation import PreparationPlan
from training.data.preparing_row import Outcome
from training.data.volume_statistics import quantile

COLUMNS = (
    "row", "subject", "study", "modality", "sequence", "path", "status", "codes", "sentences", "key", "shape",
    "spacing_mm", "lowest", "p1", "median", "p99", "highest", "foreground_share", "largest_error", "clipped_voxels",
    "labels", "seconds", "reused",
)  # fmt: skip
STATUSES = ("failed", "doubtful", "ok")

_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>Quality report</title>
<meta name="viewport" content="width=device-width, initial-scale=1">
<style>
body{font:15px/1.45 system-ui,sans-serif;margin:2rem auto;max-width:76rem;padding:0 1rem;color:#1a1f24;background:#fff}
h1{font-size:1.5rem;margin:0 0 .3rem}h2{font-size:1.15rem;margin:2rem 0 .6rem}
p.small,td.small{color:#59636e;font-size:.87rem}
.count{display:inline-block;padding:.2rem .8rem;margin:0 .5rem .5rem 0;border-radius:.4rem;font-weight:600}
.failed{background:#fbdcd9}.doubtful{background:#fdeec5}.ok{background:#d9f2df}
.cards{display:grid;grid-template-columns:repeat(auto-fill,minmax(22rem,1fr));gap:.9rem}
.card{border:1px solid #d5dae0;border-radius:.5rem;overflow:hidden}
.card header{padding:.3rem .6rem;font-weight:600;display:flex;justify-content:space-between;gap:.5rem}
.card div{padding:.4rem .6rem;font-size:.87rem}.card img{display:block;max-width:100%;background:#000;margin:auto}
.picture{background:#000}
table{border-collapse:collapse;width:100%;font-size:.87rem}
th,td{text-align:left;padding:.25rem .5rem;border-bottom:1px solid #e3e7eb;vertical-align:top}
th{position:sticky;top:0;background:#fff}td.number{text-align:right;font-variant-numeric:tabular-nums}
</style></head><body>
<h1>Quality report: {{ manifest }}</h1>
<p class="small">{{ when }}; prepared for {{ plan }}. Rows are counted as in a spreadsheet: the header is row 1.
Research use only, not a medical device.</p>
<p>{% for status, count in counts %}<span class="count {{ status }}">{{ count }} {{ status }}</span>{% endfor %}</p>
<p class="small">failed: not stored, left out of training &middot; doubtful: stored, look at it &middot; ok: stored</p>
{% if codes %}<h2>What was found</h2><table><tr><th>code</th><th>rows</th><th>for example</th></tr>
{% for code, rows, sentence in codes %}
<tr><td>{{ code }}</td><td class="number">{{ rows }}</td><td>{{ sentence }}</td></tr>
{% endfor %}</table>{% endif %}
{% for status, cards, left in groups if cards %}
<h2>{{ status|capitalize }}</h2><div class="cards">{% for card in cards %}
<div class="card"><header class="{{ status }}"><span>row {{ card.row }} &middot; {{ card.name }}</span>
<span>{{ card.modality }}</span></header>
{% if card.picture %}<div class="picture"><img alt="middle axial, coronal and sagittal plane of row {{ card.row }}"
src="data:image/jpeg;base64,{{ card.picture }}"></div>{% endif %}
<div>{% for sentence in card.sentences %}<b>{{ sentence }}</b><br>{% endfor %}
{{ card.facts }}</div></div>{% endfor %}</div>
{% if left %}<p class="small">{{ left }} more are in qc.csv.</p>{% endif %}{% endfor %}
</body></html>
"""
_MOST_CARDS = {"failed": 1000, "doubtful": 1000, "ok": 200}


def write_report(
    folder: Path, manifest: Manifest, plan: PreparationPlan, outcomes: Sequence[Outcome], command: Sequence[str]
) -> None:
    """Write `qc.csv`, `qc.html` and `prepare.json`.

    Args:
        folder: where to; it exists.
        manifest: what was prepared.
        plan: what for.
        outcomes: one per row, in the order of the rows.
        command: the command line, for `prepare.json`.

    Raises:
        InputError, ResourceError: they cannot be written.
    """
    when = datetime.now(timezone.utc).isoformat(timespec="seconds")
    write_table(folder / "qc.csv", COLUMNS, [_line(outcome) for outcome in outcomes])
    atomic_text(folder / "qc.html", render(manifest, plan, outcomes, when))
    counts = Counter(outcome.entry.status for outcome in outcomes)
    done = {
        "command": list(command),
        "finished": when,
        "manifest": {"path": str(manifest.path), "rows": len(manifest.rows), "subjects": len(manifest.subjects)},
        "preparations": {name: plan.canonical(name) for name in plan.spec.modality if _possible(plan, name)},
        "rows": {status: counts[status] for status in STATUSES},
        "reused": sum(outcome.reused for outcome in outcomes),
        "seconds_of_work": round(sum(outcome.seconds for outcome in outcomes), 1),
        "machine": machine_facts(),
    }
    atomic_text(folder / "prepare.json", json.dumps(done, indent=1) + "\n")


def render(manifest: Manifest, plan: PreparationPlan, outcomes: Sequence[Outcome], when: str) -> str:
    """The page as HTML; it needs nothing beside itself."""
    from jinja2 import Environment

    counts = Counter(outcome.entry.status for outcome in outcomes)
    groups = []
    for status in STATUSES:
        mine = [outcome for outcome in outcomes if outcome.entry.status == status]
        shown = mine[: _MOST_CARDS[status]]
        groups.append((status, [_card(outcome) for outcome in shown], len(mine) - len(shown)))
    return (
        Environment(autoescape=True, trim_blocks=True)
        .from_string(_PAGE)
        .render(
            manifest=manifest.path.name,
            when=when,
            plan=_plan_text(plan),
            counts=[(status, counts[status]) for status in STATUSES],
            codes=_codes(outcomes),
            groups=groups,
        )
    )


def _codes(outcomes: Sequence[Outcome]) -> list[tuple[str, int, str]]:
    """Each code, how many rows have it, and one of its sentences; the most frequent first."""
    rows: Counter[str] = Counter()
    example: dict[str, str] = {}
    for outcome in outcomes:
        rows.update(set(outcome.codes))
        for code, sentence in zip(outcome.codes, outcome.entry.sentences, strict=True):
            example.setdefault(code, sentence)
    return [(code, count, example[code]) for code, count in rows.most_common()]


def _card(outcome: Outcome) -> dict[str, Any]:
    row, line = outcome.row, _line(outcome)
    facts = ""
    if outcome.facts:
        facts = f"{line['shape']} voxels of {line['spacing_mm']} mm; values {line['p1']} to {line['p99']} (1 to 99 %)"
        if line["labels"]:
            facts += f"; {line['labels']} different label{'s' * (line['labels'] > 1)}"
    return {
        "row": row.number,
        "name": " / ".join(part for part in (row.subject, row.study, row.sequence) if part),
        "modality": row.modality,
        "sentences": outcome.entry.sentences,
        "facts": facts,
        "picture": base64.b64encode(outcome.picture).decode() if outcome.picture else "",
    }


def _line(outcome: Outcome) -> dict[str, Any]:
    row, entry = outcome.row, outcome.entry
    line: dict[str, Any] = {
        "row": row.number, "subject": row.subject, "study": row.study, "modality": row.modality,
        "sequence": row.sequence, "path": row.written, "status": entry.status, "codes": ";".join(outcome.codes),
        "sentences": " ".join(entry.sentences), "key": entry.key, "seconds": f"{outcome.seconds:.2f}",
        "reused": outcome.reused,
    }  # fmt: skip
    return line | _measured(outcome.facts) if outcome.facts else line


def _measured(facts: Mapping[str, Any]) -> dict[str, Any]:
    statistics = facts["statistics"]
    at = {"lowest": 0, "p1": 1, "median": 50, "p99": 99, "highest": 100}
    return {
        "shape": " x ".join(str(n) for n in facts["shape"]),
        "spacing_mm": " x ".join(f"{mm:.4g}" for mm in facts["spacing_mm"]),
        **{name: f"{quantile(statistics, percent):.6g}" for name, percent in at.items()},
        "foreground_share": statistics["foreground"]["share"],
        "largest_error": f"{facts['quantisation']['largest_error']:.3g}",
        "clipped_voxels": facts["quantisation"]["clipped_voxels"],
        "labels": len(statistics["labels"]) if "labels" in statistics else None,
    }


def _plan_text(plan: PreparationPlan) -> str:
    spec = plan.spec
    spacing = " x ".join(f"{mm:g}" for mm in spec.spacing_mm) + " mm" if spec.spacing_mm else "native spacing"
    return f"{' or '.join(spec.modality)}, {spec.orientation or 'stored orientation'}, {spacing} ({plan.name})"


def _possible(plan: PreparationPlan, modality: str) -> bool:
    from medfm_core.errors import ModalityError

    try:
        plan.choose(modality)
    except ModalityError:
        return False
    return True
