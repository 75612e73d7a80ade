"""The README of a published model, made of its card and of nothing else."""

from __future__ import annotations

from medfm_core import RESEARCH_USE
from medfm_core.card_parts import Measured
from medfm_core.cards import ModelCard

_SPDX_OF_THE_HUB = {"APACHE-2.0": "apache-2.0", "MIT": "mit"}


def published_page(card: ModelCard, repo: str) -> str:
    """The page's text: the hub's header, then what the card says.

    Args:
        card: the card.
        repo: "owner/name".
    """
    from huggingface_hub import ModelCardData

    known = _SPDX_OF_THE_HUB.get(card.licence.upper()) or card.licence.lower()
    is_known = known.startswith(("apache", "mit", "bsd", "cc-by", "cc0"))
    words = {"license": known} if is_known else {"license": "other", "license_name": card.licence}
    if not is_known and card.licence_url:
        words["license_link"] = card.licence_url
    tags = ["medical-imaging", "medfm", *(modality.lower() for modality in card.input.modality)]
    header = ModelCardData(library_name="medfm", tags=tags, **words).to_yaml()
    sections = [
        f"---\n{header}\n---",
        f"# {card.title or card.id}",
        card.summary,
        f"{RESEARCH_USE}\n\n{card.intended_use}",
        _list("Limits", card.limits),
        _input(card),
        _list("Covers", card.classes),
        _list("Trained on", card.trained_on),
        *(_figures(measured) for measured in card.measured),
        _files(card),
        f"## Use\n\nPut `medfm-card.json` into `Resources/cards` as `{card.id}.json`, then\n\n"
        f"    medfm models pull {card.id}\n\nThe files are checked by the sha256 of the card. From {repo}.",
        f"## Licence\n\n{card.licence}{f' ({card.licence_url})' if card.licence_url else ''}"
        f"{f'. Terms: {card.terms}' if card.terms else ''}",
        _list("References", card.references),
    ]
    return "\n\n".join(section for section in sections if section) + "\n"


def _list(title: str, items: tuple[str, ...]) -> str:
    return f"## {title}\n\n" + "\n".join(f"- {item}" for item in items) if items else ""


def _input(card: ModelCard) -> str:
    spacing = " x ".join(f"{side:g}" for side in card.input.spacing_mm or ())
    grid = f"{spacing} mm" if spacing else "the scan's own spacing"
    return f"## Input\n\n{' or '.join(card.input.modality)}, {grid}, intensities: {card.input.intensity.kind}."


def _figures(measured: Measured) -> str:
    rows = "\n".join(f"| {name} | {value:.3f} |" for name, value in measured.values.items())
    note = f"\n\n{measured.note}" if measured.note else ""
    cases = f", {measured.n} case(s)" if measured.n else ""
    return f"## {measured.metric}: {measured.on}{cases}\n\n| | {measured.metric} |\n|---|---|\n{rows}{note}"


def _files(card: ModelCard) -> str:
    rows = "\n".join(f"| {file.file} | {file.role} | {file.bytes:,} | `{file.sha256}` |" for file in card.weights)
    return f"## Files\n\n| file | holds | bytes | sha256 |\n|---|---|---|---|\n{rows}"
