"""From the brain MRI of a study to a folder of results: vectors, saliency, routing of experts if any, and a report."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from medfm_core.brain_doubts import brain_doubts
from medfm_core.brain_encoding import BrainEncoder, choose_brain_card, encode_brain, load_brain
from medfm_core.brain_inputs import BrainInput, brain_inputs, check_is_mr
from medfm_core.brain_results import write_results
from medfm_core.brain_sequence import plain_sequence
from medfm_core.brain_stages import LOAD, STAGES, WRITE
from medfm_core.brain_standard import StandardBrain, StandardPlan, standard_plan, to_standard
from medfm_core.brain_study import BrainOptions, BrainScan, BrainStudy, scan_name
from medfm_core.errors import InputError
from medfm_core.guards import plain_resource_errors
from medfm_core.hub.present import require_files
from medfm_core.io import read_volume
from medfm_core.plausibility import Caution
from medfm_core.progress import SILENT, Progress
from medfm_core.results_folder import results_folder
from medfm_core.settings import read_settings
from medfm_core.voxel_hash import voxel_hash

if TYPE_CHECKING:
    from medfm_core.brain_networks import BrainNetwork
    from medfm_core.cards import ModelCard
    from medfm_core.volume import Volume


class _Clock:
    """Seconds per stage, over all scans."""

    def __init__(self) -> None:
        self.seconds: Counter[str] = Counter()

    @contextmanager
    def measured(self, stage: str) -> Iterator[None]:
        """Add the time that the block takes."""
        start = time.perf_counter()
        yield
        self.seconds[stage] += time.perf_counter() - start


def analyze_brain(
    sources: Sequence[str | Path],
    out_dir: str | Path,
    options: BrainOptions | None = None,
    *,
    progress: Progress = SILENT,
) -> BrainStudy:
    """Encode the brain MRI of one study, and write the results.

    Args:
        sources: image files or DICOM folders, a scan each, or the DICOM files of one scan.
        out_dir: folder for the results; made whole at the end, or not at all.
        options: what else is wanted.
        progress: told of the scans; may cancel.

    Returns:
        The finished analysis.

    Raises:
        InputError: an input, an option or the folder cannot be used (ModalityError: it is no MR).
        WeightsError: the model is missing or damaged.
        ResourceError: too little memory or disk, or a device or a tool that is not there.
    """
    options = options or BrainOptions()
    card, wanted = _checked(sources, options)
    clock = _Clock()
    with plain_resource_errors(out_dir), results_folder(out_dir, overwrite=options.overwrite) as folder:
        study = _encoded(card, wanted, options, clock, progress)
        with progress.stage(WRITE), clock.measured("write"):
            write_results(study, folder)
        progress.check()
    return replace(study, seconds=dict(clock.seconds))


def encode_brains(
    sources: Sequence[str | Path], options: BrainOptions | None = None, *, progress: Progress = SILENT
) -> BrainStudy:
    """Encode the brain MRI of one study, and write nothing.

    Args:
        sources: as for `analyze_brain`.
        options: what else is wanted; saliency is made only where it is asked for.
        progress: told of the scans; may cancel.

    Raises:
        InputError, WeightsError, ResourceError: as `analyze_brain`.
    """
    options = options or BrainOptions(saliency=False)
    card, wanted = _checked(sources, options)
    with plain_resource_errors("the result"):
        return _encoded(card, wanted, options, _Clock(), progress)


def _checked(sources: Sequence[str | Path], options: BrainOptions) -> tuple[ModelCard, tuple[BrainInput, ...]]:
    """The model and the scans, as far as they can be known before anything is read whole."""
    card = choose_brain_card(options.card_id)
    require_files(card)
    wanted = brain_inputs(sources, tuple(map(plain_sequence, options.sequences)), options.series)
    _check_sequences(wanted, card)
    return card, wanted


def _encoded(
    card: ModelCard, wanted: Sequence[BrainInput], options: BrainOptions, clock: _Clock, progress: Progress
) -> BrainStudy:
    created = datetime.now(timezone.utc).isoformat(timespec="seconds")
    plan = standard_plan(options.strip, options.register, options.template)
    with progress.stage(LOAD), clock.measured("load"):
        encoder = load_brain(card, options.device)
    scans = _Scans(encoder, plan, options, clock).run(wanted, progress)
    seconds = dict(clock.seconds)
    return BrainStudy(options, created, card, encoder.identity, plan, scans, str(encoder.device), seconds)


class _Scans:
    """Makes a `BrainScan` of each input."""

    def __init__(self, encoder: BrainEncoder, plan: StandardPlan, options: BrainOptions, clock: _Clock) -> None:
        self._card, self._net, self._plan, self._options, self._clock = encoder.card, encoder.net, plan, options, clock

    def run(self, inputs: Sequence[BrainInput], progress: Progress) -> tuple[BrainScan, ...]:
        """Work through the inputs in their order."""
        from medfm_core.inference.modes import torch_threads

        numbers: Counter[str] = Counter()
        found = []
        with torch_threads(self._options.threads or read_settings().threads):
            for wanted in inputs:
                found.append(self._scan(wanted, numbers[wanted.sequence], progress))
                numbers[wanted.sequence] += 1
        return tuple(found)

    def _scan(self, wanted: BrainInput, number: int, progress: Progress) -> BrainScan:
        name = scan_name(wanted.sequence, number)
        with progress.stage(STAGES["read"].format(name)), self._clock.measured("read"):
            form = self._options.nifti_form
            image = read_volume(wanted.source, series=wanted.series, nifti_form=form)
            check_is_mr(image, self._card.input.modality, self._card.id)
            digest = voxel_hash(image)
        standard = self._standard(image, name, progress)
        with progress.stage(STAGES["encode"].format(name)), self._clock.measured("encode"):
            encoded = encode_brain(standard.image, self._card, self._net)
        heat = None
        if self._options.saliency:
            with progress.stage(STAGES["saliency"].format(name)), self._clock.measured("saliency"):
                heat = _heat(encoded.box, self._net, progress)
        cautions = _cautions(image, standard)
        return BrainScan(wanted.sequence, number, image, digest, standard, encoded, heat, cautions)

    def _standard(self, image: Volume, name: str, progress: Progress) -> StandardBrain:
        """The scan as the network expects it; a stage of its own where there is anything to do."""
        if self._plan.stripper is None and self._plan.template is None:
            return to_standard(image, self._plan, progress)
        with progress.stage(STAGES["prepare"].format(name)), self._clock.measured("prepare"):
            return to_standard(image, self._plan, progress)


def _heat(box: Volume, encoder: BrainNetwork, progress: Progress) -> np.ndarray:
    import torch

    from medfm_core.saliency.brain import vector_saliency

    volume = torch.from_numpy(np.ascontiguousarray(box.voxels, np.float32))[None, None]
    return vector_saliency(encoder, volume.to(next(encoder.parameters()).device), progress).numpy()


def _cautions(image: Volume, standard: StandardBrain) -> tuple[Caution, ...]:
    told = [Caution("reading", sentence) for sentence in image.meta.get("warnings", ())]
    if standard.registration is not None:
        told += [Caution("registration", sentence) for sentence in standard.registration.doubts()]
    told += [Caution("brain_place", sentence) for sentence in brain_doubts(standard.image)]
    return tuple(told)


def _check_sequences(inputs: Sequence[BrainInput], card: ModelCard) -> None:
    taken = card.input.sequences
    for wanted in inputs:
        if taken and wanted.sequence not in taken:
            raise InputError(f"{card.id} takes {', '.join(taken)}, not {wanted.sequence}", "leave that scan out")
