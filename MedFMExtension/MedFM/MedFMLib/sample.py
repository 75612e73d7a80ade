"""The scan that comes with MedFM."""

from __future__ import annotations

from pathlib import Path

SAMPLE_SHA256 = "c761eaec3edb2aa1e71695f90916d6e483dfb29ec2572101c1626ad858bd96ea"
_NAME = Path("Resources", "sample", "chest_ct_3mm.nii.gz")


def sample_scan() -> Path | None:
    """Its file: beside the runtime as installed, or in the source tree; None where it is in neither."""
    for folder in Path(__file__).resolve().parents:
        for place in (folder / "medfm_core" / _NAME, folder / _NAME):
            if place.is_file():
                return place
    return None
