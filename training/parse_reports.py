"""`python -m training.parse_reports`: turn radiology reports into pairs of sentence and organ."""

from __future__ import annotations

import argparse
import json
import sys
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

from medfm_core.errors import InputError
from medfm_core.io.atomic import atomic_text
from medfm_core.progress import Progress, RichProgress
from medfm_core.settings import SECRETS
from training.command import command
from training.data.reports.llm import parse_with_model
from training.data.reports.llm_endpoint import Endpoint
from training.data.reports.llm_local import LocalModel
from training.data.reports.results import ParsedReport
from training.data.reports.rules import parse_report
from training.data.reports.scoring import Score, format_table, summary
from training.data.reports.sources import Columns, ReportSource, read_sources
from training.data.reports.writing import check_format, pair_rows, write_pairs

EPILOG = """what is written, one row per statement:
  subject, study        whose report
  text                  the sentence, with the sentences that go on with it
  section, context      where it stands; background, positive, negative or continuation
  state                 present, absent, uncertain, normal or background
  organ, side, finding  names of the vocabulary and of the catalogue of findings; empty where there is none
  size_mm, phase        as the text gives them
  sentence, start, end  number of the sentence, and its characters in the report
  method                rules, or the language model's name

examples:
  a folder of .txt reports, by rules, offline:
    python -m training.parse_reports reports --out pairs.csv
  a column of a table:
    python -m training.parse_reports studies.csv --text-column Report --subject-column patient --out pairs.jsonl
  how well the rules do on virtual patients, whose sentences are known:
    python -m training.parse_reports cohort --out pairs.csv --score scores.json
  by a language model on this machine:
    python -m training.parse_reports reports --out pairs.csv --llm-folder models/some-instruct-model
  by a language model elsewhere; the reports are SENT there:
    python -m training.parse_reports reports --out pairs.csv --llm-endpoint https://host/v1 --llm-model NAME
Without --llm-endpoint nothing leaves this machine. {secrets}
"""
Parse = Callable[[str], ParsedReport]


@command()
def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command."""
    options = _parser().parse_args(arguments)
    progress = RichProgress()
    check_format(options.out)
    columns = Columns(options.text_column, options.subject_column, options.study_column)
    sources = read_sources(options.reports, columns)
    if options.score and all(source.truth is None for source in sources):
        raise InputError(f"{options.reports} has no truth to score with", "give a cohort of virtual patients")
    _run(sources, _method(options, progress), options, progress)
    return 0


def _parser() -> argparse.ArgumentParser:
    secrets = "; ".join(f"{name}: {meaning}" for name, meaning in SECRETS.items())
    parser = argparse.ArgumentParser(
        prog="python -m training.parse_reports",
        description="Split radiology reports into statements on organs, for training with image and text.",
        epilog=EPILOG.replace("{secrets}", secrets),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("reports", type=Path, help="folder of .txt files, CSV file, or cohort of virtual patients")
    add("--out", type=Path, required=True, metavar="FILE", help="pairs to write, .csv or .jsonl")
    add("--text-column", default="report", metavar="NAME", help="column of a CSV file with the text (default: report)")
    add("--subject-column", default="subject", metavar="NAME", help="column with the patient (default: subject)")
    add("--study-column", default="study", metavar="NAME", help="column with the study (default: study)")
    add("--score", type=Path, metavar="FILE", help="compare with the truth, print the tables, write them as JSON")
    add("--llm-folder", type=Path, metavar="DIR", help="language model on this machine, for transformers")
    add("--device", default="cpu", help="device of that model (default: cpu)")
    add("--llm-endpoint", metavar="URL", help="OpenAI-compatible endpoint that gets the reports")
    add("--llm-model", metavar="NAME", help="the model's name there")
    add("--allow-plain-http", action="store_true", help="send reports unencrypted to another machine")
    return parser


def _method(options: argparse.Namespace, progress: Progress) -> Parse:
    """How to read a report, by the options; says where reports go before any goes."""
    if options.llm_endpoint and options.llm_folder:
        raise InputError("--llm-endpoint and --llm-folder exclude each other", "give one of them")
    if options.llm_folder:
        model = LocalModel(options.llm_folder, options.device)
        return lambda text: parse_with_model(text, model.ask, model.name)
    if bool(options.llm_endpoint) != bool(options.llm_model):
        raise InputError("--llm-endpoint and --llm-model belong together", "give both, or none for the rules")
    if not options.llm_endpoint:
        return parse_report
    endpoint = Endpoint(options.llm_endpoint, options.llm_model, options.allow_plain_http)
    progress.message(f"The text of every report is sent to {endpoint.host} (model {endpoint.model}).")
    return lambda text: parse_with_model(text, endpoint.ask, endpoint.model)


def _run(sources: list[ReportSource], parse: Parse, options: argparse.Namespace, progress: Progress) -> None:
    rows: list[dict[str, object]] = []
    score, notes = Score(), Counter()
    with progress.stage("Reports", len(sources)) as stage:
        for source in sources:
            parsed = parse(source.text)
            rows += pair_rows(source, parsed)
            notes[parsed.note] += bool(parsed.note)
            if options.score and source.truth:
                score.add(source.truth, parsed, source.text)
            stage.advance()
    write_pairs(options.out, rows)
    states = Counter(str(row["state"]) for row in rows)
    print(f"{len(rows)} statements of {len(sources)} reports in {options.out}: "
          + ", ".join(f"{number} {state}" for state, number in states.most_common()))  # fmt: skip
    for note, number in notes.most_common(3):
        if note:
            print(f"{number} reports were {note}")
    if options.score:
        _tell(score, options.score)


def _tell(score: Score, path: Path) -> None:
    print(f"\n{score.sentences} sentences with known meaning")
    for table in ("state", "finding", "organ", "part of organ", "side", "size", "sentence boundary"):
        print(f"\n{table}", *format_table(score.table(table)), sep="\n")
    atomic_text(path, json.dumps(summary(score), indent=1) + "\n")


if __name__ == "__main__":
    sys.exit(main())
