"""The commands of `medfm`, one module each.

A module has `NAME`, `HELP` (one line), `ABOUT`, `EPILOG` (examples), `add_arguments(parser)` and `run(args)`, which
returns the exit code. What is slow to import is imported in `run`.
"""

from medfm_core.commands import (
    analyze,
    ask,
    batch,
    doctor,
    embed,
    findings,
    models,
    panel,
    reconstruct,
    segment,
    similar,
    view,
)

COMMANDS = (analyze, batch, segment, findings, ask, embed, similar, reconstruct, view, panel, models, doctor)

__all__ = ["COMMANDS"]
