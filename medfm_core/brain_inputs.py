"""The scans of one brain study: which inputs make them, and what sequence each is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from medfm_core.brain_sequence import sequence_of
from medfm_core.errors import InputError, MedFMError, ModalityError
from medfm_core.io import list_series, read_header
from medfm_core.io.detect import detect
from medfm_core.io.dicom import SeriesInfo
from medfm_core.io.reading import Source
from medfm_core.volume import Volume

_ENDINGS = (".nii.gz", ".nii", ".nrrd", ".nhdr", ".mha", ".mhd", ".img.gz", ".img", ".dcm")
_AIR_HU, _HIGHEST_HU = -500.0, 5000.0


@dataclass(frozen=True)
class BrainInput:
    """One scan to read.

    Attributes:
        source: a file, a DICOM folder, or DICOM files.
        series: which series of a DICOM folder.
        sequence: "T1w", "T2w" or "FLAIR".
    """

    source: Source
    series: str | None
    sequence: str


def is_one_series(paths: Sequence[str | Path]) -> bool:
    """Whether several paths are the DICOM files of one scan, rather than a scan each."""
    return len(paths) > 1 and all(_is_dicom_file(Path(path)) for path in paths)


def modality_of(source: Source, series: str | None = None, nifti_form: str = "auto") -> str | None:
    """What an input says it is: "MR", "CT", another word of DICOM, or None where it does not say.

    A folder of several series is MR where all of its volumes are; a file that has no word for it is MR where its name
    names a sequence of brain MRI.

    Raises:
        InputError: it cannot be read.
    """
    if _is_folder(source) and series is None:
        kinds = {info.modality for info in list_series(str(source)) if info.is_volume}
        return kinds.pop() if len(kinds) == 1 else None
    said = read_header(source, series, nifti_form=nifti_form).modality
    if said is None and isinstance(source, (str, Path)) and sequence_of(_stem(source)):
        return "MR"
    return said


def brain_inputs(
    sources: Sequence[str | Path], sequences: Sequence[str] = (), series: str | None = None
) -> tuple[BrainInput, ...]:
    """Find the scans of a study.

    Several files or folders are a scan each, unless all are DICOM files, which are one scan together. A folder of
    several MR series gives all that its descriptions name T1w, T2w or FLAIR.

    Args:
        sources: image files, DICOM folders, or the DICOM files of one series.
        sequences: of each scan, in the same order; none to recognise them.
        series: which series of a single DICOM folder.

    Raises:
        InputError: a sequence is not known, or there are not as many as scans.
    """
    found = [(list(sources), series)] if is_one_series(sources) else []
    for source in sources if not found else ():
        several = _series_of(source) if series is None and not sequences and _is_folder(source) else ()
        found += [(source, info.hash) for info in several] or [(source, series)]
    if sequences and len(sequences) != len(found):
        raise InputError(
            f"{len(sequences)} sequences are given for {len(found)} scans", "give --sequence one name for each scan"
        )
    if sequences:
        return tuple(BrainInput(*one, name) for one, name in zip(found, sequences, strict=True))
    return tuple(BrainInput(source, number, _recognised(source, number)) for source, number in found)


def check_is_mr(volume: Volume, taken: Sequence[str], name: str) -> None:
    """Refuse what is no MR.

    Args:
        volume: as read.
        taken: modalities that the model takes.
        name: of the model.

    Raises:
        ModalityError: the file says another modality, or its values are those of a CT in HU.
    """
    words = " or ".join(taken)
    if volume.modality is not None and volume.modality not in taken:
        raise ModalityError(f"the file says that it is {volume.modality}, and {name} takes {words}", "give a brain MRI")
    sample = volume.voxels[::2, ::2, ::2]
    low, high = np.percentile(sample[np.isfinite(sample)], (1, 99.9))
    if volume.modality is None and low < _AIR_HU and high < _HIGHEST_HU:
        raise ModalityError(
            f"the values from {low:.0f} to {high:.0f} are those of a CT, and {name} takes {words}",
            "give a brain MRI, or --modality CT to outline organs",
        )


def _recognised(source: Source, series: str | None) -> str:
    names = [] if not isinstance(source, (str, Path)) else [_stem(source)]
    described = str((read_header(source, series).meta.get("series") or {}).get("description") or "")
    for name in (described, *names):
        sequence = sequence_of(name)
        if sequence:
            return sequence
    called = described or (names[0] if names else "these DICOM files")
    raise InputError(
        f"whether {called!r} is T1w, T2w or FLAIR cannot be told from its name",
        "give --sequence with one of these for each scan, such as --sequence T1w,FLAIR",
    )


def _series_of(folder: str | Path) -> tuple[SeriesInfo, ...]:
    """The series of a folder that are a known sequence of MR, where it holds several volumes."""
    volumes = [info for info in list_series(folder) if info.is_volume]
    if len(volumes) < 2:
        return ()
    return tuple(info for info in volumes if info.modality == "MR" and sequence_of(info.description))


def _stem(source: str | Path) -> str:
    name = Path(source).absolute().name
    return next((name[: -len(end)] for end in _ENDINGS if name.lower().endswith(end)), name)


def _is_folder(source: Source) -> bool:
    try:
        return isinstance(source, (str, Path)) and Path(source).is_dir()
    except (OSError, ValueError):
        return False


def _is_dicom_file(path: Path) -> bool:
    try:
        return path.is_file() and detect(path) == "dicom"
    except (MedFMError, OSError, ValueError):
        return False
