"""How long Slicer's process takes to import a full-size result: 117 labels at 512 x 512 x 400.

    PYTHONPATH=Testing:MedFMExtension/MedFM python Testing/benchmarks/scene_import.py

Prints seconds for reading the label map, for the import as a whole and for the first saliency map, and the peak memory.
The aim is 3 s for the import.
"""

from __future__ import annotations

import json
import resource
import tempfile
import time
from pathlib import Path

import numpy as np
import scene_results
from MedFMLib.result_image import read_voxels
from MedFMLib.results import read_result
from MedFMLib.scene import SlicerScene
from scene_offscreen import OffscreenScene

SHAPE, LABELS = (512, 512, 400), 117


def make_labels() -> np.ndarray:
    """Balls of 20 to 30 voxels' radius at random places, `(i, j, k)` uint8."""
    draw = np.random.default_rng(0)
    labels = np.zeros(SHAPE, np.uint8, order="F")
    ball = sum(
        (axis / radius) ** 2 for axis, radius in zip(np.ogrid[-30:31, -30:31, -20:21], (30, 30, 20), strict=True)
    )
    for value in range(1, LABELS + 1):
        i, j, k = (int(draw.integers(margin, size - margin)) for margin, size in zip((30, 30, 20), SHAPE, strict=True))
        labels[i - 30 : i + 31, j - 30 : j + 31, k - 20 : k + 21][ball <= 1] = value
    return labels


def write_case(folder: Path, affine: np.ndarray) -> None:
    """A result whose label table names all 117 values."""
    heat = np.zeros(SHAPE, np.float32, order="F")
    heat[200:300, 200:300, 150:250] = 1.0
    scene_results.write_result(folder, np.zeros((2, 2, 2), np.uint8), affine, heat)
    scene_results.write_nifti(folder / "segmentation.nii.gz", make_labels())
    table = json.loads((folder / "segmentation.json").read_text())
    liver = next(label for label in table["labels"] if label["name"] == "liver")
    numbers = range(1, LABELS + 1)
    table["labels"] = [{**liver, "id": n, "name": f"organ_{n}", "title": f"Organ {n}"} for n in numbers]
    (folder / "segmentation.json").write_text(json.dumps(table))
    manifest = json.loads((folder / "analysis.json").read_text())
    manifest["input"]["shape"] = list(SHAPE)
    manifest["structures"] |= {f"organ_{n}": {"id": n, "state": "present"} for n in numbers}
    (folder / "analysis.json").write_text(json.dumps(manifest))


def main() -> None:
    """Measure."""
    affine = np.diag([-0.75, -0.75, 1.0, 1.0])
    with tempfile.TemporaryDirectory(prefix="medfm-scene-") as name:
        folder = Path(name) / "result"
        write_case(folder, affine)
        result, space = read_result(folder), OffscreenScene()
        volume = space.volume(np.zeros(SHAPE[::-1], np.int16), affine)
        bridge = SlicerScene(space.scene)
        for what, step in (
            ("label map", lambda: read_voxels(result.label_map, SHAPE)),
            ("import", lambda: bridge.import_result(volume, result)),
            ("saliency", lambda: bridge.show_saliency(volume, next(iter(result.saliency.values())), "Mass")),
        ):
            start, cpu = time.perf_counter(), time.process_time()
            step()
            print(f"{what:10s} {time.perf_counter() - start:6.2f} s, {time.process_time() - cpu:6.2f} s of CPU")
        found = bridge.segmentation(volume).GetSegmentation().GetNumberOfSegments()
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
        print(f"{found} segments, peak {peak:.1f} GB")


if __name__ == "__main__":
    main()
