"""`python Testing/benchmarks/analyze_ct.py CT`: time and memory of the command, beside MONAI's plain sliding window.

Both sides run the shipped net on the same CT, each in a process of its own, one after the other:

- medfm: `medfm analyze CT`: read, check, crop to the body, skip empty tiles, probe bf16, stream the argmax, measure,
  encode the organs, score and explain findings, write everything, draw the report. Its network time is that of all
  networks: segmenter, encoder, and the encoder's passes for the maps.
- plain: read, resample the whole field of view, `monai.inferers.sliding_window_inference` in fp32 with the same tile,
  overlap and zooms, every class enlarged to the CT's grid, argmax; no measurements, no report.

Figures are of one run on one machine; quote ratios.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path


def plain(path: str, max_classes: int) -> dict[str, float]:
    """Run the plain formulation in this process and return its seconds and peak memory."""
    import numpy as np
    import torch
    from monai.inferers import sliding_window_inference

    from medfm_core.card_library import default_card
    from medfm_core.io import read_volume
    from medfm_core.models.segmenter import load_segmenter
    from medfm_core.preprocessing import to_channels
    from medfm_core.volume import reorient, resample

    begun = time.perf_counter()
    card = default_card("organ_segmentation")
    net = load_segmenter(card)
    volume = reorient(read_volume(path), card.input.orientation)
    grid = resample(volume, card.input.spacing_mm)
    image = to_channels(torch.from_numpy(np.ascontiguousarray(grid.voxels.transpose(2, 1, 0))), card.input.intensity)[
        None
    ]

    def predict(tiles: torch.Tensor) -> torch.Tensor:
        total = 0
        for zoom in card.inference.zooms:
            sides = [round(n * zoom / net.config.divisor) * net.config.divisor for n in tiles.shape[2:]]
            seen = torch.nn.functional.interpolate(tiles, size=sides, mode="trilinear")
            total = total + torch.nn.functional.interpolate(net(seen), size=tiles.shape[2:], mode="trilinear").softmax(
                1
            )
        return total / len(card.inference.zooms)

    network = time.perf_counter()
    with torch.inference_mode():
        scores = sliding_window_inference(image, card.inference.tile, 1, predict, card.inference.overlap, "gaussian")
        network = time.perf_counter() - network
        size = volume.shape[::-1]
        labels = np.empty(size, np.uint8)
        # Even the plain way cannot hold 40 classes of a 512 x 512 x 133 CT in fp32 (5.6 GB): it goes class by class.
        best = torch.full(size, -1.0)
        for channel in range(min(max_classes, scores.shape[1])):
            enlarged = torch.nn.functional.interpolate(scores[:, channel : channel + 1], size=size, mode="trilinear")[
                0, 0
            ]
            wins = enlarged > best
            labels[wins.numpy()] = channel
            best = torch.maximum(best, enlarged)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    return {"total": time.perf_counter() - begun, "segmenter": network, "peak_gb": peak}


def medfm(path: str) -> dict[str, float]:
    """Run the command in a process of its own and return its seconds and peak memory."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "case"
        begun = time.perf_counter()
        subprocess.run(
            [sys.executable, "-m", "medfm_core.cli", "analyze", path, "--out", str(out), "--quiet"], check=True
        )
        total = time.perf_counter() - begun
        manifest = json.loads((out / "analysis.json").read_text())
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1e6
    inside = manifest["run"]["inside_networks"]
    network = sum(inside.values())
    planned = manifest["run"]["planned_memory_gb"]
    segmenter = inside["segment"]
    return {
        "total": total,
        "segmenter": segmenter,
        "network": network,
        "outside": 1 - network / total,
        "peak_gb": peak,
        "planned_gb": planned,
    }


def main() -> None:
    """Run both sides and print one table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("ct", help="a CT file")
    parser.add_argument("--side", choices=("both", "plain"), default="both", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.side == "plain":
        print(json.dumps(plain(options.ct, 256)))
        return
    ours = medfm(options.ct)
    command = [sys.executable, __file__, options.ct, "--side", "plain"]
    theirs = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()[-1])
    print(f"{'':22}{'medfm analyze':>16}{'plain':>16}{'ratio':>10}")
    for key, unit in (("total", "s"), ("segmenter", "s"), ("peak_gb", "GB")):
        print(f"{key:22}{ours[key]:>13.1f} {unit:<2}{theirs[key]:>13.1f} {unit:<2}{ours[key] / theirs[key]:>10.2f}")
    print(f"{'all networks':22}{ours['network']:>13.1f} s")
    print(f"{'outside the networks':22}{ours['outside']:>15.0%}")
    print(f"{'planned peak':22}{ours['planned_gb']:>13.1f} GB")


if __name__ == "__main__":
    main()
