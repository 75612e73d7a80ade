"""`python Testing/parity.py FOLDER`: compare our models with recorded outputs of the published ones.

A fixture is `<name>_config.json`, `<name>_weights.safetensors` and `<name>_io.safetensors`; its family is what the name
begins with. The largest error of every output is printed.

| exit code | meaning |
|---|---|
| 0 | every output of every covered fixture agrees |
| 1 | one does not, or could not be compared |
| 2 | the folder holds no fixture, or one is incomplete |
"""

from __future__ import annotations

import argparse
import importlib
import json
import sys
from pathlib import Path


def find_family(name: str) -> str | None:
    """The family of a fixture, or None where no comparison is written yet."""
    from parity_families import FAMILIES

    return next((family for family in FAMILIES if name == family or name.startswith(f"{family}_")), None)


def compare_fixture(folder: Path, name: str, family: str) -> list:
    """Load a fixture and let its family compare.

    Raises:
        InputError: a file of it is missing or not readable.
        WeightsError: its weights or recorded tensors are damaged or do not fit its configuration.
    """
    from parity_families import FAMILIES

    from medfm_core.errors import InputError
    from medfm_core.weights import load_weights

    try:
        config = json.loads((folder / f"{name}_config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(f"the fixture {name} has no readable configuration ({error})", "fetch it again") from error
    io = load_weights(folder / f"{name}_io.safetensors")
    module, function = FAMILIES[family].split(":")
    return getattr(importlib.import_module(module), function)(config, folder / f"{name}_weights.safetensors", io)


def run(folder: Path) -> int:
    """Compare every fixture of a folder, print a line per output, and return the exit code."""
    from medfm_core.errors import MedFMError

    names = sorted(path.name.removesuffix("_config.json") for path in folder.glob("*_config.json"))
    if not names:
        print(f"{folder} holds no fixture (*_config.json).", file=sys.stderr)
        return 2
    code = 0
    for name in names:
        family = find_family(name)
        if family is None:
            print(f"{name:<24} not yet covered")
            continue
        try:
            compared = compare_fixture(folder, name, family)
        except MedFMError as problem:
            print(f"{name:<24} {problem}", file=sys.stderr)
            code = 2
            continue
        for one in compared:
            verdict = "ok" if one.holds else "no counterpart" if one.ours is None else "APART"
            print(f"{name:<24} {one.name:<28} largest error {one.error:.2e} of {one.allowed:.2e} allowed  {verdict}")
        if not all(one.holds for one in compared):
            code = code or 1
    return code


def main(arguments: list[str] | None = None) -> int:
    """Read the command line and run."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, help="folder with the fixtures")
    return run(parser.parse_args(arguments).folder)


if __name__ == "__main__":
    # Beside this file lie folders named like the packages: the packages must be found first.
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
    sys.exit(main())
