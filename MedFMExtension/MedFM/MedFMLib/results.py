"""A folder of results that `medfm analyze` wrote, read with nothing but Python itself."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .brain_result import ScanResult, expert_colours, scans_of

Point = tuple[float, float, float]
MANIFEST, LABELS, LABEL_MAP, FINDINGS, REPORT = (
    "analysis.json", "segmentation.json", "segmentation.nii.gz", "findings.csv", "report.html",
)  # fmt: skip
_SCHEMA = "medfm.analysis."


class ResultError(Exception):
    """A folder that holds no usable result: one sentence."""


@dataclass(frozen=True)
class Structure:
    """One outlined structure.

    Attributes:
        name: of the vocabulary.
        title: for readers.
        state: "present", "cut", "absent", "outside" or "not_covered".
        reason: one sentence where there is something to say.
        volume_ml: None where it is not there.
        centre_ras: centre of mass, mm; None likewise.
        parts: names of the structures that a composite is made of.
    """

    name: str
    title: str
    state: str
    reason: str = ""
    volume_ml: float | None = None
    centre_ras: Point | None = None
    parts: tuple[str, ...] = ()


@dataclass(frozen=True)
class Label:
    """One value of the label map: what a segment needs."""

    value: int
    name: str
    title: str
    colour: tuple[int, int, int]
    code: Mapping[str, str]
    laterality: Mapping[str, str] | None
    region: Mapping[str, str] | None = None
    category: Mapping[str, str] | None = None


@dataclass(frozen=True)
class Finding:
    """One finding in one organ; see docs of `findings.csv`."""

    name: str
    label: str
    organ: str
    side: str
    state: str
    score: float | None
    spread: tuple[float, float] | None
    absent_below: float | None
    present_from: float | None
    size_mm: float | None
    reason: str


@dataclass(frozen=True)
class Result:
    """What a folder of results says.

    Attributes:
        folder: where it lies; None of a result that a saved scene carries, without files.
        manifest: `analysis.json` as it is; of a saved scene as much of it as the scene carries.
        structures: by name, in the manifest's order.
        labels: of the label map.
        findings: all of them; empty where none were assessed.
        saliency: path of the map by finding and organ.
        warnings: sentences about the input and the result.
        scans: of brain MRI, which has no structures and no findings; its labels are experts. Empty for CT.
    """

    folder: Path | None
    manifest: Mapping[str, Any]
    structures: Mapping[str, Structure]
    labels: tuple[Label, ...]
    findings: tuple[Finding, ...]
    saliency: Mapping[tuple[str, str], Path]
    warnings: tuple[str, ...]
    scans: tuple[ScanResult, ...] = ()

    @property
    def is_brain(self) -> bool:
        """Whether it is one of brain MRI."""
        return bool(self.scans)

    @property
    def label_map(self) -> Path:
        """The outlines on the scan's grid."""
        return self.folder / LABEL_MAP

    @property
    def report(self) -> Path | None:
        """The report, one file for any browser; None where there is none."""
        path = None if self.folder is None else self.folder / REPORT
        return path if path is not None and path.is_file() else None

    def grid_of(self, map_file: Path) -> Mapping[str, Any]:
        """Where the voxels of a map lie, as the manifest says it of the map's scan: `shape` and `affine_ras`.

        Raises:
            KeyError: the result has no such map, or the manifest does not say it.
        """
        for scan in self.scans:
            if map_file.name in {path.name for path in (scan.saliency, *scan.routing.values()) if path is not None}:
                return scan.grid
        return self.manifest["input"]

    def centre_of(self, organ: str) -> Point | None:
        """Centre of an organ, mm in RAS; of the structure that it is a part of where it was not outlined by itself."""
        structure = self.structures.get(organ)
        while structure is None and "_" in organ:
            organ = organ.rpartition("_")[0]
            structure = self.structures.get(organ)
        return structure.centre_ras if structure else None

    def title_of(self, organ: str) -> str:
        """An organ's name for readers."""
        structure = self.structures.get(organ)
        return structure.title if structure else _plain(organ)


