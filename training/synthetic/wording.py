"""Wordings: reading them, choosing one that fits a finding, and filling its blanks."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import lru_cache

import numpy as np

from medfm_core.errors import InputError
from training.synthetic.lesions import Finding
from training.synthetic.phrases import FINDINGS, NORMAL

_MARKS = {"+": "one", "++": "many", "-": "absent", "-s": "absent_side", "?": "uncertain", "=": "impression"}
_COUNTS = ("no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")


@lru_cache(maxsize=1)
def wordings() -> Mapping[str, Mapping[str, tuple[str, ...]]]:
    """All wordings: kind -> one, many, absent, absent_side, uncertain, impression -> sentences."""
    return parse(FINDINGS)


@lru_cache(maxsize=1)
def normal_wordings() -> Mapping[str, tuple[str, ...]]:
    """Sentences that call an organ normal."""
    out: dict[str, list[str]] = {}
    for line in NORMAL.strip().splitlines():
        organ, text = line.split(": ", 1)
        out.setdefault(organ, []).append(text)
    return {organ: tuple(lines) for organ, lines in out.items()}


def parse(text: str) -> dict[str, dict[str, tuple[str, ...]]]:
    """Read wordings: blocks with the kind's name, then a line per sentence behind a mark.

    Marks: `+` one lesion, `++` several, `-` absent, `-s` absent on one side, `?` uncertain, `=` impression. In braces:
    size, a_size ("a 12 mm", "an 8 mm"), location, lobe, side, severity, a_severity, pattern, density, count, level,
    loss, volume, ratio, bone, type; with a capital first letter at the beginning of a sentence.

    Raises:
        InputError: a line without a mark.
    """
    out: dict[str, dict[str, tuple[str, ...]]] = {}
    for block in re.split(r"\n\s*\n", text.strip()):
        name, *lines = block.splitlines()
        kind: dict[str, tuple[str, ...]] = {}
        for line in lines:
            mark, _, sentence = line.partition(" ")
            if mark not in _MARKS:
                raise InputError(f"the wording {line!r} of {name} has no mark", f"begin it with one of {list(_MARKS)}")
            kind[_MARKS[mark]] = (*kind.get(_MARKS[mark], ()), sentence)
        out[name] = kind
    return out


def fill(rng: np.random.Generator, lines: Sequence[str], finding: Finding) -> tuple[str, float | None]:
    """Choose a wording whose blanks the finding can fill, and fill them.

    Args:
        rng: source.
        lines: wordings.
        finding: what they tell.

    Returns:
        The sentence, and the size that it gives, mm (None where it gives none).

    Raises:
        InputError: no wording fits.
    """
    blanks, size = _blanks(rng, finding)
    usable = [line for line in lines if set(re.findall(r"{(\w+)}", line)) <= set(blanks)]
    if not usable:
        raise InputError(f"no wording of {finding.name} fits {dict(finding.attributes)}", "add one with fewer blanks")
    line = str(rng.choice(usable))
    return line.format(**blanks), size if re.search(r"{(a_|A_)?size}", line) else None


def _blanks(rng: np.random.Generator, finding: Finding) -> tuple[dict[str, str], float | None]:
    """Words for the blanks of a finding's sentences, and the size that the text gives, mm."""
    words = {key: str(value) for key, value in finding.attributes.items() if isinstance(value, str)}
    out = {
        key: words[key]
        for key in ("location", "lobe", "severity", "pattern", "density", "level", "type")
        if key in words
    }
    if finding.side:
        out["side"] = finding.side
    size = None
    if finding.size_mm is not None:
        out["size"], size = _length(rng, finding.size_mm)
        out["a_size"] = _article(out["size"])
    if "severity" in out:
        out["a_severity"] = _article(out["severity"])
    out["count"] = _COUNTS[finding.count] if finding.count < len(_COUNTS) else "numerous"
    numbers = finding.attributes
    if "volume_ml" in numbers:
        out["volume"] = f"{round(float(numbers['volume_ml']), -1):.0f} mL"
    if "loss_percent" in numbers:
        out["loss"] = f"{5 * round(float(numbers['loss_percent']) / 5):d} %"
    if "ratio" in numbers:
        out["ratio"] = f"{float(numbers['ratio']):.2f}"
    names = {"hip_left": "left hip bone", "hip_right": "right hip bone", "sacrum": "sacrum"}
    out["bone"] = names.get(finding.organ) or out.get("location", "spine")
    return {**out, **{key[0].upper() + key[1:]: text[0].upper() + text[1:] for key, text in out.items()}}, size


def _length(rng: np.random.Generator, millimetres: float) -> tuple[str, float]:
    """A length as radiologists write it, and the number that the text then means."""
    if millimetres >= 10 and rng.random() < 0.45:
        text = f"{millimetres / 10:.1f}"
        return f"{text} cm", round(float(text) * 10, 1)
    rounded = max(1, round(millimetres))
    return f"{rounded} mm", float(rounded)


def _article(words: str) -> str:
    """Put a or an before words, by how the first word or number is spoken."""
    number = re.match(r"\d+", words)
    spoken = number.group() if number else words
    vowel = spoken[0] == "8" or spoken in ("11", "18") if number else spoken[0].lower() in "aeiou"
    return f"{'an' if vowel else 'a'} {words}"
