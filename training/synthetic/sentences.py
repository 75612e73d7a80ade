"""Report sentences of a virtual patient, each with the truth that it tells.

A report is technique and history (background), findings organ by organ (present, uncertain, absent, normal) and an
impression. The wordings are data: `training.synthetic.phrases`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from training.synthetic.lesions import KINDS, Finding
from training.synthetic.lesions.places import organ_ids
from training.synthetic.physique import stream
from training.synthetic.wording import fill, normal_wordings, wordings

STATES = ("present", "absent", "uncertain", "normal", "background")
_ORDER = (  # organs as a report goes through them
    "thyroid_gland", "lungs", "heart", "aorta", "esophagus", "liver", "gallbladder", "spleen", "pancreas",
    "adrenal_glands", "kidneys", "stomach", "bowel", "colon", "urinary_bladder", "prostate", "vertebrae",
    "gluteal_muscles",
)  # fmt: skip
_CHAPTER = {
    "lung": "lungs", "kidney": "kidneys", "adrenal": "adrenal_glands", "vertebrae": "vertebrae", "hip": "vertebrae",
    "sacrum": "vertebrae", "small": "bowel", "bowel": "bowel",
}  # fmt: skip
_IDS = {"kidneys": (2, 3), "adrenal_glands": (8, 9), "gluteal_muscles": tuple(range(80, 86))}
_PHASES = {
    "non_contrast": ("without intravenous contrast", "unenhanced"),
    "arterial": ("in the arterial phase after intravenous contrast", "arterial phase"),
    "portal_venous": ("in the portal venous phase after intravenous contrast", "portal venous phase"),
    "delayed": ("in the delayed phase after intravenous contrast", "delayed phase"),
    "ctpa": ("timed for the pulmonary arteries", "CT pulmonary angiography"),
}
_REGIONS = {
    "torso": "chest, abdomen and pelvis", "chest": "chest", "chest_abdomen": "chest and abdomen",
    "chest_abdomen_pelvis": "chest, abdomen and pelvis", "abdomen": "abdomen", "abdomen_pelvis": "abdomen and pelvis",
    "pelvis": "pelvis",
}  # fmt: skip
_HISTORY = (
    "History: {age}-year-old patient with abdominal pain.", "Clinical information: cough for several weeks.",
    "Indication: staging of known malignancy.", "History: {age}-year-old, fever of unknown origin.",
    "Indication: follow-up of a kidney stone.", "Clinical question: pulmonary embolism?", "Indication: trauma.",
    "History: weight loss; exclude a pancreatic mass.", "Clinical information: elevated liver enzymes.",
    "Indication: known gallstones, now with right upper quadrant pain.",
    "History: shortness of breath, rule out effusion.",
)  # fmt: skip
_COMPARISON = (
    "Comparison: none.", "No prior studies are available.", "Comparison: CT of {month} {year}.",
    "Compared with the examination of {month} {year}.",
)  # fmt: skip
_FOLLOW = ("This is unchanged.", "It was not present on the prior study.", "Clinical correlation is recommended.",
           "Follow-up is advised.", "This is of no acute significance.")  # fmt: skip
_MONTHS = ("January", "March", "April", "June", "August", "September", "November")


@dataclass(frozen=True)
class Sentence:
    """One sentence and what it says.

    Args:
        text: the sentence.
        organ: vocabulary name that it speaks of, None for background.
        side: "left", "right" or None.
        finding: kind of finding, None for normal organs and background.
        state: one of `STATES`.
        size_mm: the size it gives, None without.
        section: "technique", "history", "findings" or "impression".
    """

    text: str
    organ: str | None
    side: str | None
    finding: str | None
    state: str
    size_mm: float | None = None
    section: str = "findings"


def write_report(
    seed: int, findings: Sequence[Finding], organs: Iterable[int], *, phase: str, region: str
) -> tuple[Sentence, ...]:
    """Write the report of a patient.

    Args:
        seed: chooses the wordings.
        findings: what there is.
        organs: label ids in the picture; the report is silent on others.
        phase: contrast phase.
        region: scanned range.

    Returns:
        Sentences in order.
    """
    rng = stream(seed, "report")
    there = frozenset(organs)
    out = [*_background(rng, phase, region)]
    found = {finding.name for finding in findings}
    for organ in _ORDER:
        mine = [f for f in findings if chapter(f.organ) == organ]
        if not mine and not _seen(organ, there):
            continue
        for finding in mine:
            out.append(describe_finding(rng, finding))
            if rng.random() < 0.15:
                out.append(Sentence(str(rng.choice(_FOLLOW)), out[-1].organ, out[-1].side, None, "background"))
        out += _negatives(rng, organ, mine, found, phase)
    return (*out, *_impression(rng, findings))


def describe_finding(rng: np.random.Generator, finding: Finding) -> Sentence:
    """A sentence for a finding, present or uncertain as its certainty says."""
    lines = wordings()[finding.name]
    key = (
        "uncertain" if finding.certainty == "uncertain" else "many" if finding.count > 1 and "many" in lines else "one"
    )
    text, size = fill(rng, lines[key], finding)
    return Sentence(text, finding.organ, finding.side, finding.name, finding.certainty, size)


def deny(rng: np.random.Generator, kind: str, side: str | None = None) -> Sentence:
    """A sentence that says that a kind of finding is not there, on one side or at all."""
    lines = wordings()[kind]
    if side is not None and "absent_side" in lines:
        text = str(rng.choice(lines["absent_side"])).format(side=side)
        organs = [o for o in KINDS[kind].organs if side in o.split("_")]
        organ = organs[0] if len(organs) == 1 else f"lung_{side}"
        return Sentence(text, organ, side, kind, "absent")
    return Sentence(str(rng.choice(lines["absent"])), _kind_organ(kind), None, kind, "absent")


def call_normal(rng: np.random.Generator, organ: str) -> Sentence:
    """A sentence that calls an organ normal."""
    return Sentence(str(rng.choice(normal_wordings()[organ])), organ, None, None, "normal")


def chapter(organ: str) -> str:
    """Under which organ of the report an organ's findings stand."""
    return _CHAPTER.get(organ.split("_")[0], organ)


