"""A tiny findings model with random weights and a stand-in for its text tower, beside the organs of `fake_organs`."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file

from medfm_core.anatomy import load_findings
from medfm_core.models.organ_text import OrganTextModel
from medfm_core.models.totalfm import TotalFMConfig
from medfm_core.progress import SILENT, Progress
from medfm_core.prompts import build_prompt_cache

CARD_ID = "fake-findings.v1"
TEXT_WIDTH, WIDTH = 6, 8
ARCHITECTURE = {
    "image_size": [8, 16, 16], "patch_size": [4, 8, 8], "channels": 4, "width": 12, "depth": 1, "heads": 2,
    "mlp_width": 24, "dropout": 0.0, "head_width": 12, "embedding_width": WIDTH, "organ_size": True,
}  # fmt: skip
UNITS = {
    name: [name]
    for name in (
        "lung_lower_lobe_right", "lung_lower_lobe_left", "heart", "liver", "gallbladder", "spleen", "pancreas",
        "kidney_right", "kidney_left", "urinary_bladder", "vertebrae", "aorta",
    )
}  # fmt: skip
UNCALIBRATED = ("splenomegaly", "cirrhosis", "scoliosis")


class FakeTower:
    """A vector per sentence, drawn from its letters."""

    id, width = "fake", TEXT_WIDTH

    def encode(self, sentences, progress: Progress = SILENT):
        seeds = [int(hashlib.sha256(sentence.encode()).hexdigest()[:8], 16) for sentence in sentences]
        return torch.stack([torch.randn(self.width, generator=torch.Generator().manual_seed(s)) for s in seeds])


def card_data(findings: dict[str, Any] | None = None, card_id: str = CARD_ID) -> dict[str, Any]:
    """The card as JSON data, without its weights."""
    window = [{"level": level, "width": width} for level, width in ((-600, 1500), (40, 400), (300, 1500))]
    middle = {"absent_below": 0.4, "present_above": 0.6, "on": "nothing", "auroc": 0.5, "positives": 1, "negatives": 1}
    return {
        "id": card_id,
        "task": "findings",
        "default": True,
        "architecture": {"name": "totalfm", **ARCHITECTURE, "text_width": TEXT_WIDTH, "text_tower": "minilm"},
        "weights": [],
        "source": {"kind": "file", "path": "."},
        "input": {
            "modality": ["CT"],
            "spacing_mm": [6, 6, 6],
            "spacing_rule": "at_least",
            "intensity": {"kind": "windows", "windows": window, "to": [0, 1]},
            "size": [8, 16, 16],
            "organs": {"shortest": 12, "longest": 30, "mask": True, "units": UNITS, "section_mm": {"vertebrae": 160}},
        },
        "findings": {"hepatic_steatosis": middle, "renal_cyst": middle, "lung_nodule": middle, "gallstones": middle}
        if findings is None
        else findings,
        "licence": "Apache-2.0",
        "trained_on": ["nothing"],
        "intended_use": "tests only",
    }


def make(folder: Path, data: dict[str, Any] | None = None, seed: int = 0) -> Path:
    """Write a findings card and its files into a folder.

    Returns:
        The card's path.
    """
    data = card_data() if data is None else data
    options = {key: value for key, value in ARCHITECTURE.items() if not isinstance(value, list)}
    options |= {key: tuple(value) for key, value in ARCHITECTURE.items() if isinstance(value, list)}
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = OrganTextModel(TotalFMConfig(**options), TEXT_WIDTH).eval()
    stem = data["id"]
    weights, text, prompts = (folder / f"{stem}.{part}.safetensors" for part in ("weights", "text", "prompts"))
    save_file(model.image.state_dict(), weights)
    side = {f"text_projection.{name}": value for name, value in model.text.state_dict().items()}
    save_file(side | {f"logits.{name}": value for name, value in model.logits.state_dict().items()}, text)
    named = [kind for kind in load_findings() if kind.name in {*data["findings"], *UNCALIBRATED}]
    build_prompt_cache(named, FakeTower(), model.text, _sha256(weights)).write(prompts)
    data["weights"] = [
        {"file": path.name, "sha256": _sha256(path), "bytes": path.stat().st_size, "role": role}
        for path, role in ((weights, "weights"), (text, "text"), (prompts, "prompts"))
    ]
    card = folder / f"{stem}.json"
    card.write_text(json.dumps(data), encoding="utf-8")
    return card


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
