"""Report text composed from calibrated findings, where no language model writes it.

Every sentence is filled in from scores and measurements: nothing is said that was not computed, and what was not looked
at is not called normal.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from medfm_core.anatomy import Organ, Vocabulary, load_vocabulary
from medfm_core.errors import InputError
from medfm_core.measurements import OrganMeasurement, State
from medfm_core.organ_finding import ABSENT, LOW, NOT_ASSESSABLE, PRESENT, STATES, UNCERTAIN, OrganFinding

_LAST = "other structures"


@dataclass(frozen=True)
class Place:
    """Where an organ stands in a report: its heading, its title, and its rank.

    Attributes:
        system: key of the vocabulary's systems; another word for what is in none.
        title: for readers, with the side where the organ's name does not say it.
        rank: sorts organs as a report lists them.
        organ: vocabulary name of the structure, the composite or the group, as far as it has one.
    """

    system: str
    title: str
    rank: tuple[int, int, str]
    organ: str


def compose_report(findings: Iterable[OrganFinding], measurements: Iterable[OrganMeasurement], model: str) -> str:
    """Compose the text.

    Organs come in the order of the vocabulary's systems, each with what is present, then what is uncertain, what was
    looked for and not seen, and what cannot be assessed. An organ that the scan cuts is said to be cut. Volumes and
    diameters stand only where they were measured. Findings that could not be assessed in any organ, all for the same
    reason, come once at the end.

    Args:
        findings: one entry per finding and organ (and side); the order does not matter.
        measurements: of the same scan.
        model: the model card whose scores these are.

    Returns:
        Lines of text with a line end; the first says what the text is and is not.

    Raises:
        InputError: a finding stands twice for one organ and side.
    """
    vocabulary, measured = load_vocabulary(), {m.name: m for m in measurements}
    by_place: dict[Place, list[OrganFinding]] = {}
    listed, unassessed = _apart(_checked(findings))
    for finding in listed:
        by_place.setdefault(place_of(finding, vocabulary), []).append(finding)
    lines = [
        f"Composed from the scores of {model} in fixed sentences, not written by a language model; research use only, "
        "not a diagnosis."
    ]
    system = None
    for place in sorted(by_place, key=lambda place: place.rank):
        if place.system != system:
            system = place.system
            lines += ["", vocabulary.systems.get(system, _LAST.capitalize())]
        lines.append(_organ_line(place, by_place[place], measured))
    lines += ["", *map(_unassessed_line, unassessed.items())] if unassessed else []
    lines += ["", _closing(bool(by_place or unassessed))]
    return "\n".join(lines) + "\n"


def _checked(findings: Iterable[OrganFinding]) -> list[OrganFinding]:
    """Sort by name, so that the text does not depend on the order given, and refuse contradictions."""
    listed = sorted(findings, key=lambda finding: (finding.name, finding.organ, finding.side or ""))
    seen = set()
    for finding in listed:
        key = (finding.name, finding.organ, finding.side)
        if key in seen:
            raise InputError(f"the finding {finding.name} stands twice for {finding.organ}", "give each once")
        seen.add(key)
    return listed


def place_of(finding: OrganFinding, vocabulary: Vocabulary) -> Place:
    """Find heading and title of an organ, a group or a model's own unit.

    Args:
        finding: its organ and side are read.
        vocabulary: the organs.
    """
    names = {organ.name: organ for organ in (*vocabulary.organs, *vocabulary.composites)}
    sided = f"{finding.organ}_{finding.side}"
    if finding.side and sided in names:
        return _of_organ(names[sided], vocabulary)
    if finding.organ in names:
        organ = names[finding.organ]
        side = None if organ.side else finding.side
        place = _of_organ(organ, vocabulary)
        return place if side is None else Place(place.system, f"{place.title}, {side}", place.rank, place.organ)
    suffix = f", {finding.side}" if finding.side else ""
    try:
        group = vocabulary.find_group(finding.organ)
    except InputError:
        title = finding.organ.replace("_", " ").capitalize()
        return Place(_LAST, title + suffix, (len(vocabulary.systems), 0, title + suffix), finding.organ)
    members = [names[member] for member in group.members]
    rank = (
        min(_of_organ(member, vocabulary).rank[:2] for member in members) if members else (len(vocabulary.systems), 0)
    )
    system = list(vocabulary.systems)[rank[0]] if members else _LAST
    return Place(system, group.title + suffix, (*rank, group.title + suffix), finding.organ)


def _of_organ(organ: Organ, vocabulary: Vocabulary) -> Place:
    first = min((vocabulary.by_name(name).id for name in vocabulary.expand(organ.name)), default=organ.id)
    rank = (list(vocabulary.systems).index(organ.system), first, organ.title)
    return Place(organ.system, organ.title, rank, organ.name)


def _organ_line(place: Place, findings: Sequence[OrganFinding], measured: Mapping[str, OrganMeasurement]) -> str:
    """One organ: its volume where it is whole, its findings by state, and what the scan lacks of it."""
    organ = measured.get(place.organ)
    by_state = {state: [finding for finding in findings if finding.state == state] for state in STATES}
    sentences = [f"{finding.label}{_figures(finding)}." for finding in by_state[PRESENT]]
    low = [finding for finding in by_state[UNCERTAIN] if finding.is_low]
    unclear = [finding for finding in by_state[UNCERTAIN] if not finding.is_low]
    sentences += [f"Uncertain: {_inline(finding)}{_figures(finding)}." for finding in unclear]
    sentences += _listing("Low scores, but not called absent", low)
    sentences += _listing("Not seen", by_state[ABSENT])
    sentences += _listing("Not assessable", by_state[NOT_ASSESSABLE])
    sentences += [_sentence(finding.reason.removeprefix(LOW)) for finding in findings]
    if organ is not None and organ.state is not State.PRESENT:
        sentences.append(_sentence(organ.reason))
    return f"{place.title}{_volume(organ)}: {' '.join(_without_repeats(sentences))}"


def _listing(what: str, findings: Sequence[OrganFinding]) -> list[str]:
    return [f"{what}: {', '.join(map(_inline, findings))}."] if findings else []


def _without_repeats(sentences: Iterable[str]) -> list[str]:
    """Drop what an earlier sentence says already: reasons of findings often repeat each other's and the organ's."""
    kept: list[str] = []
    for sentence in sentences:
        if sentence and not any(sentence in earlier for earlier in kept):
            kept.append(sentence)
    return kept


def _figures(finding: OrganFinding) -> str:
    """Size, score and threshold, as far as they are there, in brackets."""
    parts = [] if finding.size_mm is None else [f"{finding.size_mm:.0f} mm"]
    if finding.score is not None:
        parts.append(f"score {finding.score:.2f}")
        parts += [] if finding.threshold is None else [f"threshold {finding.threshold:.2f}"]
    return f" ({', '.join(parts)})" if parts else ""


def _volume(organ: OrganMeasurement | None) -> str:
    if organ is None or organ.volume_ml is None or not organ.is_seen:
        return ""
    visible = " visible" if organ.state is State.CUT else ""
    return f" ({organ.volume_ml:,.{0 if organ.volume_ml >= 10 else 1}f} mL{visible})"


def _inline(finding: OrganFinding) -> str:
    """The label within a sentence; abbreviations keep their capitals."""
    label = finding.label
    return label[0].lower() + label[1:] if label[1:2].islower() else label


def _sentence(text: str) -> str:
    text = text.strip()
    return text if not text or text.endswith(".") else f"{text}."


def _apart(listed: list[OrganFinding]) -> tuple[list[OrganFinding], dict[str, list[OrganFinding]]]:
    """Take out what no organ allows to assess for one reason, as where weights are not calibrated for many findings."""
    reasons: dict[str, set[str | None]] = {}
    for finding in listed:
        reason = finding.reason if finding.state == NOT_ASSESSABLE else None
        reasons.setdefault(finding.name, set()).add(reason)
    kinds: dict[str, list[OrganFinding]] = {}
    for finding in {finding.name: finding for finding in listed}.values():
        if len(reasons[finding.name]) == 1 and finding.state == NOT_ASSESSABLE and finding.reason:
            kinds.setdefault(finding.reason, []).append(finding)
    several = {reason: found for reason, found in kinds.items() if len(found) > 1}
    names = {finding.name for found in several.values() for finding in found}
    return [finding for finding in listed if finding.name not in names], several


def _unassessed_line(group: tuple[str, list[OrganFinding]]) -> str:
    reason, kinds = group
    return f"Not assessable in any organ: {', '.join(map(_inline, kinds))}. {_sentence(reason)}"


def _closing(has_findings: bool) -> str:
    """What the text leaves open; silence about an organ must not be read as normal."""
    if not has_findings:
        return "No finding was looked for in this scan."
    return "Only the findings named here were looked for; nothing is said of other findings or other structures."
