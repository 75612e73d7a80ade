"""Which MR sequence a volume is, by its name; the rules are those of `medfm_core.brain_sequence`.

Slicer's own Python may have no runtime of MedFM, so the panel has the rules itself; a test compares the two.
"""

from __future__ import annotations

import re

SEQUENCES = ("T1w", "T2w", "FLAIR")
_EDGE, _END = r"(?<![a-z0-9])", r"(?![a-z0-9*])"
_GRADIENT_ECHOES = "bravo|fspgr|spgr|tfl3d|3d[ _-]?tfe"
_NOT_T2 = re.compile(rf"{_EDGE}(t2[ _-]?(star|\*)|t2swi|swi|swan|gre|hemo|haemo|bold|epi|dwi|adc|pwi|dsc|asl)")
_T1_FLAIR = re.compile(rf"{_EDGE}t1w?[ _-]*flair")
_RULES = {
    "FLAIR": re.compile(rf"flair|{_EDGE}(tirm|dark[ _-]?fluid|da[ _-]?fl){_END}"),
    "T2w": re.compile(rf"{_EDGE}t2(w|wi|[ _-]?weighted)?{_END}"),
    "T1w": re.compile(rf"{_EDGE}(t1(w|wi|c|ce|gd|km|[ _-]?weighted)?|{_GRADIENT_ECHOES}){_END}|mprage|mp2rage"),
}


def sequence_of(name: str) -> str:
    """One of `SEQUENCES`; "" where the name says none of them or several."""
    text = name.lower()
    if _NOT_T2.search(text):
        return ""
    if _T1_FLAIR.search(text):
        return "T1w"
    found = [sequence for sequence, rule in _RULES.items() if rule.search(text)]
    if "FLAIR" in found:
        found = [name for name in found if name != "T2w"]  # T2 FLAIR
    return found[0] if len(found) == 1 else ""


def scan_names(sequences: tuple[str, ...]) -> tuple[str, ...]:
    """What the scans of a study are called in its result: the sequence, with -2 behind it for the second of it."""
    names = []
    for index, sequence in enumerate(sequences):
        before = sequences[:index].count(sequence)
        names.append(f"{sequence}-{before + 1}" if before else sequence)
    return tuple(names)
