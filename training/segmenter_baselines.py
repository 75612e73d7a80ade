"""`python -m training.segmenter_baselines`: what answers without learning reach on the labelled scans.

Two of them: the other patient's label map laid over the body, and thresholds (air within the body is lung,
what is denser than 200 HU is bone). A segmenter that does not beat them has learnt nothing.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

import numpy as np

from medfm_core.errors import MedFMError
from medfm_core.io.atomic import atomic_text
from training.data.dice import dice_per_label
from training.data.labelled_case import LabelledCase
from training.data.labelled_cases import TRUNK, ct_input
from training.data.segmenter_cases import read_case_list, real_case

_LOBES = (
    "lung_upper_lobe_left",
    "lung_lower_lobe_left",
    "lung_upper_lobe_right",
    "lung_middle_lobe_right",
    "lung_lower_lobe_right",
)
_BONES = ("vertebrae", "ribs", "sacrum", "sternum", "hip_left", "hip_right", "femur_left", "femur_right")


def placed_labels(atlas: LabelledCase, target: LabelledCase) -> np.ndarray:
    """Lay another patient's labels over a case: stretched to its width and depth, at the height that fits best.

    The height is chosen with the answer known, which flatters this baseline. `(D, H, W)` of the target.
    """
    sides = zip(target.classes.shape[1:], atlas.classes.shape[1:], strict=True)
    rows, columns = (((np.arange(n) + 0.5) * m / n).astype(int) for n, m in sides)
    stretched = atlas.classes[:, rows[:, None], columns[None]]
    depth, length = len(target.classes), len(stretched)
    best, best_hits = np.zeros_like(target.classes), -1
    for shift in range(-length + 1, depth):
        placed = np.zeros_like(target.classes)
        placed[max(0, shift) : shift + length] = stretched[max(0, -shift) : depth - shift]
        hits = int(((placed == target.classes) & (placed > 0)).sum())
        if hits > best_hits:
            best, best_hits = placed, hits
    return best


def best_atlas(case: LabelledCase, others: list[LabelledCase]) -> dict[str, float]:
    """Dice of the other patient whose labels, laid over, agree best; chosen with the answer known."""
    lobes = [TRUNK.index(name) + 1 for name in _LOBES]
    found = []
    for other in others:
        placed = placed_labels(other, case)
        figures = dice_per_label(placed, case.classes, dict(enumerate(TRUNK, start=1)))
        lungs = [np.isin(labels, lobes).astype(np.uint8) for labels in (placed, case.classes)]
        found.append(figures | dice_per_label(*lungs, {1: "lungs"}))
    return max(found, key=lambda figures: sum(figures.values()))


def threshold_dice(case: LabelledCase, classes: tuple[str, ...]) -> dict[str, float]:
    """Dice of lungs as air that does not touch the border of the slice, and of each bone as all that is dense."""
    from scipy import ndimage

    air = case.hu < -400
    pieces, _ = ndimage.label(air)
    outside = np.unique(np.concatenate([pieces[:, [0, -1]].ravel(), pieces[:, :, [0, -1]].ravel()]))
    lungs, bone = air & ~np.isin(pieces, outside), case.hu > 200
    figures = {}
    for names, answer, title in ((_LOBES, lungs, "lungs"), *(((b,), bone, b) for b in _BONES)):
        wanted = np.isin(case.classes, [classes.index(name) + 1 for name in names])
        figures |= dice_per_label(answer.astype(np.uint8), wanted.astype(np.uint8), {1: title})
    return figures


def main(arguments: list[str] | None = None) -> int:
    """Run the command."""
    here = Path(__file__).parent / "recipes" / "segmenter"
    parser = argparse.ArgumentParser(prog="python -m training.segmenter_baselines", description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder that the case list's paths start from")
    parser.add_argument("--cases", type=Path, default=here / "cases.csv", help="case list (CSV)")
    parser.add_argument("--out", type=Path, help="write the figures to this JSON file too")
    options = parser.parse_args(arguments)
    try:
        files = [case for case in read_case_list(options.cases, options.data) if case.role == "real"]
        cases = [real_case(case, TRUNK, ct_input()) for case in files]
        figures = {
            case.name: {
                "other patient's labels, laid over": best_atlas(case, [other for other in cases if other is not case]),
                "thresholds": threshold_dice(case, TRUNK),
            }
            for case in cases
        }
    except MedFMError as problem:
        print(problem, file=sys.stderr)
        return problem.exit_code
    text = json.dumps(figures, indent=1)
    print(text)
    if options.out:
        atomic_text(options.out, text + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
