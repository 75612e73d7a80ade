"""`medfm batch`: many CTs, a folder of results for each and a table of all."""

from __future__ import annotations

import argparse
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from medfm_core.commands import brains, common

if TYPE_CHECKING:
    from medfm_core.analysis import Options
    from medfm_core.batch.cases import Case
    from medfm_core.batch.outcome import Outcome, Summary
    from medfm_core.brain_study import BrainOptions
    from medfm_core.progress import Progress

NAME = "batch"
HELP = "many CTs or studies of brain MRI: a folder of results for each, and a table of all"
ABOUT = """Do for many CTs what `medfm analyze` does for one. IN is any of
  a folder          searched with all folders below it: image files, DICOM folders (each CT series is a case)
  a .txt file       one path a line, relative to the file
  a .csv file       with a column path; columns case (a name for its folder) and series are used where they are there
  a CT              as for `medfm analyze`
With a brain model by --model, with --modality MR, --register or --strip, the cases are studies of brain MRI instead:
  a folder          the files in it whose names say T1w, T2w or FLAIR are a study; so is a DICOM folder
  a .csv file       with columns T1w, T2w, FLAIR (a study each line), or a column path; a column case where it is there
and --out becomes a folder with
  CASE/             per case what `medfm analyze` writes: report, measurements, outlines, findings, embeddings
  cohort.csv        a row per case: state, error, seconds, volume and HU of each organ, state and score of each finding
  batch.jsonl       what was done, for resuming
  embeddings.npz    of brain MRI, the vectors of all cases in one file
A case that fails does not stop the others. Give the same command again to go on after an interruption: a case is
finished when its result was made of the same voxels in the same place, by the same models and options, and all its
files are whole; everything else is done again. Everything is computed on this machine. Research use only."""
EPILOG = """examples:
  medfm batch scans --out results                     every CT in a folder
  medfm batch cohort.csv --out results --device cuda
  medfm batch a.nii.gz b.nii.gz dicom_folder --out results --organs liver,spleen --no-findings
  medfm batch scans --out results --json | my_program
  medfm batch studies.csv --model my-brains.v1 --out brains --strip --register
  medfm similar results/case1 --in results            afterwards: which are alike?

exit codes: 0 every case is done, 1 some cases failed (the others are done), 2 wrong command or no CT found,
3 weights are missing or the disk is full, 130 stopped by you (finished cases stay)"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("inputs", nargs="+", metavar="IN", help="folder, .txt list, .csv file, scan or DICOM folder")
    parser.add_argument("--out", metavar="DIR", required=True, type=Path, help="folder for the results")
    parser.add_argument("--again", action="store_true", help="do finished cases anew")
    common.add_findings(parser)
    common.add_how(parser)
    brains.add_study_arguments(parser)
    common.add_output(parser)
    parser.set_defaults(check=lambda args: args, sample=False, sequence=())


def run(args: argparse.Namespace) -> int:
    """Run the batch and say how it went."""
    progress = common.begin(args)
    from medfm_core.batch.run import Batch

    cases, options = _studies(args) if brains.is_asked(args) else _scans(args)
    teller = _Teller(args, progress, len(cases))
    teller.begin()
    batch = Batch(cases, args.out, options, progress=progress, tell=teller.tell, again=args.again)
    try:
        summary = batch.run()
    except KeyboardInterrupt:
        print("medfm: stopped; finished cases stay, and the same command goes on from here.", file=sys.stderr)
        return 130
    teller.close(summary)
    return summary.exit_code


def _scans(args: argparse.Namespace) -> tuple[tuple[Case, ...], Options]:
    from medfm_core.batch.inputs import find_cases

    options = replace(
        common.options_of(args),
        findings=args.findings,
        findings_card=args.findings_model,
        saliency=tuple(args.saliency),
        body_card=args.body_model,
    )
    return find_cases(args.inputs, args.out), options


def _studies(args: argparse.Namespace) -> tuple[tuple[Case, ...], BrainOptions]:
    from medfm_core.batch.brain_inputs import find_studies

    options = brains.options_of(args)
    return find_studies(args.inputs, args.out), options


class _Teller:
    """Says how each case ended, and all of them."""

    def __init__(self, args: argparse.Namespace, progress: Progress, total: int) -> None:
        self._args, self._progress, self._total = args, progress, total
        self._count, self._seconds, self._computed = 0, 0.0, 0

    def begin(self) -> None:
        """Tell what is to come: the first case may take minutes."""
        if not self._args.json and not self._args.quiet:
            self._progress.message(
                f"{self._total} {'case' if self._total == 1 else 'cases'}; results: {self._args.out}"
            )

    def tell(self, outcome: Outcome) -> None:
        """Tell of one case."""
        self._count += 1
        if not outcome.is_old and not outcome.error:  # a broken file fails at once and says nothing of the others
            self._seconds += outcome.seconds
            self._computed += 1
        left = (self._total - self._count) * self._seconds / self._computed if self._computed else None
        if self._args.json:
            self._progress.event(
                "case",
                case=outcome.case,
                state=outcome.state,
                old=outcome.is_old,
                seconds=round(outcome.seconds, 2),
                error=outcome.error,
                exit_code=outcome.exit_code,
                count=self._count,
                total=self._total,
                remaining_seconds=None if left is None else round(left, 1),
            )
        elif self._args.quiet and outcome.error:
            print(f"medfm: {outcome.case}: {outcome.error}", file=sys.stderr)
        elif not self._args.quiet:
            rest = f", about {_time(left)} left" if left else ""
            self._progress.message(f"{self._count} of {self._total}{rest}: {outcome.case} {_how(outcome)}")

    def close(self, summary: Summary) -> None:
        """Tell of the whole."""
        old, failed = sum(outcome.is_old for outcome in summary.outcomes), len(summary.failed)
        done = len(summary.outcomes) - failed
        if self._args.json:
            self._progress.event("result", table=str(summary.table), done=done, old=old, failed=failed)
        elif not self._args.quiet:
            before = f" ({old} of them before)" if old else ""
            print(f"{done} of {len(summary.outcomes)} cases done{before}, {failed} failed: {summary.table}")


def _how(outcome: Outcome) -> str:
    if outcome.error:
        return f"failed: {outcome.error}"
    return "was done before" if outcome.is_old else f"done in {outcome.seconds:.0f} s"


def _time(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
