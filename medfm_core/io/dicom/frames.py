"""The images of a series, whether one per file or many in one (enhanced CT and MR), each with its place and scale."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from medfm_core.errors import GeometryError, InputError
from medfm_core.io.dicom import tags
from medfm_core.io.dicom.scan import Item
from medfm_core.io.dicom.stack import check_orientation, group_by_place, normal_of

LOCALIZER = frozenset({"LOCALIZER", "SCOUT"})
_PHASE_TAGS = ("AcquisitionNumber", "TemporalPositionIdentifier", "EchoTime", "TriggerTime", "AcquisitionTime")
_SAME_DIRECTION = 1e-3
_SAME_SPACING = 1e-3  # relative


@dataclass(frozen=True, eq=False)
class Frame:
    """One image: where to find its pixels, where it lies and how its values are meant.

    Args:
        path: its file.
        index: its number in a multi-frame file, None in a file of one image.
        where: how messages call it.
        position: ImagePositionPatient, `(3,)` LPS mm.
        orientation: ImageOrientationPatient, `(6,)`.
        pixel_spacing: PixelSpacing, `(2,)` mm: between rows, between columns.
        size: rows, columns.
        slope: RescaleSlope.
        intercept: RescaleIntercept.
        phases: values of what tells repeated scans of one place apart.
        instance: SOPInstanceUID and frame number, to know copies; never shown.
        image_type: ImageType in upper case.
    """

    path: Path
    index: int | None
    where: str
    position: np.ndarray
    orientation: np.ndarray
    pixel_spacing: np.ndarray
    size: tuple[int, int]
    slope: float
    intercept: float
    phases: tuple[str, ...]
    instance: tuple[str, int | None]
    image_type: tuple[str, ...]


def frames_of(items: Sequence[Item], name: str) -> list[Frame]:
    """List the images of a series.

    Args:
        items: its files.
        name: how messages call the series.

    Raises:
        InputError: colours, or several images in a file without their places.
        GeometryError: a position, orientation, spacing or scale that is missing or not finite.
    """
    found: list[Frame] = []
    for item in items:
        _check_grey(item.header, name)
        if is_enhanced(item.header):
            found += _enhanced(item, name)
        elif frame_count(item.header) > 1:
            raise InputError(
                f"{name} holds several images in one file without their places",
                "export it as enhanced or single images",
            )
        else:
            found.append(_classic(item, name))
    return found


def one_plane(frames: list[Frame], name: str) -> tuple[list[Frame], list[str]]:
    """Keep the images that can form one stack: localizers among others are dropped, a mixture is refused.

    Returns:
        The images and a warning for each kind that was dropped.

    Raises:
        GeometryError: several orientations, sizes or spacings.
    """
    kept = [frame for frame in frames if not LOCALIZER.intersection(frame.image_type)]
    warnings = []
    if kept and len(kept) < len(frames):
        warnings.append(f"{len(frames) - len(kept)} localizer images within the series were left out.")
    kept = kept or frames
    kinds: list[list[Frame]] = []
    for frame in kept:
        group = next((group for group in kinds if _same_plane(group[0], frame)), None)
        if group is None:
            kinds.append([frame])
        else:
            group.append(frame)
    if len(kinds) > 1:
        counts = ", ".join(str(len(group)) for group in kinds[:5])
        raise GeometryError(
            f"{name} mixes {len(kinds)} orientations, sizes or pixel spacings ({counts} images each)",
            "export them as separate series",
        )
    return kept, warnings


def split_phases(frames: list[Frame]) -> list[list[Frame]]:
    """Part a series that shows the same places several times (phases, echoes, repetitions) into stacks.

    Returns:
        One stack per phase; just `frames` where nothing repeats or no tag tells the repetitions apart.
    """
    copies: dict[tuple[str, int | None], Frame] = {}
    for frame in frames:
        copies.setdefault(frame.instance if frame.instance[0] else (str(frame.path), frame.index), frame)
    single = list(copies.values())
    if len(single) < 4 or not _repeats(single):
        return [frames]
    chosen = [lambda frame, tag=tag: frame.phases[tag] for tag in range(len(single[0].phases))]
    chosen += [lambda frame: frame.image_type, lambda frame: frame.phases]
    for key in chosen:
        parts = _parted(frames, key)
        if len(parts) > 1 and all(len(part) > 1 and not _repeats_beyond_copies(part) for part in parts):
            return parts
    return [frames]


def frame_count(header: Any) -> int:
    """Number of images in a file."""
    try:
        return max(1, int(header.get("NumberOfFrames") or 1))
    except Exception:  # damaged: its pixels will tell
        return 1


def is_enhanced(header: Any) -> bool:
    """Whether a file gives a place to each of many images."""
    try:
        return bool(header.get("PerFrameFunctionalGroupsSequence"))
    except Exception:  # damaged bytes
        return False


def _classic(item: Item, name: str) -> Frame:
    header = item.header
    where = f"image {tags.text(header, 'InstanceNumber') or '?'} of {name}"
    orientation = check_orientation(tags.numbers(header, "ImageOrientationPatient", 6, where), where)
    return Frame(
        path=item.path,
        index=None,
        where=where,
        position=tags.numbers(header, "ImagePositionPatient", 3, where),
        orientation=orientation,
        pixel_spacing=_spacing(header, where),
        size=_size(header, where),
        slope=_slope(header, where),
        intercept=tags.number(header, "RescaleIntercept", where, 0.0),
        phases=(*(tags.text(header, tag) for tag in _PHASE_TAGS), ""),
        instance=(tags.text(header, "SOPInstanceUID"), None),
        image_type=tags.words(header, "ImageType"),
    )


def _enhanced(item: Item, name: str) -> list[Frame]:
    """Read the functional groups: what all images share, and what each has of its own."""
    header = item.header
    groups = tags.entries(header, "PerFrameFunctionalGroupsSequence", name)
    shared = tags.entries(header, "SharedFunctionalGroupsSequence", name)[:1]
    count = frame_count(header)
    if len(groups) != count:
        raise InputError(f"{name} has {count} images and places for {len(groups)}", "export the series again")
    frames = []
    for index, own in enumerate(groups):
        where = f"image {index + 1} of {name}"

        def part(sequence: str, own: Any = own, where: str = where) -> Any:
            for group in (own, *shared):
                if found := tags.entries(group, sequence, where):
                    return found[0]
            return {}

        plane, measures = part("PlaneOrientationSequence"), part("PixelMeasuresSequence")
        scale, content = part("PixelValueTransformationSequence"), part("FrameContentSequence")
        echo = tags.text(part("MREchoSequence"), "EffectiveEchoTime")
        kind = tags.words(part("CTImageFrameTypeSequence") or part("MRImageFrameTypeSequence"), "FrameType")
        frames.append(
            Frame(
                path=item.path,
                index=index,
                where=where,
                position=tags.numbers(part("PlanePositionSequence"), "ImagePositionPatient", 3, where),
                orientation=check_orientation(tags.numbers(plane, "ImageOrientationPatient", 6, where), where),
                pixel_spacing=_spacing(measures, where),
                size=_size(header, where),
                slope=_slope(scale, where),
                intercept=tags.number(scale, "RescaleIntercept", where, 0.0),
                phases=(
                    tags.text(content, "FrameAcquisitionNumber"), tags.text(content, "TemporalPositionIndex"), echo,
                    "", tags.text(content, "FrameAcquisitionDateTime"), tags.text(content, "StackID"),
                ),
                instance=(tags.text(header, "SOPInstanceUID"), index),
                image_type=kind or tags.words(header, "ImageType"),
            )
        )  # fmt: skip
    return frames


def _check_grey(header: Any, name: str) -> None:
    colours = tags.text(header, "PhotometricInterpretation")
    samples = tags.text(header, "SamplesPerPixel") or "1"
    if samples != "1" or (colours and not colours.startswith("MONOCHROME")):
        raise InputError(f"{name} holds colour images ({colours or samples + ' samples'})", "give the original series")


def _spacing(header: Any, where: str) -> np.ndarray:
    spacing = tags.numbers(header, "PixelSpacing", 2, where)
    if spacing.min() <= 0:
        raise GeometryError(f"{where} has a {tags.tag_name('PixelSpacing')} that is not positive", "export it again")
    return spacing


def _size(header: Any, where: str) -> tuple[int, int]:
    rows, columns = (int(tags.numbers(header, tag, 1, where)[0]) for tag in ("Rows", "Columns"))
    if min(rows, columns) < 2:
        raise InputError(f"{where} has {rows} rows and {columns} columns", "export the series again")
    return rows, columns


def _slope(header: Any, where: str) -> float:
    slope = tags.number(header, "RescaleSlope", where, 1.0)
    if slope == 0:
        raise GeometryError(f"{where} has a {tags.tag_name('RescaleSlope')} of 0", "export the series again")
    return slope


def _same_plane(first: Frame, other: Frame) -> bool:
    return (
        first.size == other.size
        and bool(np.abs(first.orientation - other.orientation).max() < _SAME_DIRECTION)
        and bool(np.abs(first.pixel_spacing / other.pixel_spacing - 1).max() < _SAME_SPACING)
    )


def _parted(frames: list[Frame], key: Callable[[Frame], Any]) -> list[list[Frame]]:
    parts: dict[Any, list[Frame]] = {}
    for frame in frames:
        parts.setdefault(key(frame), []).append(frame)
    return list(parts.values())


def _repeats(frames: list[Frame]) -> bool:
    places = group_by_place(np.array([frame.position for frame in frames]), normal_of(frames[0].orientation))
    return len(places) < len(frames)


def _repeats_beyond_copies(frames: list[Frame]) -> bool:
    copies = {frame.instance if frame.instance[0] else (str(frame.path), frame.index): frame for frame in frames}
    return _repeats(list(copies.values()))
