"""A fusion study on paper: a page of Markdown, a report for JSON and picture, and a CSV file of the answers."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from pathlib import Path

from medfm_core.io.atomic import atomic_text
from training.evaluation.bootstrap import Estimate
from training.evaluation.describe import facts, heading
from training.evaluation.evaluate import Figure
from training.evaluation.fusion_study import AS_FOUND, OWN, FusionRow, FusionStudy
from training.evaluation.metrics import LOWER_IS_BETTER, TITLES
from training.evaluation.report import Report, Row, estimate_text
from training.evaluation.study_scans import StudyScans


def page(studies: StudyScans, rows: Sequence[FusionRow], study: FusionStudy) -> str:
    """The first figure for every set of sequences, what each set loses, and how both are to be read."""
    cohort = studies.cohort
    complete = studies.complete(cohort.rows("test"))
    title = TITLES[study.metrics[0]] + (" (low is good)" if study.metrics[0] in LOWER_IS_BETTER else "")
    trained = f"trained {study.seeds} times each; figures are means" if study.seeds > 1 else "trained once"
    said = (
        f"{cohort.targets.name}, {title}: {len(complete)} test studies of {len(set(cohort.subjects_of(complete)))} "
        f"subjects that have {_joined(studies.sequences)}. Fusions of frozen tokens, learnt from "
        f"{len(cohort.rows('train'))} studies with sequences dropped at random, {trained}. In the test what stands "
        "under missing is hidden from them. The last column is a linear probe on the mean token, learnt from that "
        f"sequence alone. In brackets {study.intervals.level:.0%} intervals over subjects."
    )
    gains = _gains(studies, rows, study)
    lines = [said, "", *_figures(studies, rows, study), "", f"What all scans add, in {title}, to what is given in the "
             "row; in bold where the interval excludes 0:", "", *gains]  # fmt: skip
    notes = {figure.mean.note for row in rows for figure in (*row.figures[:1], *row.gains.values())} - {""}
    return "\n".join([*lines, *(["", *sorted(notes)] if notes else [])]) + "\n"


def report_of(studies: StudyScans, rows: Sequence[FusionRow], study: FusionStudy) -> Report:
    """All figures as a report, for its JSON and its picture."""
    test = studies.cohort.rows("test")
    lines, differences = [], []
    for row in rows:
        missing = [] if row.given == AS_FOUND else [name for name in studies.sequences if name not in row.given]
        given = {} if row.given == AS_FOUND else {"given": list(row.given), "missing": missing}
        is_baseline = row.model not in study.fusions
        lines.append(Row(label(row), row.figures, None, is_baseline, {**given, **row.details}))
        for name, figure in row.gains.items():
            differences.append(Row(f"{name} with all sequences minus {label(row)}", (figure,)))
    counts = {
        split: {name: int((studies.scans[studies.cohort.rows(split), place] >= 0).sum())
                for place, name in enumerate(studies.sequences)}
        for split in ("train", "val", "test")
    }  # fmt: skip
    plans = {}
    for name in study.fusions:
        plan = vars(study.plan_of(name, 0))
        plans[name] = {key: value for key, value in plan.items() if key not in ("fusion", "seed")}
    details = {
        **facts(studies.cohort, study.intervals), "sequences": list(studies.sequences), "studies_with": counts,
        "complete_test_studies": len(studies.complete(test)), "scans_left_out": studies.left_out, "training": plans,
    }  # fmt: skip
    return Report(heading(studies.cohort, studies.complete(test)), tuple(lines), tuple(differences), details)


def label(row: FusionRow) -> str:
    """A row's name: the model, and what it was given."""
    given = f"as found ({len(row.rows)} studies)" if row.given == AS_FOUND else " + ".join(row.given)
    return f"{row.model}, {given}"


def write_answers(path: Path, studies: StudyScans, rows: Sequence[FusionRow]) -> None:
    """Write what every model said of every test study (of several seeds the first), as CSV, whole or not at all."""
    out, cohort = io.StringIO(), studies.cohort
    names = cohort.targets.names
    writer = csv.writer(out, lineterminator="\n")
    heading = ["subject", "study", "model", "given", "target", "prediction"]
    writer.writerow([*heading, *(f"probability_{name}" for name in names)])
    for row in rows:
        for place, number in enumerate(row.rows):
            if row.given == AS_FOUND and (studies.scans[number] >= 0).all():
                continue  # which is the line of all sequences
            said = row.judged.predictions[0][place]
            given = studies.sequences if row.given == AS_FOUND else row.given
            had = [n for n, scan in zip(studies.sequences, studies.scans[number], strict=True) if scan >= 0]
            who = [cohort.subjects[number], cohort.studies[number], row.model, "+".join(n for n in had if n in given)]
            told = [names[int(row.judged.target[place])], names[int(said.argmax())]]
            writer.writerow([*who, *told, *(f"{value:.6g}" for value in said)])
    atomic_text(path, out.getvalue())


def _figures(studies: StudyScans, rows: Sequence[FusionRow], study: FusionStudy) -> list[str]:
    found = {(row.model, row.given): row for row in rows}
    lines = [
        _line(["given", "missing", *study.fusions, "probe of it alone"]),
        _line(["---"] * (3 + len(study.fusions))),
    ]
    for given in studies.sets():
        missing = [name for name in studies.sequences if name not in given]
        models = [*study.fusions, OWN]
        cells = [_cell(found.get((model, given))) for model in models]
        lines.append(_line([" + ".join(given), ", ".join(missing), *cells]))
    as_found = [found.get((name, AS_FOUND)) for name in study.fusions]
    if as_found[0] is not None:
        count = f"what each has ({len(as_found[0].rows)} studies)"
        lines.append(_line([count, "", *map(_cell, as_found), ""]))
    untrained = [found.get((f"{name}, random weights", studies.sequences)) for name in study.fusions]
    if untrained[0] is not None:
        lines.append(_line([f"{' + '.join(studies.sequences)}, random weights", "", *map(_cell, untrained), ""]))
    return lines


def _gains(studies: StudyScans, rows: Sequence[FusionRow], study: FusionStudy) -> list[str]:
    lines = [_line(["given", *study.fusions]), _line(["---"] * (1 + len(study.fusions)))]
    for given in studies.sets()[1:]:
        found = {row.model: row.gains[row.model] for row in rows if row.given == given and row.model in study.fusions}
        lines.append(_line([" + ".join(given), *(_gain(found.get(name)) for name in study.fusions)]))
    for row in rows:
        if row.model == OWN:
            lines.append(_line([f"{row.given[0]}, {OWN}", *(_gain(row.gains.get(name)) for name in study.fusions)]))
    untrained = {name: row.gains[name] for row in rows for name in study.fusions
                 if row.model == f"{name}, random weights"}  # fmt: skip
    if untrained:
        lines.append(_line(["all, random weights", *(_gain(untrained.get(name)) for name in study.fusions)]))
    return lines


def _cell(row: FusionRow | None) -> str:
    return "" if row is None else estimate_text(row.figures[0].mean)


def _gain(figure: Figure | None) -> str:
    if figure is None:
        return ""
    text = estimate_text(figure.mean)
    return f"**{text}**" if _is_clear(figure.mean) else text


def _is_clear(estimate: Estimate) -> bool:
    return estimate.low is not None and estimate.high is not None and (estimate.low > 0 or estimate.high < 0)


def _joined(names: Sequence[str]) -> str:
    return f"{', '.join(names[:-1])} and {names[-1]}"


def _line(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cells) + " |"
