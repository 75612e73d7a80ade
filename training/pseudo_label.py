"""`python -m training.pseudo_label`: label scans without labels by an earlier net, for the next round of training."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import numpy as np
import torch

from medfm_core.allocator import keep_freed_blocks
from medfm_core.errors import MedFMError
from medfm_core.inference.devices import Precision
from medfm_core.inference.sliding import SlidingWindow
from medfm_core.inference.tiles import Tiling, fit_tile
from medfm_core.io import read_volume
from medfm_core.models.segmenter import OrganSegmenter
from medfm_core.preprocessing import to_channels, to_model_grid
from training.data.labelled_case import save_case
from training.data.labelled_cases import LabelledCasesConfig
from training.data.segmenter_cases import pseudo_case, read_case_list
from training.engine.runs import load_run

TILE = (96, 96, 128)
ZOOMS = (1.0, 1.12)


def class_probabilities(net: OrganSegmenter, hu: np.ndarray, data: LabelledCasesConfig) -> np.ndarray:
    """Run a net over a whole scan on the model's grid, `(D, H, W)` HU to `(C, D, H, W)` probabilities."""
    image = to_channels(torch.from_numpy(hu).float(), data.input.intensity)
    window = SlidingWindow(Tiling(fit_tile(hu.shape, TILE, net.config.divisor)), zooms=ZOOMS)
    run = window.run(
        net, image, net.config.out_channels, Precision(torch.bfloat16), torch.device("cpu"), lambda _: None
    )
    return torch.cat([slab.probabilities for slab in run], dim=1).numpy()


def main(arguments: list[str] | None = None) -> int:
    """Run the command."""
    parser = argparse.ArgumentParser(prog="python -m training.pseudo_label", description=__doc__)
    parser.add_argument("--run", type=Path, required=True, help="run of the segmenter by training.pretrain")
    parser.add_argument("--data", type=Path, required=True, help="folder that the case list's paths start from")
    parser.add_argument("--cases", type=Path, default=Path(__file__).parent / "recipes/segmenter/cases.csv")
    parser.add_argument("--out", type=Path, required=True, help="folder for the labelled cases")
    options = parser.parse_args(arguments)
    keep_freed_blocks()
    try:
        objective, recipe, _ = load_run(options.run)
        net, data = objective.exported(), recipe.data
        net = net.eval().to(memory_format=torch.channels_last_3d)
        options.out.mkdir(parents=True, exist_ok=True)
        for case in read_case_list(options.cases, options.data):
            if case.role != "pseudo":
                continue
            _, scan = to_model_grid(read_volume(case.image), data.input)
            hu = np.ascontiguousarray(np.clip(np.rint(scan.voxels), -1024, 3071).astype(np.int16).transpose(2, 1, 0))
            labelled = pseudo_case(case.name, hu, class_probabilities(net, hu, data), data.input)
            save_case(labelled, options.out / f"{case.name}.npz")
            print(f"{case.name}: {np.mean(labelled.classes == 255):.1%} of the voxels left open")
    except MedFMError as problem:
        print(problem, file=sys.stderr)
        return problem.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