def read_result(folder: str | Path) -> Result:
    """Read a folder of results.

    Raises:
        ResultError: it holds none, or a file of it is damaged.
    """
    folder = Path(folder)
    try:
        manifest = _json(folder / MANIFEST)
        if not str(manifest["schema"]).startswith(_SCHEMA):
            raise ResultError(f"{folder} holds no result of MedFM.")
        warnings = tuple(str(warning["sentence"]) for warning in manifest["warnings"])
        if scans := scans_of(folder, manifest):
            return Result(folder, manifest, {}, _experts(manifest), (), {}, warnings, scans)
        labels = tuple(_label(entry) for entry in _json(folder / LABELS)["labels"])
        titles = {label.name: label.title for label in labels}
        found = structures_of(manifest, titles)
        findings = _findings(folder / FINDINGS) if FINDINGS in manifest["files"] else ()
        saliency = saliency_of(folder, manifest["files"], findings)
    except FileNotFoundError as error:
        raise ResultError(f"{folder} holds no result of MedFM ({Path(error.filename).name} is missing).") from error
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise ResultError(f"The result in {folder} is damaged ({type(error).__name__}: {error}).") from error
    return Result(folder, manifest, found, labels, findings, saliency, warnings)


def _experts(manifest: Mapping[str, Any]) -> tuple[Label, ...]:
    colours = enumerate(expert_colours(manifest))
    return tuple(Label(n + 1, f"expert_{n}", f"Expert {n}", colour, {}, None) for n, colour in colours)


def _json(path: Path) -> dict[str, Any]:
    return json.loads(path.read_text(encoding="utf-8"))


def _label(entry: Mapping[str, Any]) -> Label:
    red, green, blue = (int(value) for value in entry["colour"])
    return Label(
        int(entry["id"]),
        entry["name"],
        entry["title"],
        (red, green, blue),
        entry["code"] or {},
        entry["laterality"],
        entry.get("region"),
        entry.get("category"),
    )


def structures_of(manifest: Mapping[str, Any], titles: Mapping[str, str]) -> dict[str, Structure]:
    """The structures of a manifest, by name; `titles` for readers, likewise.

    Raises:
        KeyError, TypeError, ValueError, AttributeError: it is damaged.
    """
    return {name: _structure(name, titles, entry) for name, entry in manifest["structures"].items()}


def _structure(name: str, titles: Mapping[str, str], entry: Mapping[str, Any]) -> Structure:
    centre = entry.get("centre_ras_mm")
    return Structure(
        name,
        titles.get(name) or _plain(name),
        entry["state"],
        entry.get("reason", ""),
        entry.get("volume_ml"),
        tuple(float(value) for value in centre) if centre else None,
        tuple(entry.get("parts", ())),
    )


def _findings(path: Path) -> tuple[Finding, ...]:
    with path.open(encoding="utf-8", newline="") as stream:
        rows = csv.DictReader(stream)
        if not {"name", "organ", "state"}.issubset(rows.fieldnames or ()):
            raise ValueError(f"{path.name} has no header")
        return tuple(_finding(row) for row in rows)


def _finding(row: Mapping[str, str]) -> Finding:
    low, high = _number(row["spread_low"]), _number(row["spread_high"])
    return Finding(
        row["name"],
        row["label"],
        row["organ"],
        row["side"],
        row["state"],
        _number(row["score"]),
        None if low is None or high is None else (low, high),
        _number(row["absent_below"]),
        _number(row["present_from"]),
        _number(row["size_mm"]),
        row["reason"],
    )


def saliency_of(folder: Path, files: Iterable[str], findings: tuple[Finding, ...]) -> dict[tuple[str, str], Path]:
    """The maps among some files of a folder, by finding and organ."""
    wanted = {f"saliency_{f.name}_{f.organ}.nii.gz": (f.name, f.organ) for f in findings}
    return {wanted[name]: folder / name for name in files if name in wanted}


def _number(text: str) -> float | None:
    return float(text) if text else None


def _plain(name: str) -> str:
    return name.replace("_", " ").capitalize()
