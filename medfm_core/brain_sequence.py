"""Which MR sequence a scan is, by what people call it: file names and DICOM series descriptions."""

from __future__ import annotations

import re

from medfm_core.errors import InputError
from medfm_core.strict import unknown_name

SEQUENCES = ("T1w", "T2w", "FLAIR")
_EDGE, _END = r"(?<![a-z0-9])", r"(?![a-z0-9*])"
_GRADIENT_ECHOES = "bravo|fspgr|spgr|tfl3d|3d[ _-]?tfe"
_NOT_T2 = re.compile(rf"{_EDGE}(t2[ _-]?(star|\*)|t2swi|swi|swan|gre|hemo|haemo|bold|epi|dwi|adc|pwi|dsc|asl)")
_T1_FLAIR = re.compile(rf"{_EDGE}t1w?[ _-]*flair")
_RULES = (
    ("FLAIR", re.compile(rf"flair|{_EDGE}(tirm|dark[ _-]?fluid|da[ _-]?fl){_END}")),
    ("T2w", re.compile(rf"{_EDGE}t2(w|wi|[ _-]?weighted)?{_END}")),
    ("T1w", re.compile(rf"{_EDGE}(t1(w|wi|c|ce|gd|km|[ _-]?weighted)?|{_GRADIENT_ECHOES}){_END}|mprage|mp2rage")),
)


def sequence_of(name: str) -> str | None:
    """Recognise T1w, T2w or FLAIR.

    T1 after contrast counts as T1w, "T1 FLAIR" too; T2*, diffusion and other sequences of echo planes are none.

    Args:
        name: of a file without its folder, or a series description.

    Returns:
        One of `SEQUENCES`, None where the name says none of them or several.
    """
    text = name.lower()
    if _NOT_T2.search(text):
        return None
    if _T1_FLAIR.search(text):
        return "T1w"
    found = [sequence for sequence, rule in _RULES if rule.search(text)]
    if found[:1] == ["FLAIR"]:
        found = [name for name in found if name != "T2w"]  # T2 FLAIR
    return found[0] if len(found) == 1 else None


def without_sequence(name: str) -> str:
    """A name without the word that says its sequence, to find the scans of one study among files of many.

    Args:
        name: of a file without its folder and ending.
    """
    sequence, text = sequence_of(name), name
    if sequence is None:
        return name
    rules = [_T1_FLAIR] if _T1_FLAIR.search(name.lower()) else [rule for known, rule in _RULES if known == sequence]
    if sequence == "FLAIR":
        rules += [rule for known, rule in _RULES if known == "T2w"]
    for rule in rules:
        found = rule.search(text.lower())
        if found:
            text = text[: found.start()] + text[found.end() :]
    return re.sub(r"[ _-]{2,}", "_", text).strip(" _-")


def plain_sequence(text: str) -> str:
    """One of `SEQUENCES`, whatever the case and with or without the w.

    Raises:
        InputError: it is none of them.
    """
    wanted = text.strip().lower().removesuffix("w")
    for sequence in SEQUENCES:
        if sequence.lower().removesuffix("w") == wanted:
            return sequence
    raise InputError(unknown_name("sequence", text.strip(), SEQUENCES), f"choose from {', '.join(SEQUENCES)}")
