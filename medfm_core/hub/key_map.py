"""Names of a foreign checkpoint's tensors, turned into a network's by rules that are data."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence

from medfm_core.card_sources import KeyRule
from medfm_core.errors import WeightsError

_SHOWN = 3
_FIX = "use the checkpoint that the model card names"


def map_keys(names: Iterable[str], rules: Sequence[KeyRule]) -> dict[str, str]:
    """Give each tensor its new name.

    Args:
        names: those of the checkpoint.
        rules: the first that matches a whole name decides; a name that none matches stays.

    Returns:
        New name to old, without what the rules leave out.

    Raises:
        WeightsError: two tensors would have one name.
    """
    compiled = [(re.compile(rule.match), rule.to) for rule in rules]
    found: dict[str, str] = {}
    for old in names:
        new = _renamed(old, compiled)
        if new is None:
            continue
        if new in found:
            raise WeightsError(f"both {found[new]!r} and {old!r} of the checkpoint would be {new!r}", _FIX)
        found[new] = old
    return found


def drops_leading(name: str, rules: Sequence[KeyRule]) -> bool:
    """Whether the rule that decides on a tensor drops a first axis of length 1.

    Args:
        name: the tensor's, in the checkpoint.
        rules: as for `map_keys`.
    """
    return next((rule.drop_leading for rule in rules if re.fullmatch(rule.match, name)), False)


def check_keys(
    renamed: Mapping[str, str], shapes: Mapping[str, Sequence[int]], expected: Mapping[str, Sequence[int]]
) -> None:
    """Refuse a checkpoint that does not fill a network exactly.

    Args:
        renamed: new name to old, of `map_keys`.
        shapes: old name to shape of the checkpoint's tensors.
        expected: name to shape of the network's tensors.

    Raises:
        WeightsError: a tensor is missing, too many, or of another shape.
    """
    missing = [name for name in expected if name not in renamed]
    extra = [old for new, old in renamed.items() if new not in expected]
    wrong = [
        f"{name!r} is {list(shapes[renamed[name]])} instead of {list(shape)}"
        for name, shape in expected.items()
        if name in renamed and tuple(shapes[renamed[name]]) != tuple(shape)
    ]
    if missing:
        raise WeightsError(f"the checkpoint lacks {len(missing)} tensors of the network: {_few(missing)}", _FIX)
    if extra:
        raise WeightsError(f"the checkpoint holds {len(extra)} tensors that the network has not: {_few(extra)}", _FIX)
    if wrong:
        shown = "; ".join(wrong[:_SHOWN]) + ("; ..." if len(wrong) > _SHOWN else "")
        raise WeightsError(f"tensors of the checkpoint are of another shape: {shown}", _FIX)


def _renamed(name: str, rules: Sequence[tuple[re.Pattern[str], str | None]]) -> str | None:
    for pattern, to in rules:
        match = pattern.fullmatch(name)
        if match:
            return None if to is None else match.expand(to)
    return name


def _few(names: Sequence[str]) -> str:
    shown = ", ".join(repr(name[:80]) for name in names[:_SHOWN])
    return f"{shown}, ..." if len(names) > _SHOWN else shown
