"""`python -m training.standardise_brains`: strip and register the brain MRI of a manifest, before training.prepare."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from medfm_core.brain_standard import standard_plan
from medfm_core.errors import InputError
from medfm_core.progress import RichProgress
from medfm_core.skull_stripping import AUTO, TOOLS
from training.command import GOES_ON, command, parser_of
from training.data.brain_standardising import standardise_manifest
from training.data.manifest import read_manifest

EXAMPLES = """examples:
  brains that are stripped already, to the template that nilearn or FSL brought along:
    python -m training.standardise_brains --manifest brains.csv --out standard --register
  whole heads, to a template of your own; HD-BET or SynthStrip must be installed:
    python -m training.standardise_brains --manifest heads.csv --out standard --strip --register --template T1.nii.gz
  then:
    python -m training.prepare --manifest standard/manifest.csv --store store --preparation brain_mr --input INPUT

what --out holds: a folder per row with image.nii.gz, labels.nii.gz where the row has labels, registration.png (look at
these) and standard.json (the map back to the scan, doubts); and manifest.csv with the same columns and the new paths.
Label maps are brought along. The same command goes on where a stopped one was.
Exit codes: 0 all rows are there, 1 some failed, 2 the manifest or the command is wrong, 3 a tool or disk is missing."""


@command(GOES_ON)
def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command."""
    parser = parser_of("standardise_brains", __doc__, EXAMPLES)
    add = parser.add_argument
    add("--manifest", type=Path, required=True, help="table of scans, .csv or .parquet")
    add("--out", type=Path, required=True, help="folder for the results; made if missing")
    add("--register", action="store_true", help="register to a template, rigid and affine, by mutual information")
    add("--template", help="a stripped brain in MNI space (default: that of FSL or nilearn)")
    add("--strip", nargs="?", const=AUTO, choices=(AUTO, *TOOLS), help="take the skull away first")
    options = parser.parse_args(arguments)
    if not (options.register or options.strip):
        raise InputError("nothing is asked for", "give --register, --strip or both")
    if options.template and not options.register:
        raise InputError("--template names a template that nothing is registered to", "add --register")
    plan = standard_plan(options.strip, options.register, options.template)
    manifest = read_manifest(options.manifest)
    done = standardise_manifest(manifest, options.out, plan, RichProgress())
    failed = [one for one in done if not one.folder]
    doubtful = sum(bool(one.folder and one.doubts) for one in done)
    for one in failed[:10]:
        print(f"row {one.number} failed: {one.doubts[0]}", file=sys.stderr)
    print(f"{len(done) - len(failed)} of {len(done)} scans are in {options.out}, {doubtful} of them doubtful")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
