"""The series of a folder: which there are, which are volumes, and which one is meant."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from medfm_core.errors import InputError, MedFMError
from medfm_core.io.dicom import tags
from medfm_core.io.dicom.frames import LOCALIZER, Frame, frame_count, frames_of, is_enhanced, one_plane, split_phases
from medfm_core.io.dicom.scan import Item

_NO_IMAGE = {
    "SR": "a structured report", "SEG": "a segmentation", "RTSTRUCT": "radiotherapy contours", "RTDOSE": "a dose map",
    "RTPLAN": "a radiotherapy plan", "PR": "a presentation state", "KO": "a key object note", "REG": "a registration",
    "DOC": "a document", "AU": "a sound", "ECG": "an ECG",
}  # fmt: skip
_SECONDARY_CAPTURE = "1.2.840.10008.5.1.4.1.1.7"
_SCREENS = frozenset({"SCREEN SAVE", "SCREENSHOT", "DOSE", "DOSE_INFO"})
_MOST_LISTED = 12


@dataclass(frozen=True)
class SeriesInfo:
    """What a user needs to choose a series; holds no UID and nothing of the patient.

    Args:
        number: SeriesNumber, with .1, .2 ... where one series holds several stacks; "" if it has none.
        description: SeriesDescription.
        modality: "CT", "MR" ...
        images: how many.
        thickness_mm: SliceThickness, None if not given.
        hash: eight letters that stand for the series, the same on every machine.
        problem: why it is no volume, "" if it is one.
    """

    number: str
    description: str
    modality: str
    images: int
    thickness_mm: float | None
    hash: str
    problem: str = ""

    @property
    def is_volume(self) -> bool:
        """Whether it looks like a stack of slices."""
        return not self.problem

    @property
    def title(self) -> str:
        """Number and description, as messages call the series."""
        number = f"series {self.number}" if self.number else "the series without number"
        return f"{number} '{self.description}'" if self.description else number

    def __str__(self) -> str:
        thickness = f" of {self.thickness_mm:g} mm" if self.thickness_mm else ""
        unit = "image" if self.images == 1 else "images"
        why = f", {self.problem}" if self.problem else ""
        what = f"{self.modality or '?'}, {self.images} {unit}{thickness}{why}"
        return f"{self.number or '-'} '{self.description}' ({what}) {self.hash}"


@dataclass(frozen=True, eq=False)
class Series:
    """A series with its files; its images, or the error that reading their headers gave."""

    info: SeriesInfo
    items: tuple[Item, ...]
    name: str
    frames: tuple[Frame, ...] = ()
    warnings: tuple[str, ...] = ()
    error: MedFMError | None = None


def group_series(items: Sequence[Item], source: str) -> list[Series]:
    """Sort files into series, in the order of their numbers; parts a series of several phases.

    Args:
        items: DICOM files.
        source: what the user gave, for messages.
    """
    parts: dict[tuple[str, ...], list[Item]] = {}
    for item in items:
        uid = tags.text(item.header, "SeriesInstanceUID")
        described = tuple(tags.text(item.header, tag) for tag in ("SeriesNumber", "SeriesDescription", "Modality"))
        parts.setdefault((uid,) if uid else ("", *described), []).append(item)
    found = [series for key, part in parts.items() for series in _open(key, part, source)]
    return sorted(found, key=lambda series: (_as_number(series.info.number), series.info.hash))


def choose(series: Sequence[Series], wanted: str | None, source: str) -> Series:
    """Pick the one series that is meant.

    Args:
        series: what there is.
        wanted: number, hash or description; None to take the only volume.
        source: what the user gave, for messages.

    Raises:
        InputError: none or several fit.
    """
    if wanted is not None:
        text = str(wanted).strip().lower()
        for key in ("hash", "number", "description"):
            found = [one for one in series if getattr(one.info, key).lower() == text]
            if len(found) == 1:
                return _checked(found[0])
            if found:
                raise InputError(
                    f"{len(found)} series in {source} have the {key} {wanted!r}: {_listing(found)}",
                    "choose by the eight letters at the end, --series HASH",
                )
        raise InputError(
            f"{source} has no series {wanted!r}; it has {_listing(series)}", "choose one of these by --series"
        )
    volumes = [one for one in series if one.info.is_volume]
    if len(volumes) == 1:
        return volumes[0]
    if volumes:
        raise InputError(
            f"{source} holds {len(volumes)} series that could be meant: {_listing(volumes)}",
            "choose one by --series NUMBER or the eight letters at its end",
        )
    if len(series) == 1:
        return _checked(series[0])
    raise InputError(f"{source} holds no volume: {_listing(series)}", "give the folder of a CT or MR series")


def _checked(series: Series) -> Series:
    if series.info.problem:
        raise InputError(f"{series.name} is no volume: it is {series.info.problem}", "give a CT or MR series")
    return series


def _listing(series: Sequence[Series]) -> str:
    shown = "; ".join(str(one.info) for one in series[:_MOST_LISTED])
    return shown + (f"; and {len(series) - _MOST_LISTED} more" if len(series) > _MOST_LISTED else "")


def _open(key: tuple[str, ...], items: list[Item], source: str) -> list[Series]:
    """Describe a series and read where its images lie."""
    first = items[0].header
    info = SeriesInfo(
        number=tags.text(first, "SeriesNumber"),
        description=tags.text(first, "SeriesDescription"),
        modality=tags.text(first, "Modality").upper(),
        images=sum(frame_count(item.header) for item in items),
        thickness_mm=_thickness(first),
        hash=hashlib.sha256("\0".join(key).encode()).hexdigest()[:8],
    )
    info = replace(info, problem=_problem(items, info))
    name = f"{info.title} in {source}"
    if info.problem:
        return [Series(info, tuple(items), name)]
    try:
        frames, warnings = one_plane(frames_of(items, name), name)
    except MedFMError as error:
        return [Series(info, tuple(items), name, error=error)]
    phases = split_phases(frames)
    if len(phases) == 1:
        return [Series(info, tuple(items), name, tuple(frames), tuple(warnings))]
    return [_phase(info, items, source, number, part, tuple(warnings)) for number, part in enumerate(phases, 1)]


def _phase(
    info: SeriesInfo, items: list[Item], source: str, number: int, frames: list[Frame], warnings: tuple[str, ...]
) -> Series:
    """One of several stacks within a series."""
    own = replace(info, number=f"{info.number}.{number}", hash=f"{info.hash}-{number}", images=len(frames))
    paths = {frame.path for frame in frames}
    kept = tuple(item for item in items if item.path in paths)
    return Series(own, kept, f"{own.title} in {source}", tuple(frames), warnings)


def _problem(items: list[Item], info: SeriesInfo) -> str:
    """Why a series is no volume, "" if it looks like one."""
    first = items[0].header
    if info.modality in _NO_IMAGE:
        return _NO_IMAGE[info.modality]
    kinds = [set(tags.words(item.header, "ImageType")) for item in items]
    if all(LOCALIZER & kind for kind in kinds):
        return "a localizer"
    if all(_SCREENS & kind for kind in kinds) or _sop_class(first).startswith(_SECONDARY_CAPTURE):
        return "a screen capture"
    if not any("Rows" in item.header for item in items):
        return "without images"
    if info.images < 2:
        return "a single image"
    placed = any(is_enhanced(item.header) or "ImagePositionPatient" in item.header for item in items)
    return "" if placed else f"without {tags.tag_name('ImagePositionPatient')}"


def _sop_class(header: Any) -> str:
    return tags.text(header, "SOPClassUID") or tags.meta_text(header, "MediaStorageSOPClassUID")


def _thickness(header: Any) -> float | None:
    try:
        thickness = tags.number(header, "SliceThickness", "")
    except MedFMError:
        return None
    return thickness or None


def _as_number(text: str) -> tuple[float, str]:
    try:
        return float(text), text
    except ValueError:
        return float("inf"), text


def describe_source(paths: Sequence[Path]) -> str:
    """How messages call what the user gave."""
    return str(paths[0]) if len(paths) == 1 else f"the {len(paths)} given files"
