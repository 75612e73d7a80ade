"""CHAOS (CT and MR of the abdomen): the folder as it is downloaded, listed for training.

| below `Train_Sets` | holds |
|---|---|
| `CT/1/DICOM_anon/*.dcm`, `CT/1/Ground/*.png` | a CT, and a mask of the liver per slice |
| `MR/1/T1DUAL/DICOM_anon/InPhase/*.dcm`, `.../OutPhase/*.dcm` | two echoes of one T1 scan |
| `MR/1/T1DUAL/Ground/*.png` | masks of four organs per slice, for both echoes |
| `MR/1/T2SPIR/DICOM_anon/*.dcm`, `MR/1/T2SPIR/Ground/*.png` | a T2 scan, and masks of its own |

`Test_Sets` is the same without `Ground`. CT and MR are of different patients, numbered each by itself. Of the CT, only
the liver is labelled: what else is there is of unknown truth.

Source: chaos.grand-challenge.org (Kavur 2021, arXiv:2001.06535; data: doi 10.5281/zenodo.3362844).
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from medfm_core.errors import InputError
from training.data.chaos_masks import CT_VALUES, MR_VALUES, Values, write_masks

LABELS = {1: "liver", 2: "kidney_right", 3: "kidney_left", 4: "spleen"}
LIVER = {1: "liver"}
_SCANS = {
    "CT": {"": "DICOM_anon"},
    "MR": {
        "T1in": "T1DUAL/DICOM_anon/InPhase",
        "T1out": "T1DUAL/DICOM_anon/OutPhase",
        "T2spir": "T2SPIR/DICOM_anon",
    },
}
_PLACES = ("", "Train_Sets", "CHAOS_Train_Sets/Train_Sets")
_FIX = "give the folder Train_Sets of CHAOS, which holds CT and MR"

Row = dict[str, str]


@dataclass(frozen=True)
class ChaosScan:
    """One scan of a downloaded folder.

    Attributes:
        modality: `CT` or `MR`.
        patient: number of the patient among those of the modality.
        sequence: `T1in`, `T1out` or `T2spir`; "" for a CT.
        images: folder of its DICOM files.
        masks: folder of its masks.
    """

    modality: str
    patient: int
    sequence: str
    images: Path
    masks: Path

    @property
    def name(self) -> str:
        """What its label map is called."""
        return "-".join(part for part in (self.modality.lower(), f"{self.patient:02d}", self.sequence) if part)

    @property
    def truth(self) -> tuple[dict[int, str], Values]:
        """Names of its labels, and the grey values of its masks."""
        return (LIVER, CT_VALUES) if self.modality == "CT" else (LABELS, MR_VALUES)


def chaos_scans(folder: Path) -> list[ChaosScan]:
    """Find the scans of a downloaded folder, by modality, patient and sequence.

    Raises:
        InputError: it is no such folder.
    """
    root = next((folder / place for place in _PLACES if any((folder / place / m).is_dir() for m in _SCANS)), None)
    found = [] if root is None else [scan for modality in _SCANS for scan in _of_modality(root / modality)]
    if not found:
        raise InputError(f"{folder} holds no scans under CT or MR", _FIX)
    return found


def chaos_rows(scans: list[ChaosScan], out: Path, unlabelled: bool = False) -> list[Row]:
    """Make a label map of each scan's masks, and list the scans.

    Patients are put into the splits by their order, CT and MR each by itself: of ten, two are `test` and one `val`.

    Args:
        scans: from `chaos_scans`.
        out: folder of the manifest; label maps are written below it, into `labels`.
        unlabelled: also list scans without masks, in `train`.

    Returns:
        Rows of a manifest with absolute paths.

    Raises:
        InputError: masks do not fit their images.
    """
    rows = []
    for scan in scans:
        if not scan.masks.is_dir():
            rows += [_row(scan, "train")] if unlabelled else []
            continue
        patients = sorted({one.patient for one in scans if one.modality == scan.modality and one.masks.is_dir()})
        row = _row(scan, _split(patients.index(scan.patient)))
        names, values = scan.truth
        path = out / "labels" / f"{scan.name}.nii.gz"
        write_masks(scan.images, scan.masks, path, names, values)
        rows.append(row | {"labels": str(path.resolve()), "label_names": json.dumps(names)})
    return rows


def _of_modality(folder: Path) -> Iterator[ChaosScan]:
    patients = [path for path in (folder.iterdir() if folder.is_dir() else ()) if path.name.isdigit() and path.is_dir()]
    for patient in sorted(patients, key=lambda path: int(path.name)):
        for sequence, place in _SCANS[folder.name].items():
            images = patient / place
            if images.is_dir():
                scan = patient / place.split("DICOM_anon")[0]
                yield ChaosScan(folder.name, int(patient.name), sequence, images, scan / "Ground")


def _split(place: int) -> str:
    return "test" if place % 5 == 4 else "val" if place % 10 == 3 else "train"


def _row(scan: ChaosScan, split: str) -> Row:
    modality = scan.modality.lower()
    return {"subject": f"chaos-{modality}-{scan.patient:02d}", "study": modality, "path": str(scan.images.resolve()),
            "modality": scan.modality, "sequence": scan.sequence, "split": split}  # fmt: skip
