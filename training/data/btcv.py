"""BTCV, abdomen: the folder as it is downloaded, listed for training.

| below `RawData` | holds |
|---|---|
| `Training/img/img0001.nii.gz` ... | 30 CT of the abdomen, numbers 1 to 10 and 21 to 40 |
| `Training/label/label0001.nii.gz` ... | their label maps, values 1 to 13 |
| `Testing/img/img0061.nii.gz` ... | 20 CT without labels, numbers 61 to 80 |

Source: "Beyond the Cranial Vault" challenge, Synapse syn3193805 (label values: wiki page 217789). The six test cases
are those that the case list of MONAI's BTCV tutorials holds out.
"""

from __future__ import annotations

import json
import re
from pathlib import Path

from medfm_core.errors import InputError

LABELS = {
    1: "spleen", 2: "kidney_right", 3: "kidney_left", 4: "gallbladder", 5: "esophagus", 6: "liver", 7: "stomach",
    8: "aorta", 9: "inferior_vena_cava", 10: "portal_vein_and_splenic_vein", 11: "pancreas",
    12: "adrenal_gland_right", 13: "adrenal_gland_left",
}  # fmt: skip
TEST = frozenset(range(35, 41))
VAL = frozenset((33, 34))
_PLACES = ("", "RawData", "Abdomen/RawData")
_NAME = re.compile(r"(img|label)(\d{4})\.nii(\.gz)?")
_FIX = "give the folder RawData of the abdomen part of BTCV, which holds Training/img and Training/label"

Row = dict[str, str]


def btcv_rows(folder: Path, unlabelled: bool = False) -> list[Row]:
    """List the cases of a downloaded folder.

    Args:
        folder: `RawData`, or a folder that holds it.
        unlabelled: also list the CT without labels, in `train`.

    Returns:
        Rows of a manifest with absolute paths.

    Raises:
        InputError: it is no such folder, or image and label map do not pair.
    """
    root = next((folder / place for place in _PLACES if (folder / place / "Training" / "img").is_dir()), None)
    if root is None:
        raise InputError(f"{folder} holds no Training/img", _FIX)
    images, labels = _numbered(root / "Training" / "img"), _numbered(root / "Training" / "label")
    alone = sorted(images.keys() ^ labels.keys())
    if alone or not images:
        what = f"case {alone[0]:04d} has no image or no label map" if alone else "Training/img holds no images"
        raise InputError(f"{root}: {what}", _FIX)
    rows = [_row(number, images[number], labels[number]) for number in sorted(images)]
    if unlabelled:
        rows += [_row(number, path) for number, path in sorted(_numbered(root / "Testing" / "img").items())]
    return rows


def _numbered(folder: Path) -> dict[int, Path]:
    found = ((_NAME.fullmatch(path.name), path) for path in (folder.iterdir() if folder.is_dir() else ()))
    return {int(match[2]): path for match, path in found if match}


def _row(number: int, image: Path, labels: Path | None = None) -> Row:
    split = "test" if number in TEST else "val" if number in VAL else "train"
    row = {"subject": f"btcv-{number:04d}", "study": "ct", "path": str(image.resolve()), "modality": "CT",
           "split": split}  # fmt: skip
    if labels is not None:
        row |= {"labels": str(labels.resolve()), "label_names": json.dumps(LABELS)}
    return row
