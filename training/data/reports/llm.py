"""A report read by a language model: the question, the checked answer, one more try, and the rules behind it."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from medfm_core.anatomy import load_vocabulary
from medfm_core.errors import InputError
from medfm_core.strict import from_dict
from training.data.reports.lexicon import load_lexicon
from training.data.reports.results import ParsedReport, ReportFinding, ReportSentence
from training.data.reports.rules import parse_report

Message = dict[str, str]
Ask = Callable[[Sequence[Message]], str]

_SYSTEM = """You turn radiology reports into data. You get the numbered sentences of one report and answer with one \
JSON object and nothing else:
{"statements": [{"sentence": 3, "context": "positive", "state": "present", "organ": "kidney_left", "side": "left", \
"finding": "renal_cyst", "size_mm": 12.0, "phase": null}]}
Give at least one statement for every sentence number.
context: background (technique, history, comparison, advice), positive (something abnormal is or may be there), \
negative (something is denied or an organ is normal), continuation (goes on about an earlier sentence).
state: present, absent, uncertain, normal (an organ is said to be normal) or background. A denied list gives one \
statement for each item. A background or continuation sentence gets the state background.
organ: one of the organ names below, or null. side: "left", "right" or null.
finding: one of the finding names below, or null where none fits and for normal and background.
size_mm: the largest size in millimetres, or null. phase: one of the phase names below where the sentence is bound to \
it, or null.
"""


@dataclass(frozen=True)
class Statement:
    """One statement of the model's answer; the system text says what each field may hold."""

    sentence: int
    context: Literal["background", "positive", "negative", "continuation"]
    state: Literal["present", "absent", "uncertain", "normal", "background"]
    organ: str | None = None
    side: Literal["left", "right"] | None = None
    finding: str | None = None
    size_mm: float | None = None
    phase: str | None = None


@dataclass(frozen=True)
class Answer:
    """The model's whole answer."""

    statements: tuple[Statement, ...]


def parse_with_model(text: str, ask: Ask, name: str) -> ParsedReport:
    """Read a report with a language model.

    The sentences are ours (the rules split them), so that the answer can only point to them. An answer that breaks the
    schema is sent back once with what is wrong; after that the rules' reading is returned, and its `note` says why.

    Args:
        text: the report.
        ask: sends the messages and returns the model's text.
        name: the model, for `ParsedReport.method`.

    Raises:
        ResourceError: the model cannot be reached.
    """
    rules = parse_report(text)
    messages = [{"role": "system", "content": system_text()}, {"role": "user", "content": question(rules.sentences)}]
    problem = ""
    for _ in range(2):
        reply = ask(messages)
        try:
            answer = read_answer(reply, len(rules.sentences))
            return _joined(rules, answer, name)
        except InputError as error:
            problem = error.what
            again = f"That answer cannot be used: {problem}. Answer again with the whole JSON object only."
            messages = [*messages, {"role": "assistant", "content": reply[:4000]}, {"role": "user", "content": again}]
    return replace(rules, note=f"read by rules, since the model's answers could not be used: {problem}")


def system_text() -> str:
    """What the model is told before the report."""
    vocabulary, lexicon = load_vocabulary(), load_lexicon()
    return (
        f"{_SYSTEM}organ names: {', '.join(vocabulary.names().values())}\n"
        f"finding names: {', '.join(lexicon.findings)}\nphase names: {', '.join(lexicon.phases)}"
    )


def question(sentences: Sequence[ReportSentence]) -> str:
    """The numbered sentences with their sections."""
    return "\n".join(f"{n} [{sentence.section}] {sentence.text}" for n, sentence in enumerate(sentences, 1))


def read_answer(reply: str, count: int) -> Answer:
    """Check a model's reply.

    Args:
        reply: its text; a fence around the JSON is allowed.
        count: number of sentences.

    Raises:
        InputError: it is no JSON, breaks the schema, names something unknown, or leaves out a sentence.
    """
    bare = re.sub(r"^\s*```(?:json)?|```\s*$", "", reply.strip())
    try:
        data = json.loads(bare)
    except ValueError as error:
        raise InputError(f"it is not one JSON object ({error})") from error
    answer = from_dict(Answer, data, "the answer")
    for statement in answer.statements:
        _check(statement, count)
    left = sorted(set(range(1, count + 1)) - {statement.sentence for statement in answer.statements})
    if left:
        raise InputError(f"it has no statement for the sentences {', '.join(map(str, left[:10]))}")
    return answer


def _check(statement: Statement, count: int) -> None:
    lexicon, where = load_lexicon(), f"in a statement of sentence {statement.sentence}"
    if not 1 <= statement.sentence <= count:
        raise InputError(f"there is no sentence {statement.sentence}; they are 1 to {count}")
    for kind, value, known in (
        ("organ", statement.organ, load_vocabulary().names().values()),
        ("finding", statement.finding, lexicon.findings),
        ("phase", statement.phase, lexicon.phases),
    ):
        if value is not None and value not in known:
            raise InputError(f"{where}, there is no {kind} {value[:40]!r}")
    if statement.size_mm is not None and not 0 < statement.size_mm < 2000:
        raise InputError(f"{where}, a size of {statement.size_mm} mm is impossible")
    if statement.finding is not None and statement.state in ("normal", "background"):
        raise InputError(f"{where}, a finding cannot be {statement.state}")


def _joined(rules: ParsedReport, answer: Answer, name: str) -> ParsedReport:
    """The model's statements on our sentences; continuations join the text of the sentence that they go on with."""
    study = rules.phases[0] if len(rules.phases) == 1 else None
    sentences, findings = list(rules.sentences), []
    by_sentence: dict[int, list[Statement]] = {}
    for statement in answer.statements:
        by_sentence.setdefault(statement.sentence - 1, []).append(statement)
    heads: list[int] = []
    for n, sentence in enumerate(rules.sentences):
        sentences[n] = replace(sentence, context=by_sentence[n][0].context)
        if sentences[n].context == "continuation":
            for head in heads:
                findings[head] = replace(findings[head], text=f"{findings[head].text} {sentence.text}")
        first = len(findings)
        findings += [_finding(said, sentence, study) for said in dict.fromkeys(by_sentence[n])]
        if any(said.state != "background" for said in by_sentence[n]):
            heads = list(range(first, len(findings)))
    return ParsedReport(tuple(sentences), tuple(findings), rules.phases, method=name)


def _finding(said: Statement, sentence: ReportSentence, study: str | None) -> ReportFinding:
    return ReportFinding(
        sentence.text, sentence.section, said.state, said.organ, said.side, said.finding, said.size_mm,
        said.phase or study, sentence.span,
    )  # fmt: skip
