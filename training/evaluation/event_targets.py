"""From the columns `time.NAME` and `event.NAME` of a manifest to the target of a survival task."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from medfm_core.errors import InputError
from medfm_core.strict import unknown_name
from training.data.manifest import ManifestRow
from training.evaluation.cohort import Targets


def read_event(rows: Sequence[ManifestRow], wanted: Sequence[str]) -> Targets:
    """Read when something happened, or until when it had not.

    Args:
        rows: of the manifest, each with a split.
        wanted: the name of one event.

    Returns:
        Times and events `(N, 2)`, in the manifest's unit; NaN where not known.

    Raises:
        InputError: there is no such event, several are named, a time is not above 0, or nobody of the split train or
            test had it.
    """
    names = list(dict.fromkeys(name for row in rows for name in row.times))
    if not names:
        raise InputError("the manifest has no times to events", "add columns time.NAME and event.NAME")
    if len(wanted) != 1:
        raise InputError(f"a survival probe tells one event, not {len(wanted)}", "name a single one by --target")
    name = wanted[0]
    if name not in names:
        hint = "the manifest's events are its pairs of columns time.NAME and event.NAME"
        raise InputError(unknown_name("event", name, names), hint)
    values = np.array([(row.times[name], row.events[name]) for row in rows], dtype=np.float64)
    early = np.flatnonzero(values[:, 0] <= 0)
    if len(early):
        raise InputError(
            f"time.{name} is not above 0 in {len(early)} rows (the first is row {rows[early[0]].number})",
            "leave time and event empty where the event came before the scan",
        )
    splits = np.array([row.split or "" for row in rows])
    for split in ("train", "test"):
        if not (values[splits == split, 1] == 1).any():
            raise InputError(f"nobody of the split {split!r} had the event {name!r}", "check the manifest")
    return Targets("survival", values, (name,), name)
