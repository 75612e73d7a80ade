"""What findings add to the pipeline: the model, the two stages, the files and the manifest's entry.

Without a findings model nothing of this happens, and the results are those of the organs alone.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from medfm_core import saliency_stage
from medfm_core.anatomy import load_findings, load_vocabulary
from medfm_core.anatomy.findings import structures_of
from medfm_core.card_library import default_card, list_cards, load_card
from medfm_core.cards import ModelCard
from medfm_core.embedding_files import INDEX, VECTORS, write_embeddings
from medfm_core.errors import InputError
from medfm_core.finding_places import place_of
from medfm_core.findings import StudyFacts, assess_findings
from medfm_core.findings_manifest import findings_block
from medfm_core.findings_model import TASK, LoadingFindingsModel
from medfm_core.hub.present import require_files
from medfm_core.io import atomic_text
from medfm_core.organ_encoding import EncodingSettings, LabelledScan, encode_organs
from medfm_core.organ_finding import STATES, OrganFinding
from medfm_core.organ_units import OrganUnit, organ_units
from medfm_core.report.findings_csv import findings_csv
from medfm_core.settings import read_settings

if TYPE_CHECKING:
    from medfm_core.analysis import Analysis, Options, Work

TABLE = "findings.csv"
FILES = (TABLE, VECTORS, INDEX)


def choose_card(options: Options) -> ModelCard | None:
    """The findings model that a run uses; None where it uses none.

    Raises:
        InputError: the model that was asked for is not there, is for another task, or contradicts --no-findings.
        WeightsError: findings were asked for and no model is here, or there are several and none is the default.
    """
    named = saliency_stage.named(options.saliency)
    if options.findings is False:
        if options.findings_card:
            raise InputError("a findings model and --no-findings contradict each other", "give one of them")
        if named:
            raise InputError("saliency of a finding and --no-findings contradict each other", "give one of them")
        return None
    if options.findings_card:
        card = load_card(options.findings_card)
        if card.task != TASK:
            raise InputError(f"the model {card.id} is for {card.task}, not for findings", "see `medfm models list`")
        if named and card.input.organs.whole:
            raise InputError(f"{card.id} looks at the scan as a whole and has no saliency", "leave --saliency out")
        return card
    if options.findings is None and not named and not any(card.task == TASK for card in list_cards()):
        return None
    return default_card(TASK)


def load_beside(card: ModelCard, options: Options) -> LoadingFindingsModel:
    """Begin to load the model in a thread of its own.

    Raises:
        WeightsError: its weights are on the hub alone; said before the scan is opened, not after it was outlined.
    """
    if card.source.kind == "hub":
        require_files(card)
    return LoadingFindingsModel(card, device=options.device)


def encode(analysis: Analysis, work: Work, organ: str | None = None) -> Analysis:
    """Encode the organs.

    Args:
        analysis: measured, with a findings model.
        work: where progress goes.
        organ: encode only the units that answer for it; None for all.

    Raises:
        InputError: the scan does not show the organ, or there is none of that name.
    """
    options, model = analysis.options, analysis.findings_model()
    scan = LabelledScan(analysis.image, analysis.segmentation.labels, analysis.measurements)
    units = None
    if organ is not None:
        place = place_of(organ, organ_units(model.card.input.organs, analysis.measurements))
        units = frozenset(unit.name for unit in place.units)
    settings = EncodingSettings(options.deterministic, options.threads or read_settings().threads, units)
    return replace(analysis, encoded=encode_organs(scan, model, settings, work.progress))


def assess(analysis: Analysis, work: Work) -> Analysis:
    """Score every finding; the model stays in the analysis for what explains the scores."""
    encoded, labels = analysis.encoded, analysis.segmentation.labels
    facts = StudyFacts(encoded.units, encoded.embedding, analysis.measurements, labels)
    sentences = analysis.findings_model().sentences
    found = assess_findings(load_findings(), facts, sentences, analysis.findings_card.findings)
    if analysis.options.organs:
        found = _only(found, encoded.units, analysis.segmentation.covered)
    return replace(analysis, findings=found)


def write(analysis: Analysis, folder: Path) -> None:
    """Write `FILES`, where findings were assessed."""
    if analysis.encoded is not None:
        atomic_text(folder / TABLE, findings_csv(analysis.findings))
        write_embeddings(analysis.encoded.embedding, folder)


def count_states(analysis: Analysis) -> dict[str, int]:
    """How many findings are present, absent, uncertain and not assessable."""
    return {state: sum(finding.state == state for finding in analysis.findings) for state in STATES}


def manifest_entry(analysis: Analysis) -> dict[str, Any]:
    """`{"findings": ...}` for the manifest; empty where none were assessed."""
    if analysis.encoded is None:
        return {}
    return {"findings": findings_block(analysis.findings, analysis.encoded, analysis.findings_card)}


def _only(
    findings: tuple[OrganFinding, ...], units: tuple[OrganUnit, ...], covered: tuple[str, ...]
) -> tuple[OrganFinding, ...]:
    """The findings in organs that the user wants to keep; of the others nothing was asked."""
    vocabulary = load_vocabulary()
    kept = {part for name in covered for part in vocabulary.expand(name)}
    named = {unit.name: unit.structures for unit in units}

    def wanted(organ: str) -> bool:
        return not kept.isdisjoint(named.get(organ) or structures_of(organ, vocabulary))

    return tuple(finding for finding in findings if wanted(finding.organ))
