"""`python -m training.evaluate_lesions`: on a real scan with a lesion mask, scores organ by organ, and saliency."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from medfm_core.analysis import Options
from medfm_core.errors import InputError
from medfm_core.finding_scores import best_section
from medfm_core.findings_model import FindingsModel
from medfm_core.io import clamp_air, read_volume
from medfm_core.io.atomic import atomic_text
from medfm_core.organ_boxes import find_boxes, label_ids, units_of
from medfm_core.organ_volumes import OrganVolume, cut_organ, to_organ_grid
from medfm_core.pipeline import encode_file
from medfm_core.progress import RichProgress
from medfm_core.volume import Kind, Volume, resample_to
from training.command import command, parser_of

LOBES = (
    "lung_upper_lobe_left", "lung_lower_lobe_left", "lung_upper_lobe_right", "lung_middle_lobe_right",
    "lung_lower_lobe_right",
)  # fmt: skip
EPILOG = """examples:
  the nodule of a chest CT, lobe by lobe:
    python -m training.evaluate_lesions --ct chest.nii.gz --lesion nodule.nii.gz --findings lung_nodule lung_mass
  a findings model that is not the default:
    python -m training.evaluate_lesions --ct chest.nii.gz --lesion tumour.nii.gz --model my-findings.v1 --out out.json
"""


def evaluate(options: argparse.Namespace) -> dict[str, Any]:
    """Score the findings in every organ, and say how much of the lesion and of its saliency lies in each.

    Raises:
        InputError: a file, an organ or a finding cannot be used.
        WeightsError: no findings model is there.
    """
    analysis = encode_file(options.ct, Options(findings_card=options.model), progress=RichProgress())
    model, spec = analysis.findings_model(), analysis.findings_model().card.input
    lesion = read_volume(options.lesion, kind=Kind.LABEL)
    lesion = lesion.with_voxels((lesion.voxels >= options.level).astype(np.uint8))
    image = to_organ_grid(clamp_air(replace(analysis.image, modality="CT")), spec)
    labels = resample_to(analysis.segmentation.labels, image.grid)
    on_grid = resample_to(lesion, image.grid)
    unknown = [organ for organ in options.organs if organ not in units_of(spec.organs)]
    if unknown:
        raise InputError(f"{unknown[0]} is not an organ unit of {model.card.id}", "name one of its input.organs.units")
    result: dict[str, Any] = {}
    for finding in options.findings:
        wordings = model.sentences.wordings(finding)
        if wordings is None:
            raise InputError(f"{model.card.id} has no wordings for {finding}", "see `medfm findings list`")
        rows = {}
        for organ in options.organs:
            sections = analysis.encoded.embedding.sections(organ)
            best = best_section(sections, wordings, model.sentences.scale)
            if best is None:
                continue
            box = next(b for b in find_boxes(labels, spec.organs, [organ]) if b.section == best.section)
            rows[organ] = {
                "score": round(best.wording.score, 4),
                "lesion_share": round(_share(lesion, analysis.segmentation.labels, organ), 3),
                **_energy(finding, cut_organ(image, labels, box, spec), on_grid, model),
            }
        result[finding] = rows
    return result


def _share(lesion: Volume, labels: Volume, organ: str) -> float:
    """Share of the lesion that lies in the organ as outlined."""
    inside = resample_to(labels, lesion.grid).voxels[lesion.voxels > 0]
    return float(np.isin(inside, label_ids([organ])).mean()) if inside.size else 0.0


def _energy(finding: str, organ: OrganVolume, lesion: Volume, model: FindingsModel) -> dict[str, float]:
    """Share of the saliency within the lesion, and the lesion's share of the crop, which is chance."""
    import torch

    from medfm_core.saliency import energy_inside
    from medfm_core.saliency_stage import saliency_map

    inside = resample_to(lesion, organ.grid).voxels.transpose(2, 1, 0) > 0
    if not inside.any():
        return {}
    share = energy_inside(saliency_map(finding, organ, model).cpu(), torch.from_numpy(inside))
    return {"energy_inside": round(share.inside, 4), "chance": round(share.chance, 4)}


@command()
def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command."""
    options = _parser().parse_args(arguments)
    result = evaluate(options)
    if options.out:
        atomic_text(options.out, json.dumps(result, indent=1) + "\n")
    for finding, rows in result.items():
        print(finding)
        for organ, row in sorted(rows.items(), key=lambda pair: -pair[1]["score"]):
            print(f"  {organ:26}" + "  ".join(f"{name} {value:.3f}" for name, value in row.items()))
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = parser_of(
        "evaluate_lesions",
        "Score findings organ by organ on a real scan with a lesion mask, and its saliency with the mask.",
        EPILOG,
    )
    add = parser.add_argument
    add("--ct", type=Path, required=True, help="the scan")
    add("--lesion", type=Path, required=True, help="label map of the lesion on any grid of the patient")
    add("--level", type=int, default=1, help="values from this on are lesion (default: 1)")
    add("--findings", nargs="+", default=["lung_nodule"], help="names of the catalogue (default: lung_nodule)")
    add("--organs", nargs="+", default=list(LOBES), help="organ units to compare (default: the lobes of the lung)")
    add("--model", metavar="ID", help="findings model (default: the shipped one)")
    add("--out", type=Path, help="write the figures to this JSON file too")
    return parser


if __name__ == "__main__":
    sys.exit(main())
