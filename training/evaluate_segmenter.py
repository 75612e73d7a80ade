"""`python -m training.evaluate_segmenter`: Dice of a segmenter on labelled scans, at the scans' own resolution."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

import numpy as np

from medfm_core.anatomy import load_vocabulary
from medfm_core.card_library import load_card
from medfm_core.cards import ModelCard
from medfm_core.errors import MedFMError
from medfm_core.io import read_volume
from medfm_core.io.atomic import atomic_text
from medfm_core.segmentation import segment
from medfm_core.volume import Kind
from training.data.dice import dice_per_label
from training.data.segmenter_cases import CaseFile, class_table, label_names, read_case_list

LOBES = tuple(range(10, 15))
LUNGS = 200


def evaluate_case(card: ModelCard, case: CaseFile) -> dict[str, float]:
    """Segment one labelled scan and return Dice per class, with the five lobes also taken together as `lungs`.

    Args:
        card: the segmenter.
        case: a scan with labels.
    """
    image = read_volume(case.image)
    answer = segment(image, card).labels.voxels
    table = class_table(card.classes, label_names(case))
    vocabulary = load_vocabulary()
    ids = np.zeros(256, np.uint8)
    ids[1 : len(card.classes) + 1] = [vocabulary.by_name(name).id for name in card.classes]
    reference = ids[table[read_volume(case.labels, kind=Kind.LABEL).voxels]]
    figures = dice_per_label(answer, reference, {vocabulary.by_name(name).id: name for name in card.classes})
    lungs = [np.where(np.isin(labels, LOBES), LUNGS, 0).astype(np.uint8) for labels in (answer, reference)]
    return figures | dice_per_label(*lungs, {LUNGS: "lungs"})


def main(arguments: list[str] | None = None) -> int:
    """Run the command."""
    parser = argparse.ArgumentParser(prog="python -m training.evaluate_segmenter", description=__doc__)
    parser.add_argument("--card", required=True, help="id of an installed card, or the path of a card's JSON")
    parser.add_argument("--data", type=Path, required=True, help="folder that the case list's paths start from")
    parser.add_argument("--cases", type=Path, default=Path(__file__).parent / "recipes/segmenter/cases.csv")
    parser.add_argument("--only", nargs="*", help="names of the cases to evaluate (default: all with labels)")
    parser.add_argument("--out", type=Path, help="write the figures to this JSON file too")
    options = parser.parse_args(arguments)
    try:
        card = load_card(options.card)
        cases = [
            c
            for c in read_case_list(options.cases, options.data)
            if c.labels and (not options.only or c.name in options.only)
        ]
        figures = {case.name: evaluate_case(card, case) for case in cases}
    except MedFMError as problem:
        print(problem, file=sys.stderr)
        return problem.exit_code
    for name, values in figures.items():
        print(name, "mean", round(float(np.mean(list(values.values()))), 3))
        print("  " + "  ".join(f"{organ} {value:.2f}" for organ, value in values.items()))
    if options.out:
        atomic_text(options.out, json.dumps(figures, indent=1))
    return 0


if __name__ == "__main__":
    sys.exit(main())