def _kind_organ(kind: str) -> str:
    organs = dict.fromkeys(KINDS[kind].organs)
    return next(iter(organs)) if len(organs) == 1 else chapter(next(iter(organs)))


def _seen(organ: str, there: frozenset[int]) -> bool:
    ids = _IDS.get(organ) or organ_ids(organ)
    return any(number in there for number in ids)


def _negatives(rng, organ: str, mine: Sequence[Finding], found: set[str], phase: str) -> list[Sentence]:
    """Some of what an organ does not have; "normal" where it has nothing."""
    out = []
    if not mine and organ in normal_wordings() and rng.random() < 0.75:
        out.append(call_normal(rng, organ))
    silent = {other for name in found for other in KINDS[name].excludes}
    for kind in KINDS.values():
        if chapter(kind.organs[0]) != organ or kind.name in silent or (kind.phases and phase not in kind.phases):
            continue
        if kind.name in found:
            sides = {f.side for f in mine if f.name == kind.name}
            other = {"left": "right", "right": "left"}.get(next(iter(sides)) or "") if len(sides) == 1 else None
            if other and "absent_side" in wordings()[kind.name] and rng.random() < 0.4:
                out.append(deny(rng, kind.name, other))
        elif rng.random() < (0.3 if mine else 0.22):
            out.append(deny(rng, kind.name))
    return out


def _background(rng, phase: str, region: str) -> list[Sentence]:
    part, (long, short) = _REGIONS[region], _PHASES[phase]
    texts = [
        (
            f"Technique: CT of the {part} {long}.",
            f"CT {part}, {short}.",
            f"Multislice CT of the {part} was performed {long}.",
        )
    ]
    blanks = {"age": int(rng.integers(25, 90)), "month": rng.choice(_MONTHS), "year": int(rng.integers(2012, 2025))}
    out = [Sentence(str(rng.choice(texts[0])), None, None, None, "background", None, "technique")]
    if rng.random() < 0.8:
        out.append(
            Sentence(str(rng.choice(_HISTORY)).format(**blanks), None, None, None, "background", None, "history")
        )
    if rng.random() < 0.6:
        out.append(
            Sentence(str(rng.choice(_COMPARISON)).format(**blanks), None, None, None, "background", None, "history")
        )
    return out


def _impression(rng, findings: Sequence[Finding]) -> list[Sentence]:
    out = []
    for finding in findings:
        if finding.certainty == "present":
            text, size = fill(rng, wordings()[finding.name]["impression"], finding)
            out.append(Sentence(text, finding.organ, finding.side, finding.name, "present", size, "impression"))
    if not findings:
        text = str(rng.choice(["No acute abnormality.", "Unremarkable examination.", "Normal study."]))
        out.append(Sentence(text, None, None, None, "normal", None, "impression"))
    return out
