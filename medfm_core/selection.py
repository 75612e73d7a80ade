"""Which of a model's structures a user means by the names of organs, composites, groups or systems."""

from __future__ import annotations

from collections.abc import Sequence

from medfm_core.anatomy import load_vocabulary
from medfm_core.errors import InputError
from medfm_core.strict import unknown_name


def keep_organs(names: Sequence[str], available: Sequence[str]) -> tuple[str, ...]:
    """Which of a model's structures are meant by names of organs, composites, groups or systems.

    Args:
        names: what the user gave; empty for all.
        available: the structures that the model can tell.

    Returns:
        The structures, in the model's order.

    Raises:
        InputError: a name is unknown, or the model covers nothing of it.
    """
    vocabulary = load_vocabulary()
    by_name = {organ.name: organ for organ in (*vocabulary.organs, *vocabulary.composites)}
    groups = {group.name for group in vocabulary.groups} | {a for group in vocabulary.groups for a in group.aliases}
    kept: set[str] = set()
    for name in names:
        key = name.strip().lower().replace(" ", "_").replace("-", "_")
        loose = name.strip().lower()
        if key in available:
            found = {key}
        elif key in by_name:
            found = {n for n in available if set(vocabulary.expand(n)) <= set(vocabulary.expand(key))}
        elif loose in groups or key in groups:
            found = {organ.name for organ in vocabulary.answering(loose if loose in groups else key, available)}
        elif loose in vocabulary.systems:
            found = {n for n in available if by_name[n].system == loose}
        else:
            raise InputError(unknown_name("organ, group or system", name, {*by_name, *groups, *vocabulary.systems}))
        if not found:
            raise InputError(f"the model does not cover {name!r}", "see `medfm models show` for what it covers")
        kept |= found
    return tuple(name for name in available if name in kept) if names else tuple(available)
