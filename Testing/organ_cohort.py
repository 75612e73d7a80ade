"""A few coarse virtual patients in a store, ready for organ-wise training."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch

from medfm_core.sentence_store import SentenceStore
from training.data.statements import read_statements
from training.prepare import main as prepare
from training.synthetic.cohort import CohortPlan, make_cohort

TEXT_WIDTH = 48
INPUT = """
modality: [CT]
spacing_mm: [10.0, 10.0, 10.0]
spacing_rule: at_least
intensity: {kind: windows, to: [0, 1], windows: [{level: -600, width: 1500}, {level: 40, width: 400}]}
size: [4, 16, 16]
organs:
  shortest: 12
  longest: 30
  mask: true
  section_mm: {vertebrae: 250}
  units: {liver: [liver], spleen: [spleen], kidney_left: [kidney_left], heart: [heart], vertebrae: [vertebrae]}
"""


@dataclass(frozen=True)
class OrganCohort:
    """Where the parts of a cohort lie."""

    folder: Path

    @property
    def data(self) -> dict[str, object]:
        """The recipe's `data`, without the name."""
        return {
            "manifests": (str(self.folder / "manifest.csv"),), "statements": (str(self.folder / "statements.jsonl"),),
            "store": str(self.folder / "store"), "input_file": str(self.folder / "input.yaml"),
        }  # fmt: skip

    @property
    def sentences(self) -> str:
        """Folder of the sentence vectors."""
        return str(self.folder / "sentences")


def make_organ_cohort(folder: Path, count: int = 6) -> OrganCohort:
    """Synthesize, prepare and encode; the sentence vectors are random but fixed, and tell sentences apart."""
    findings = ("hepatic_steatosis", "splenomegaly", "renal_cyst", "cardiomegaly", "osteopenia")
    for name, first, kinds in (("with", 0, findings), ("without", 1000, ())):
        make_cohort(CohortPlan(count // 2, first, 10.0, findings=kinds, phase="portal_venous"), folder / name)
    rows, lines = [], []
    for name in ("with", "without"):
        head, *body = (folder / name / "manifest.csv").read_text().splitlines()
        rows += [
            line.replace("patient_", f"{name}/patient_").replace(f"{name}/patient_", "patient_", 1) for line in body
        ]
        lines += (folder / name / "statements.jsonl").read_text().splitlines()
    (folder / "manifest.csv").write_text("\n".join([head, *rows]) + "\n")
    (folder / "statements.jsonl").write_text("\n".join(lines) + "\n")
    (folder / "input.yaml").write_text(INPUT)
    arguments = ["--manifest", folder / "manifest.csv", "--store", folder / "store", "--input", folder / "input.yaml"]
    assert prepare([*map(str, arguments), "--preparation", "organ_ct"]) == 0
    texts = {line.text for study in read_statements(folder / "statements.jsonl") for line in study.statements}
    ordered = tuple(sorted(texts - {""}))
    vectors = torch.randn(len(ordered), TEXT_WIDTH, generator=torch.Generator().manual_seed(0))
    (folder / "sentences").mkdir()
    SentenceStore("random", ordered, vectors).write(folder / "sentences")
    return OrganCohort(folder)


__all__ = ["TEXT_WIDTH", "OrganCohort", "make_organ_cohort"]
