"""`python Testing/benchmarks/data_wait.py FOLDER`: how long a small ViT waits for its crops.

FOLDER holds CTs as `*_ct.nii.gz` (or any `*.nii.gz`). They are prepared into a store, and VideoMAE is trained on random
96^3 crops by `training.pretrain`, with TotalFM's small transformer. The share of step time that the loop waits for data
is read from the run's log, its first row left out (workers start). Figures are of one run on one machine.
"""

from __future__ import annotations

import argparse
import csv
import json
import subprocess
import sys
import tempfile
from pathlib import Path

import yaml

CROP = 96
INPUT = {
    "modality": ["CT"],
    "orientation": "LPS",
    "spacing_rule": "native",
    "intensity": {"kind": "clip_scale", "hu": [-1000, 1000], "to": [-1, 1]},
}


def recipe(folder: Path, steps: int, batch_size: int, workers: int) -> dict:
    """The run as data."""
    model = {"name": "totalfm", "size": "small", "channels": 1, "image_size": [CROP] * 3, "patch_size": [16] * 3}
    data = {"name": "volumes", "manifest": str(folder / "manifest.csv"), "store": str(folder / "store")}
    return {
        "model": model,
        "objective": {"name": "videomae", "mask_ratio": 0.75, "decoder_width": 192, "decoder_heads": 3},
        "data": data | {"input": INPUT, "crop": [CROP] * 3, "split": "all"},
        "run": {"steps": steps, "batch_size": batch_size, "workers": workers, "checkpoint_every": steps},
        "monitor": {"terminal": "none", "tensorboard": False, "health_every": 0, "probe_every": 0},
    }


def main() -> int:
    """Run the command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--steps", type=int, default=60)
    parser.add_argument("--batch-size", type=int, default=8)
    parser.add_argument("--workers", type=int, default=1)
    options = parser.parse_args()
    files = sorted(options.folder.glob("*_ct.nii.gz")) or sorted(options.folder.glob("*.nii.gz"))
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        rows = [f"{path.stem},{path.stem},{path.resolve()},CT" for path in files]
        (folder / "manifest.csv").write_text("\n".join(["subject,study,path,modality", *rows]) + "\n")
        (folder / "input.yaml").write_text(yaml.safe_dump(INPUT))
        plan = recipe(folder, options.steps, options.batch_size, options.workers)
        (folder / "recipe.yaml").write_text(yaml.safe_dump(plan))
        prepare = ["--manifest", folder / "manifest.csv", "--store", folder / "store", "--input", folder / "input.yaml"]
        for module, arguments in (
            ("training.prepare", prepare),
            ("training.pretrain", ["--config", folder / "recipe.yaml", "--out", folder / "run"]),
        ):
            code = subprocess.run([sys.executable, "-m", module, *map(str, arguments)]).returncode
            if code:
                return code
        with (folder / "run" / "log.csv").open() as file:
            log = [row for row in csv.DictReader(file) if row["data_wait"]][1:]
    waits, seconds = ([float(row[name]) for row in log] for name in ("data_wait", "step_seconds"))
    figures = {
        "volumes": len(files),
        "crops_per_step": options.batch_size,
        "step_seconds": round(sum(seconds) / len(seconds), 3),
        "data_wait": round(sum(waits) / len(waits), 4),
        "worst_row": round(max(waits), 4),
    }
    print(json.dumps(figures, indent=1))
    return 0


if __name__ == "__main__":
    sys.exit(main())
