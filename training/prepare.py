"""`python -m training.prepare`: bring the volumes of a manifest into a store, ready for training."""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from medfm_core.errors import InputError
from medfm_core.progress import Progress, RichProgress
from training.command import GOES_ON, command
from training.data.manifest import read_manifest
from training.data.preparation import AUTO, PREPARATIONS, read_plan
from training.data.preparing import prepare_manifest
from training.data.preparing_row import Outcome, PreparingOptions
from training.data.quality_report import write_report
from training.data.store import VolumeStore

EPILOG = """the manifest is a table (CSV or Parquet), one row per volume:
  subject,study,path,modality,labels,split,target.age
  s001,first,scans/s001.nii.gz,CT,labels/s001.nii.gz,train,63
  s002,first,/data/dicom/s002,CT,,val,
It is checked as a whole first: unknown columns, missing files, duplicates, a subject or an image in two splits.
More columns: sequence, series, organs, label_names, text, target.NAME, feature.NAME, info.NAME
(`python -c "import training.data.manifest as m; help(m)"` explains each).

what STORE holds then:
  index.jsonl    which row is which volume
  qc.html        report with pictures: open it in a browser before you train
  qc.csv         the same as a table; prepare.json says what was run
  ab/abcd.../    one folder per volume: image.b2nd, labels.b2nd, volume.json

examples:
  virtual patients, prepared as the shipped organ segmenter sees a CT:
    python -m training.synthesize --out cohort --count 20
    python -m training.prepare --manifest cohort/manifest.csv --store store --card organ-segmenter-tiny.v2 --workers 2
  MR at 1 mm; input.yaml holds what a card's `input` would:
    modality: [MR]
    orientation: RAS
    spacing_mm: [1, 1, 1]
    intensity: {kind: percentiles, percentiles: [0.5, 99.5], to: [0, 1]}
  python -m training.prepare --manifest brains.csv --store store --input input.yaml
  the same, and shards of about 500 MB for a machine that reads them over the network:
    python -m training.prepare --manifest brains.csv --store store --input input.yaml --shards shards --shard-mb 500

The same command goes on where a stopped one was: what is in the store is kept, changed files are prepared anew.
Exit codes: 0 all rows are stored; 1 some failed (the others are stored, qc.html says why); 2 the manifest or the
command is wrong; 3 memory, disk or a library is missing.

preparations: {preparations}
"""  # fmt: skip


@command(GOES_ON)
def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command."""
    options = _parser().parse_args(arguments)
    outcomes = run(options, RichProgress(), sys.argv[1:] if arguments is None else list(arguments))
    counts = Counter(outcome.entry.status for outcome in outcomes)
    print(
        f"{counts['ok'] + counts['doubtful']} of {len(outcomes)} volumes are in {options.store}, "
        f"{counts['doubtful']} of them doubtful, {sum(outcome.reused for outcome in outcomes)} from before; "
        f"look at {options.store / 'qc.html'}"
    )
    for outcome in [outcome for outcome in outcomes if outcome.entry.status == "failed"][:10]:
        print(f"row {outcome.row.number} failed: {outcome.entry.sentences[0]}", file=sys.stderr)
    return 1 if counts["failed"] else 0


def run(options: argparse.Namespace, progress: Progress, command: list[str]) -> list[Outcome]:
    """Check, prepare, report, and write the shards if they are wanted.

    Raises:
        MedFMError: the manifest, the command or the machine does not allow it.
    """
    if options.workers < 1:
        raise InputError(f"{options.workers} workers cannot work", "give at least 1")
    plan = read_plan(options.card, options.input, options.preparation)
    manifest = read_manifest(options.manifest)
    store = VolumeStore(options.store)
    how = PreparingOptions(options.workers, tuple(options.accept), options.verify, options.rehash)
    outcomes = prepare_manifest(manifest, store, plan, how, progress)
    write_report(store.folder, manifest, plan, outcomes, command)
    if options.shards is not None:
        from training.data.shards import ShardPlan, write_shards

        stored = [(outcome.row, outcome.entry) for outcome in outcomes if outcome.entry.key]
        shard_plan = ShardPlan(options.shards, megabytes=options.shard_mb)
        write_shards(manifest, stored, store, shard_plan, progress)
    return outcomes


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m training.prepare",
        description="Prepare the volumes of a manifest once, by a model card's own preprocessing, and store them in "
        "compressed chunks from which training reads random crops.",
        epilog=EPILOG.replace("{preparations}", ", ".join((AUTO, *PREPARATIONS))),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("--manifest", type=Path, required=True, help="table of volumes, .csv or .parquet")
    add("--store", type=Path, required=True, help="folder of the store; made if missing")
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--card", metavar="ID", help="model card whose input the volumes are prepared for (id or path)")
    what.add_argument("--input", type=Path, metavar="FILE", help="YAML file with such an input entry")
    add("--preparation", default=AUTO, metavar="NAME", help="how to prepare (default: auto, by modality)")
    add("--workers", type=int, default=1, help="processes (default: 1)")
    add("--accept", nargs="+", default=[], metavar="CODE",
        help="doubts that do not keep a volume out, by their code in qc.csv, e.g. not_ct")  # fmt: skip
    add("--verify", action="store_true", help="compare the hashes of volumes that are in the store already")
    add("--rehash", action="store_true", help="read all source files again, also those that nobody wrote to since")
    add("--shards", type=Path, metavar="DIR", help="also write WebDataset shards there")
    add("--shard-mb", type=float, default=1000, metavar="MB", help="size of a shard (default: 1000)")
    return parser


if __name__ == "__main__":
    sys.exit(main())
