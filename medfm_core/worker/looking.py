"""The requests that answer at once, from cards and headers. No torch here, but for the doctor."""

from __future__ import annotations

import shutil
from typing import Any

import numpy as np

from medfm_core.analysis import Options
from medfm_core.brain_meant import BRAIN_TASK
from medfm_core.card_library import default_card, list_cards, load_card
from medfm_core.cards import ModelCard
from medfm_core.errors import ResourceError
from medfm_core.geometry import Affine, Grid
from medfm_core.hub.licences import is_accepted, licence_text, needs_acceptance
from medfm_core.hub.present import is_fetched
from medfm_core.io.header import Header, grid_warnings
from medfm_core.settings import read_hub_settings
from medfm_core.strict import to_dict
from medfm_core.worker.requests import ModelArguments, NoArguments, PlanArguments
from medfm_core.worker.telling import Telling


def plan(arguments: PlanArguments, telling: Telling) -> dict[str, Any]:
    """What an analysis would take, by device, and what the header says of the scan."""
    card = load_card(arguments.model) if arguments.model else None
    with telling.stage("Read the header"):
        header = _header(arguments)
        card = card or _default(arguments, header)
    takes = _brain_plan if card.task == BRAIN_TASK else _organ_plan
    return {
        "shape": list(header.grid.shape),
        "spacing_mm": [round(float(step), 4) for step in header.grid.affine.spacing],
        "format": header.format,
        "modality": header.modality,
        "warnings": [*header.warnings, *_modality_doubt(header.modality, card)],
        **takes(arguments, header, card),
    }


def _organ_plan(arguments: PlanArguments, header: Header, card: ModelCard) -> dict[str, Any]:
    from medfm_core.expected import expect
    from medfm_core.findings_stage import choose_card

    findings_card = choose_card(Options(findings=arguments.findings, findings_card=arguments.findings_model))
    expected = {device: expect(header.grid, card, findings_card, device) for device in arguments.devices}
    return {
        "model": card.id,
        "findings_model": None if findings_card is None else findings_card.id,
        "devices": {
            device: {"seconds": None if found.seconds is None else round(found.seconds, 1), "basis": found.basis}
            for device, found in expected.items()
        },
        **_memory(header, card),
    }


def _brain_plan(arguments: PlanArguments, header: Header, card: ModelCard) -> dict[str, Any]:
    from medfm_core.worker import brains

    return brains.plan(arguments, header, card)


def _default(arguments: PlanArguments, header: Header) -> ModelCard:
    """The model that runs when none is named: for brain MRI the encoder of brains, else the segmenter."""
    if header.modality != "MR" and arguments.scans == 1 and not arguments.register and arguments.strip is None:
        return default_card("organ_segmentation")
    from medfm_core.brain_encoding import choose_brain_card

    return choose_brain_card()


def models(arguments: NoArguments, telling: Telling) -> dict[str, Any]:
    """All cards, as a list shows them."""
    cache = read_hub_settings().cache
    return {
        "models": [summary(card) for card in list_cards()],
        "cache": str(cache),
        "offline": read_hub_settings().offline,
        "free_bytes": _free(cache),
    }


def model(arguments: ModelArguments, telling: Telling) -> dict[str, Any]:
    """One card, whole, and its licence as the user must see it."""
    card = load_card(arguments.model)
    return {"summary": summary(card), "card": to_dict(card), "licence_text": licence_text(card)}


def doctor(arguments: NoArguments, telling: Telling) -> dict[str, Any]:
    """`medfm doctor`."""
    from medfm_core import doctor as checks

    with telling.stage("Look at this machine"):
        found = checks.as_dict(checks.run_checks())
    return {"state": found["state"], "checks": found["checks"]}


def summary(card: ModelCard) -> dict[str, Any]:
    """What a list says of a model."""
    sizes = [file.bytes for file in card.weights] or [None]
    units = card.input.organs.units if card.input.organs else {}
    return {
        "id": card.id,
        "title": card.title or card.id,
        "summary": card.summary,
        "task": card.task,
        "modality": list(card.input.modality),
        "covers": list(card.classes or units),
        "findings": sorted(card.findings),
        "bytes": None if None in sizes else sum(size or 0 for size in sizes),
        "licence": card.licence,
        "terms": card.terms,
        "intended_use": card.intended_use,
        "limits": list(card.limits),
        "default": card.default,
        "ram_gb": card.needs.ram_gb,
        "place": _place(card),
        "gated": card.source.gated,
        "access": card.source.access,
        "must_accept": needs_acceptance(card) and not is_accepted(card, read_hub_settings().cache),
    }


def _place(card: ModelCard) -> str:
    """Where its files are: "shipped", "file", "hub" (not here), "fetched"; "installed" or "not installed"."""
    if card.source.kind == "package":
        from medfm_core.total_segmentator import find_command

        return "installed" if find_command() else "not installed"
    if card.source.kind != "hub":
        return card.source.kind
    return "fetched" if is_fetched(card) else "hub"


def _header(arguments: PlanArguments) -> Header:
    """What is known of the scan: from its file, or of a grid in no particular place."""
    from medfm_core.io import read_header

    given = arguments.grid
    if given is None:
        source = arguments.source if isinstance(arguments.source, str) else list(arguments.source or ())
        return read_header(source, arguments.series, nifti_form=arguments.nifti_form)
    grid = Grid(given.shape, Affine(np.diag([*given.spacing_mm, 1.0])))
    return Header(grid, np.dtype((np.void, given.voxel_bytes)), "memory", warnings=tuple(grid_warnings(grid)))


def _memory(header: Header, card: ModelCard) -> dict[str, Any]:
    """The planned peak and what is free, in GB, and what is to be said where that is not enough."""
    from medfm_core.inference.memory import plan_memory
    from medfm_core.machine import memory

    try:
        planned = plan_memory(header.grid, header.dtype.itemsize, card)
    except ResourceError as error:
        return {"memory_gb": None, "free_gb": round(memory().free / 1e9, 2), "problem": str(error)}
    return {
        "memory_gb": round(planned.expected_bytes / 1e9, 2),
        "free_gb": round(planned.available_bytes / 1e9, 2),
        "problem": "",
    }


def _modality_doubt(modality: str | None, card: ModelCard) -> list[str]:
    if modality is None or modality in card.input.modality:
        return []
    return [f"The scan says that it is {modality}; {card.title or card.id} is for {' or '.join(card.input.modality)}."]


def _free(folder: Any) -> int | None:
    """Free bytes of the disk that a folder lies on or would lie on."""
    for place in (folder, *folder.parents):
        try:
            return shutil.disk_usage(place).free
        except OSError:
            continue
    return None
