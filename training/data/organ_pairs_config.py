"""What the data source `organ_pairs` is given."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from medfm_core.errors import InputError
from training.data.organ_augmentation import OrganAugmentation


@dataclass(frozen=True)
class OrganPairsConfig:
    """Which organs of which studies are shown, and what is said of them.

    Attributes:
        manifests: tables of volumes with label maps of the vocabulary's numbers.
        store: folder that `training.prepare` filled, with `--preparation organ_ct`.
        statements: files of statements on the studies, one per manifest.
        sentences: file of sentence vectors (`python -m training.encode_sentences`), or its folder; "" for none.
        card: model card whose `input` says how organs are cut out.
        input_file: YAML with such an `input` entry, instead of a card.
        split: which studies; "all" for all.
        pairs: findings of which a sample is told something, each with a sentence that says it is there and one that
            says it is not.
        positive_share: how often the first of them is there.
        findings: names of the findings; None for all of the catalogue that the statements know.
        wordings: teach the catalogue's wordings beside the sentences of the reports; they are what findings are asked
            with, so only a run without them shows how new wordings fare.
        places: say where in the crop each finding lies, for objectives that learn from it.
        whole_volume: show the whole scan instead of one organ; for comparisons.
        augment: changes of the crops; None for none.
    """

    manifests: tuple[str, ...]
    store: str
    statements: tuple[str, ...]
    sentences: str = ""
    card: str | None = None
    input_file: str | None = None
    split: Literal["train", "val", "test", "all"] = "all"
    pairs: int = 3
    positive_share: float = 0.5
    findings: tuple[str, ...] | None = None
    wordings: bool = False
    places: bool = False
    whole_volume: bool = False
    augment: OrganAugmentation | None = field(default_factory=OrganAugmentation)

    def __post_init__(self) -> None:
        if len(self.manifests) != len(self.statements):
            raise InputError("data.statements must name one file per manifest", "give both in the same order")
        if self.pairs < 1 or not 0 <= self.positive_share <= 1:
            raise InputError("data.pairs must be at least 1 and data.positive_share from 0 to 1", "correct them")
