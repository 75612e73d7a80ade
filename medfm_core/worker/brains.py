"""The requests on scans, where these are brain MRI."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from medfm_core.brain_meant import Meant, is_brain
from medfm_core.brain_study import BrainOptions, scan_name
from medfm_core.errors import InputError
from medfm_core.settings import read_settings
from medfm_core.worker.requests import AnalyzeArguments, PlanArguments, ScanArguments
from medfm_core.worker.result import result_of
from medfm_core.worker.telling import Telling

if TYPE_CHECKING:
    from medfm_core.cards import ModelCard
    from medfm_core.embedding import StudyEmbedding
    from medfm_core.io.header import Header

_FOR_CT = ("organs", "hu_offset", "findings", "findings_model", "force", "deterministic", "body_model")
_FOR_BRAINS = ("sequences", "register", "strip", "template")
SALIENCY = ("present", "none")


def is_meant(arguments: ScanArguments) -> bool:
    """Whether a request is about brain MRI; see `brain_meant.is_brain`.

    Raises:
        InputError: its arguments contradict each other, or the input cannot be read.
    """
    given = tuple(name for name in _FOR_BRAINS if getattr(arguments, name))
    how = arguments.series, arguments.nifti_form
    return is_brain(Meant(sources_of(arguments), arguments.modality, arguments.model, given, *how))


def sources_of(arguments: ScanArguments) -> tuple[str, ...]:
    """The scans of a study."""
    return (arguments.source,) if isinstance(arguments.source, str) else tuple(arguments.source)


def options_of(arguments: ScanArguments) -> BrainOptions:
    """What the analysis is asked for.

    Raises:
        InputError: an argument is for CT.
    """
    for name in _FOR_CT:
        if getattr(arguments, name, None):
            raise InputError(f"{name} is for CT, not for brain MRI", "leave it out")
    saliency = getattr(arguments, "saliency", ("none",))
    if not set(saliency) <= set(SALIENCY):
        raise InputError(f"{saliency[0]!r} is no saliency of brain MRI", "give none, or leave it out")
    return BrainOptions(
        card_id=arguments.model, device=arguments.device or read_settings().device, sequences=arguments.sequences,
        series=arguments.series, nifti_form=arguments.nifti_form, strip=arguments.strip, register=arguments.register,
        template=arguments.template, saliency="none" not in saliency, threads=arguments.threads,
        overwrite=getattr(arguments, "overwrite", False),
    )  # fmt: skip


def analyze(arguments: AnalyzeArguments, telling: Telling) -> dict[str, Any]:
    """`medfm analyze` of brain MRI: the files of the result and its scans."""
    from medfm_core.brain_pipeline import analyze_brain
    from medfm_core.expected_brain import remember_brain

    out, options = Path(arguments.out), options_of(arguments)
    _expect(arguments, options, telling)
    study = analyze_brain(sources_of(arguments), out, options, progress=telling)
    remember_brain(study)
    own = {"findings": None, "scans": [scan.name for scan in study.scans], "model": study.card.id}
    return {**result_of(out, study), **own}


def embedding(arguments: ScanArguments, organ: str | None, telling: Telling) -> StudyEmbedding:
    """The vectors of a study that has no result yet.

    Raises:
        InputError: an organ is asked for.
    """
    from medfm_core.brain_pipeline import encode_brains

    if organ is not None:
        raise InputError("organ is for CT, not for brain MRI", "leave it out")
    options = options_of(arguments)
    _expect(arguments, options, telling)
    return encode_brains(sources_of(arguments), options, progress=telling).embedding


def plan(arguments: PlanArguments, header: Header, card: ModelCard) -> dict[str, Any]:
    """What an analysis would take, by device; the keys that depend on the model."""
    from medfm_core.expected_brain import BrainRun, expect_brain
    from medfm_core.machine import memory

    names = [scan_name("scan", number) for number in range(arguments.scans)]
    run = BrainRun(names, BrainOptions(register=arguments.register, strip=arguments.strip))
    expected = {device: expect_brain(run, card, device) for device in arguments.devices}
    free_gb, needs_gb = memory().free / 1e9, card.needs.ram_gb
    lacks = needs_gb is not None and needs_gb > free_gb
    return {
        "model": card.id,
        "findings_model": None,
        "devices": {
            device: {"seconds": None if found.seconds is None else round(found.seconds, 1), "basis": found.basis}
            for device, found in expected.items()
        },
        "memory_gb": None if lacks else needs_gb,
        "free_gb": round(free_gb, 2),
        "problem": f"{card.id} needs {needs_gb:.1f} GB of memory, and {free_gb:.1f} GB are free." if lacks else "",
    }


def _expect(arguments: ScanArguments, options: BrainOptions, telling: Telling) -> None:
    """Tell what share of the work each stage will be; what is wrong with the input is left to the pipeline to say."""
    from medfm_core.brain_encoding import choose_brain_card
    from medfm_core.brain_inputs import brain_inputs
    from medfm_core.brain_sequence import plain_sequence
    from medfm_core.errors import MedFMError
    from medfm_core.expected_brain import BrainRun, expect_brain
    from medfm_core.inference.devices import choose_device

    try:
        card = choose_brain_card(options.card_id)
        found = brain_inputs(sources_of(arguments), tuple(map(plain_sequence, options.sequences)), options.series)
        before = [wanted.sequence for wanted in found]
        names = [scan_name(name, before[:index].count(name)) for index, name in enumerate(before)]
        expected = expect_brain(BrainRun(names, options), card, str(choose_device(options.device)))
    except MedFMError:
        return
    telling.expect(expected.stages, expected.seconds)
