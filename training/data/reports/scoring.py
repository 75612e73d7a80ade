"""How well reports were read, where the truth of every sentence is known."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from training.data.reports.places import members
from training.data.reports.results import ParsedReport, ReportFinding
from training.data.reports.sources import TrueSentence


@dataclass(frozen=True)
class Agreement:
    """Counts of one thing that is scored."""

    hits: int = 0
    extra: int = 0
    missed: int = 0

    @property
    def precision(self) -> float:
        """Share of what was read that is true; 0 where nothing was read."""
        return self.hits / (self.hits + self.extra) if self.hits + self.extra else 0.0

    @property
    def recall(self) -> float:
        """Share of what is true that was read; 0 where nothing is true."""
        return self.hits / (self.hits + self.missed) if self.hits + self.missed else 0.0

    @property
    def f1(self) -> float:
        """Harmonic mean of precision and recall."""
        total = 2 * self.hits + self.extra + self.missed
        return 2 * self.hits / total if total else 0.0


@dataclass
class Score:
    """Counts that grow report by report.

    Attributes:
        sentences: how many were scored.
        counts: (table, key, "hits" | "extra" | "missed") -> number; the tables are "state", "finding" (kind with its
            state), "organ" (exact), "part of organ" (one lies in the other), "side", "size" and "sentence boundary".
    """

    sentences: int = 0
    counts: Counter = field(default_factory=Counter)

    def add(self, truth: Sequence[TrueSentence], parsed: ParsedReport, text: str) -> None:
        """Score one report.

        Args:
            truth: its sentences in order.
            parsed: what was read.
            text: the report, in which the truth's sentences are looked for.
        """
        position = 0
        starts = {sentence.span[0] for sentence in parsed.sentences}
        for sentence in truth:
            start = text.find(sentence.text, position)
            if start < 0:
                continue
            position = start + len(sentence.text)
            read = [f for f in parsed.findings if start < sum(f.span) / 2 < position or f.span[0] == start]
            self._count("sentence boundary", {"all"}, {"all"} if start in starts else set())
            self.sentence(sentence, read)

    def sentence(self, truth: TrueSentence, read: Sequence[ReportFinding]) -> None:
        """Score what was read from one sentence."""
        self.sentences += 1
        told = [finding for finding in read if finding.state != "background"]
        self._count("state", {truth.state}, {finding.state for finding in told} or {"background"})
        if truth.state == "background":
            return
        named = {(f.finding, f.state) for f in told if f.finding}
        wanted = {(truth.finding, truth.state)} if truth.finding else set()
        self._count("finding", wanted, named, lambda pair: pair[0])
        mine = [f for f in told if truth.finding in (f.finding, None)]
        self._count("organ", {truth.organ} - {None}, {f.organ for f in mine if f.organ})
        self._count("part of organ", {truth.organ} - {None}, {_same(truth.organ, f.organ) for f in mine if f.organ})
        if truth.finding:
            self._count("side", {truth.side} - {None}, {f.side for f in mine} - {None})
            self._count("size", {truth.size_mm} - {None}, {f.size_mm for f in mine} - {None}, lambda _: "all")

    def table(self, name: str) -> dict[str, Agreement]:
        """The agreement of each key of a table, "all" (together) first."""
        keys = sorted({key for table, key, _ in self.counts if table == name})
        rows = {key: Agreement(*(self.counts[name, key, w] for w in ("hits", "extra", "missed"))) for key in keys}
        values = rows.values()
        together = Agreement(*(sum(getattr(row, w) for row in values) for w in ("hits", "extra", "missed")))
        return {"all": together, **rows}

    def _count(self, table: str, wanted: set, read: set, key=str) -> None:
        for item in wanted | read:
            what = "hits" if item in wanted & read else "missed" if item in wanted else "extra"
            self.counts[table, key(item), what] += 1


def _same(wanted: str | None, read: str) -> str:
    """The wanted organ's name where one of the two lies in the other; otherwise what was read."""
    if wanted is None:
        return read
    one, other = members(wanted), members(read)
    return wanted if one <= other or other <= one else read


def format_table(rows: dict[str, Agreement], least: int = 1) -> list[str]:
    """Lines of a table: key, precision, recall, F1, number of true ones; keys with fewer than `least` are left out."""
    lines = [f"{'':32} {'precision':>9} {'recall':>7} {'F1':>6} {'n':>6}"]
    for key, row in rows.items():
        number = row.hits + row.missed
        if number >= least or row.extra >= least:
            lines.append(f"{key:32} {row.precision:9.3f} {row.recall:7.3f} {row.f1:6.3f} {number:6d}")
    return lines


def summary(
    score: Score, tables: Iterable[str] = ("state", "finding", "organ", "part of organ", "side", "size")
) -> dict:
    """The scores as plain data."""
    return {
        table: {
            key: {"precision": row.precision, "recall": row.recall, "f1": row.f1, "n": row.hits + row.missed}
            for key, row in score.table(table).items()
        }
        for table in tables
    }
