"""The whole body in words, as `analysis.json` has it: each organ's share of the attention, and what is missing."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .results import Result

MEANING = (
    "A share says where the model looked, not how ill an organ is. The model is a reconstruction; research use only."
)


def body_text(result: Result | None) -> str:
    """A few lines for the panel; "" where no whole-body model looked at the scan.

    Args:
        result: of an analysis; None for none.
    """
    block = result.manifest.get("whole_body") if result is not None else None
    try:
        return _told(block) if block else ""
    except (KeyError, TypeError, ValueError, AttributeError):
        return "What the result says of the whole body cannot be read."


def _told(block: Mapping[str, Any]) -> str:
    organs = block["organs"].values()
    seen = sorted((o for o in organs if o["state"] != "missing"), key=lambda o: -float(o["share"] or 0))
    gone = [o["title"] for o in organs if o["state"] == "missing"]
    gone += [str(name).replace("_", " ").capitalize() for name in block.get("not_known", ())]
    missing = f"Missing: {', '.join(gone)}." if gone else ""
    if not seen:
        return "\n".join(filter(None, (str(block["meaning"]), missing)))
    lines = [f"Whole body by {block['model']['id']}, shares of its attention:", *map(_line, seen), missing, MEANING]
    return "\n".join(filter(None, lines))


def _line(organ: Mapping[str, Any]) -> str:
    cut = ", cut by the field of view" if organ["state"] == "cut" else ""
    return f"\u2022 {organ['title']}: {100 * float(organ['share']):.0f} %{cut}"
