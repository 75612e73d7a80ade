"""`python -m training.import_spad`: take in a published SPAD checkpoint that you have."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from training.command import command, parser_of

EXAMPLES = """examples:
  python -m training.import_spad simple-soft.ckpt --as tokenizer --resources published
  python -m training.import_spad pumit-b.ckpt --as encoder --resources published
  medfm reconstruct ct.nii.gz --model published/cards/spad-tokenizer-published.json --out drawn
  medfm embed ct.nii.gz --model published/cards/spad-encoder-published.json --out vectors

The files are on the page of release v1 of function2-llx/PUMIT. Their authors state no licence, so MedFM neither ships
nor fetches them. They are read by a process of its own that takes nothing but tensors."""


@command()
def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command."""
    from medfm_core.published_spad import KINDS, import_published

    parser = parser_of("import_spad", __doc__, EXAMPLES)
    parser.add_argument("file", type=Path, help="the checkpoint")
    parser.add_argument("--as", dest="kind", choices=tuple(KINDS), required=True, help="what it is")
    parser.add_argument("--resources", type=Path, required=True, help="folder that receives weights/ and cards/")
    options = parser.parse_args(arguments)
    print(f"wrote {import_published(options.file, options.kind, options.resources)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
