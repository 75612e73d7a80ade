"""`python -m training.encode_organs`: organ vectors of a cohort of CTs, to train a whole-body model on."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from medfm_core.errors import InputError
from medfm_core.progress import RichProgress
from training.command import GOES_ON, command, parser_of

EXAMPLES = """The manifest is that of training.synthesize or your own. Organs are cut out along its label maps; rows
without one are outlined by the organ segmenter first. What is written is a manifest for the data source organ_sets:
organs that each scan shows, a file of vectors, targets, features and splits as they were, and info.cut, the organs that
the field of view cuts. organs.json beside it says which encoder made the vectors, and goes into an exported model's
card.

examples:
  virtual patients through the shipped encoder, and a whole-body model over them, for use on CTs:
    python -m training.synthesize --out patients --count 800 --region torso chest abdomen
    python -m training.encode_organs --manifest patients/manifest.csv --out bodies
    python -m training.pretrain --config training/recipes/pan_fm/ct-pretrain.yaml --out runs/pan-fm-ct \\
        --data.manifest bodies/manifest.csv
    python -m training.export --run runs/pan-fm-ct --id pan-fm-ct.v1 --resources my-resources \
        --about training/recipes/pan_fm/about.json
    medfm analyze ct.nii.gz --out case1 --body-model my-resources/cards/pan-fm-ct.v1.json
  other organs than those of the published model that the encoder has units of:
    python -m training.encode_organs --manifest patients/manifest.csv --out bodies --organ aorta=aorta \\
        --organ lung=lung_lower_lobe_left,lung_lower_lobe_right
The same command goes on where it was.
"""


@command(GOES_ON)
def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command."""
    from medfm_core.card_library import default_card, load_card
    from medfm_core.findings_model import load_findings_model
    from training.data.organ_making import making_of, write_making
    from training.data.organ_vectors import FOLDER, OrganVectors, encoder_of, units_of_organs

    options = _parser().parse_args(arguments)
    card = load_card(options.card) if options.card else default_card("findings")
    if options.out.resolve() == options.manifest.parent.resolve():
        raise InputError(f"{options.out} holds the manifest that is read", "choose another folder for --out")
    model = load_findings_model(card, options.device)
    units = units_of_organs(card, dict(map(_organ, options.organ)))
    vectors = OrganVectors(model, making_of(encoder_of(model), units), options.out)
    (options.out / FOLDER).mkdir(parents=True, exist_ok=True)
    count = _encode(vectors, options.manifest)
    write_making(vectors.making, options.out)
    organs = [{"name": n, "kind": "vectors", "count": len(u), "values": model.sentences.encoder.width}
              for n, u in units.items()]  # fmt: skip
    print(f"organ vectors of {count} studies; the list for training is {options.out / 'manifest.csv'}")
    print(f"model.organs and data.organs, where no size of pan_fm has them: {json.dumps(organs)}")
    return 0


def _encode(vectors: object, manifest: Path) -> int:
    from training.data.manifest import read_manifest
    from training.data.manifest_table import read_table, write_table

    rows = read_manifest(manifest, "exist").rows
    cells = dict(zip((table := read_table(manifest)).numbers, table.rows, strict=True))
    made = []
    with RichProgress().stage("Organ vectors", len(rows)) as stage:
        for row in rows:
            made.append(vectors.row(row, cells[row.number]))
            stage.advance()
    columns = list(dict.fromkeys(column for row in made for column in row))
    used = [column for column in columns if column != "split" or made[0]["split"]]
    write_table(vectors.folder / "manifest.csv", used, made)
    return len(made)


def _organ(text: str) -> tuple[str, tuple[str, ...]]:
    name, _, units = text.partition("=")
    if not name or not all(units.split(",")):
        raise InputError(f"--organ {text!r} names no units", "write NAME=unit,unit")
    return name, tuple(units.split(","))


def _parser() -> argparse.ArgumentParser:
    parser = parser_of("encode_organs", "Turn CTs into organ vectors, to train a whole-body model on them.", EXAMPLES)
    add = parser.add_argument
    add("--manifest", type=Path, required=True, help="table of CTs")
    add("--out", type=Path, required=True, help="folder of vectors and their manifest; made if missing")
    add("--card", metavar="ID", help="findings model whose encoder is used (default: the shipped one)")
    add("--organ", action="append", default=[], metavar="NAME=UNITS",
        help="one more organ, of these units of the card (may be given several times)")  # fmt: skip
    add("--device", default="auto", help="auto, cpu, cuda, ... (default: auto)")
    return parser


if __name__ == "__main__":
    sys.exit(main())
