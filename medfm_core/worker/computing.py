"""The requests that compute on scans and results."""

from __future__ import annotations

from dataclasses import fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from medfm_core.analysis import Analysis, Options
from medfm_core.settings import read_settings
from medfm_core.strict import to_dict
from medfm_core.worker import brains
from medfm_core.worker.requests import (
    AnalyzeArguments,
    AskArguments,
    EmbedArguments,
    IdentifyArguments,
    ScanArguments,
    SimilarArguments,
)
from medfm_core.worker.result import result_of
from medfm_core.worker.telling import Telling

if TYPE_CHECKING:
    from medfm_core.embedding import StudyEmbedding
    from medfm_core.findings_model import Sentences
    from medfm_core.free_text import FreeText

_LOADED: dict[tuple[str, str], FreeText] = {}
_RENAMED = {"model": "card_id", "findings_model": "findings_card", "body_model": "body_card"}


def options_of(arguments: ScanArguments) -> Options:
    """The options of the pipeline that a request asks for."""
    names = {field.name for field in fields(Options)}
    given = {_RENAMED.get(name, name): value for name, value in vars(arguments).items()}
    options = Options(**{name: value for name, value in given.items() if name in names and value is not None})
    return options if arguments.device else replace(options, device=read_settings().device)


def source_of(arguments: ScanArguments | IdentifyArguments) -> str | list[str]:
    """The input: one path, or several files."""
    return arguments.source if isinstance(arguments.source, str) else list(arguments.source)


def analyze(arguments: AnalyzeArguments, telling: Telling) -> dict[str, Any]:
    """`medfm analyze`; the files of the result and what was counted."""
    if brains.is_meant(arguments):
        return brains.analyze(arguments, telling)
    from medfm_core.expected import remember
    from medfm_core.pipeline import analyze as run

    out, options = Path(arguments.out), options_of(arguments)
    _expect(arguments, options, telling)
    analysis = run(source_of(arguments), out, options, progress=telling)
    remember(analysis)
    return {**result_of(out, analysis), "findings": _count(analysis)}


def identify(arguments: IdentifyArguments, telling: Telling) -> dict[str, Any]:
    """What tells a scan from any other: the hash of its voxels, and where they lie."""
    from medfm_core.io import read_volume
    from medfm_core.voxel_hash import voxel_hash

    with telling.stage("Read the image"):
        volume = read_volume(source_of(arguments), series=arguments.series, nifti_form=arguments.nifti_form)
    return {
        "voxels_sha256": voxel_hash(volume),
        "shape": list(volume.shape),
        "affine_ras": volume.affine.matrix.tolist(),
    }


def ask(arguments: AskArguments, telling: Telling) -> dict[str, Any]:
    """`medfm ask --result`."""
    from medfm_core.asking import Question, answer, as_data, facts_of_result

    question = Question(arguments.organ, arguments.phrase)
    with telling.stage("Read the result"):
        facts, sentences = facts_of_result(Path(arguments.result))
        question.check(sentences.card)
    with telling.stage("Load the text tower"):
        text = _free_text(sentences)
    with telling.stage("Compare"):
        return as_data(answer(question, facts, text))


def embed(arguments: EmbedArguments, telling: Telling) -> dict[str, Any]:
    """Write embeddings as one file."""
    from medfm_core.embedding_export import export_embeddings

    embedding = _embedding(arguments, telling)
    with telling.stage("Write the embeddings"):
        path = export_embeddings(embedding, arguments.out)
    return {"out": str(path), "units": list(embedding.units), "width": embedding.encoder.width}


def similar(arguments: SimilarArguments, telling: Telling) -> dict[str, Any]:
    """`medfm similar`."""
    from medfm_core.similar import find_similar

    found = find_similar(arguments.result, arguments.folder, organ=arguments.organ, top=arguments.top, progress=telling)
    return {
        "neighbours": [to_dict(neighbour, defaults=True) for neighbour in found.neighbours],
        "compared": found.compared,
        "other_model": found.other_model,
        "without_organ": found.without_organ,
        "broken": list(found.broken),
    }


def _expect(arguments: ScanArguments, options: Options, telling: Telling) -> None:
    """Tell what share of the work each stage will be; what is wrong with the input is left to the pipeline to say."""
    from medfm_core.card_library import default_card, load_card
    from medfm_core.errors import MedFMError
    from medfm_core.expected import expect
    from medfm_core.findings_stage import choose_card
    from medfm_core.inference.devices import choose_device
    from medfm_core.io import read_header

    try:
        grid = read_header(source_of(arguments), options.series, nifti_form=options.nifti_form).grid
        card = load_card(options.card_id) if options.card_id else default_card("organ_segmentation")
        expected = expect(grid, card, choose_card(options), str(choose_device(options.device)))
    except MedFMError:
        return
    telling.expect(expected.stages, expected.seconds)


def _embedding(arguments: EmbedArguments, telling: Telling) -> StudyEmbedding:
    if arguments.result is not None:
        from medfm_core.embedding_files import read_embeddings

        with telling.stage("Read the result"):
            return read_embeddings(arguments.result)
    from medfm_core.pipeline import encode_file

    assert arguments.scan is not None
    if brains.is_meant(arguments.scan):
        return brains.embedding(arguments.scan, arguments.organ, telling)
    options = options_of(arguments.scan)
    _expect(arguments.scan, options, telling)
    return encode_file(source_of(arguments.scan), options, arguments.organ, progress=telling).encoded.embedding


def _count(analysis: Analysis) -> dict[str, int] | None:
    from medfm_core.findings_stage import count_states

    return count_states(analysis) if analysis.encoded else None


def _free_text(sentences: Sentences) -> FreeText:
    """The text tower; it stays loaded for the next question, of one model at a time."""
    from medfm_core.free_text import load_free_text

    key = sentences.encoder.weights_sha256, sentences.card.digest
    if key not in _LOADED:
        _LOADED.clear()
        _LOADED[key] = load_free_text(sentences)
    return _LOADED[key]
