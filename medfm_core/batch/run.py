"""Doing the cases one after the other, and what is written down of each."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from medfm_core.analysis import Options
from medfm_core.batch.brain_work import BrainWork
from medfm_core.batch.cases import Case
from medfm_core.batch.computing import STEPS, Computing
from medfm_core.batch.journal import Journal, stamp_of
from medfm_core.batch.outcome import Outcome, Summary
from medfm_core.batch.table import DONE, FAILED, TABLE, Row, write_table
from medfm_core.batch.vectors import write_vectors
from medfm_core.batch.work import CtWork, Work
from medfm_core.brain_study import BrainOptions
from medfm_core.errors import InputError, ResourceError
from medfm_core.io.atomic import write_error
from medfm_core.progress import SILENT, Progress, Stage
from medfm_core.results_folder import MANIFEST

LOCK = ".medfm-batch.lock"
_LEAST_FREE_BYTES = 50_000_000


class Batch:
    """A folder of results and the cases that it is for.

    Args:
        cases: of `find_cases`.
        out: folder of results, one folder per case; made where it is not there.
        options: of every case, of CT or of brain MRI; a case's own series goes before that of the options.
        progress: told of the cases; may cancel.
        tell: called with each outcome.
        again: do finished cases anew.
    """

    def __init__(
        self,
        cases: Sequence[Case],
        out: Path,
        options: Options | BrainOptions,
        *,
        progress: Progress = SILENT,
        tell: Callable[[Outcome], None] = lambda outcome: None,
        again: bool = False,
    ) -> None:
        self._cases, self._out = tuple(cases), out
        self._work: Work = CtWork(options) if isinstance(options, Options) else BrainWork(options)
        self._progress, self._tell, self._again = progress, tell, again
        self._rows = {c.name: Row(c.name, c.told, c.series or "") for c in self._cases}
        self._computing = Computing(progress)
        self._stage = Stage(progress, "Cases", None)

    def run(self) -> Summary:
        """Do what is not done yet.

        Returns:
            How each case ended; the table lies in the folder.

        Raises:
            InputError: the folder cannot be used, or another batch works in it.
            WeightsError: a model is missing or damaged.
            ResourceError: the disk is full; what is finished stays.
            CancelledError, KeyboardInterrupt: stopped; what is finished stays.
        """
        for card in self._work.cards:
            card.verify()
        outcomes: list[Outcome] = []
        with self._locked():
            journal = Journal(self._out)
            try:
                with self._progress.stage("Cases", STEPS * len(self._cases)) as self._stage:
                    for case in self._cases:
                        outcomes.append(self._one(case, journal))
                        self._tell(outcomes[-1])
                        self._stage.advance(STEPS * len(outcomes) - self._stage.done)
            finally:
                self._computing.close()
                with suppress(InputError, ResourceError):
                    self._write_tables()
        return Summary(tuple(outcomes), self._out / TABLE)

    def _one(self, case: Case, journal: Journal) -> Outcome:
        begin, stamp = time.monotonic(), stamp_of(case)
        manifest = None if self._again else self._finished(case, journal, stamp)
        if manifest is not None:
            if journal.entry(case).get("stamp") != stamp or journal.entry(case).get("state") != DONE:
                journal.add(case, DONE, stamp=stamp, voxels_sha256=self._work.digest(manifest))
            self._show(case, DONE, values=self._work.values(manifest))
            return Outcome(case.name, DONE, is_old=True)
        event = self._ask("analyze", {**self._work.arguments(case), "out": str(self._out / case.name)})
        seconds = time.monotonic() - begin
        if event["event"] == "result":
            manifest = json.loads((self._out / case.name / MANIFEST).read_text(encoding="utf-8"))
            journal.add(case, DONE, stamp=stamp, voxels_sha256=self._work.digest(manifest))
            self._show(case, DONE, values=self._work.values(manifest))
            return Outcome(case.name, DONE, seconds=seconds)
        self._check_disk()
        journal.add(case, FAILED, error=event["sentence"], kind=event["kind"], exit_code=event["exit_code"])
        self._show(case, FAILED, event["sentence"], {"seconds": round(seconds, 2)})
        return Outcome(case.name, FAILED, False, seconds, event["sentence"], event["exit_code"])

    def _finished(self, case: Case, journal: Journal, stamp: str | None) -> Mapping[str, Any] | None:
        """The manifest of a result that need not be made again: same models, options, voxels and place."""
        manifest = self._work.matching(self._out / case.name)
        if manifest is None:
            return None
        entry = journal.entry(case)
        is_noted = entry.get("state") == DONE and entry.get("voxels_sha256") == self._work.digest(manifest)
        if is_noted and stamp is not None and entry.get("stamp") == stamp:
            return manifest
        found = []
        for asked in self._work.identities(case, manifest) or ():
            found.append(self._ask("identify", asked))
            if found[-1]["event"] != "result":
                return None
        return manifest if found and self._work.is_same(manifest, found) else None

    def _ask(self, name: str, arguments: Mapping[str, Any]) -> Mapping[str, Any]:
        return self._computing.ask(name, arguments, self._stage)

    def _show(self, case: Case, state: str, error: str = "", values: Mapping[str, Any] | None = None) -> None:
        self._rows[case.name] = Row(case.name, case.told, case.series or "", state, error, values or {})
        write_table(list(self._rows.values()), self._out, self._work.columns)

    def _write_tables(self) -> None:
        """The cohort's table, and of brain MRI its vectors in one file."""
        write_table(list(self._rows.values()), self._out, self._work.columns)
        if isinstance(self._work, BrainWork):
            write_vectors([row.case for row in self._rows.values() if row.state == DONE], self._out)

    def _check_disk(self) -> None:
        free = shutil.disk_usage(self._out).free
        if free < _LEAST_FREE_BYTES:
            raise ResourceError(
                f"the disk of {self._out} is full; the other cases were not tried",
                "free some space and give the same command again: it goes on where it stopped",
            )

    @contextmanager
    def _locked(self) -> Any:
        """Be the only batch in this folder."""
        from filelock import FileLock, Timeout

        try:
            self._out.mkdir(parents=True, exist_ok=True)
            lock = FileLock(self._out / LOCK)
            lock.acquire(timeout=0)
        except Timeout as error:
            raise InputError(f"another batch is at work in {self._out}", "wait, or give another --out") from error
        except OSError as error:
            raise write_error(error, self._out) from error
        try:
            yield
        finally:
            lock.release()
