"""The data source `organ_pairs`: organ volumes, what is true of them, and sentences that say so or do not."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from medfm_core.anatomy import load_findings
from medfm_core.errors import InputError
from medfm_core.organ_boxes import OrganBox, label_ids
from medfm_core.organ_volumes import organ_size, organ_tensor
from medfm_core.strict import to_dict
from training.data.organ_augmentation import NO_AUGMENTATION
from training.data.organ_pairs_config import OrganPairsConfig
from training.data.organ_studies import (
    OrganStudy,
    all_boxes,
    crop_corners,
    find_studies,
    read_spec,
    unit_structures,
)
from training.data.organ_truth import ABSENT, PRESENT, finding_boxes, structures_of, unit_truth
from training.data.sentence_bank import SentenceBank
from training.data.whole_scans import WholeScans
from training.engine.draw import DrawKey

__all__ = ["OrganItem", "OrganPairs", "OrganPairsConfig"]

NORMAL = -1  # in place of a finding's number


@dataclass(frozen=True)
class OrganItem:
    """One organ, or a section of it, in one study.

    Attributes:
        study: number of the study.
        unit: number of the organ unit.
        box: where it lies.
    """

    study: int
    unit: int
    box: OrganBox


class OrganPairs:
    """Organs of studies; an item is one organ unit, or a section of it, in one study.

    With sentences, the item of a position is drawn so that every finding gets its share: first a finding, then an item
    that has it or one in which it is looked for and not found. Without, every item is as likely.

    Args:
        config: what is drawn.

    Attributes:
        findings: names of the findings, `F` of them.
        units: names of the organ units, `U` of them.
        structures: the single structures of each unit, by its name.
        relevant: which findings are looked for in which unit, `(U, F)` bool.
        items: the organs, in the order of their numbers.
        truth: per item and finding 1 there, -1 not, 0 unknown, int8.

    Raises:
        InputError: studies, statements or sentences are missing.
    """

    def __init__(self, config: OrganPairsConfig) -> None:
        self.config, self._spec = config, read_spec(config.card, config.input_file)
        self.studies = find_studies(config.manifests, config.statements, config.store, self._spec, config.split)
        volumes = [study.volume for study in self.studies]
        self._whole = WholeScans(volumes, self._spec) if config.whole_volume else None
        self.units = tuple(self._spec.organs.units)
        self.structures = unit_structures(self._spec)
        self.findings = config.findings or _findings_told(self.studies)
        self.relevant = self._relevance()
        kinds = [load_findings().by_name(name) for name in self.findings] if config.wordings else ()
        self._bank = SentenceBank((s.statements for s in self.studies), self.structures, kinds)
        self._vectors = self._read_vectors()
        boxes = all_boxes(self.studies, self._spec, Path(config.store))
        self.items = [
            OrganItem(number, self.units.index(box.unit), box) for number, found in enumerate(boxes) for box in found
        ]
        self.truth = np.stack([self._truth_of(item) for item in self.items])
        asked = self.relevant[[item.unit for item in self.items]]
        self._have = [np.flatnonzero(column) for column in (asked & (self.truth == PRESENT)).T]
        self._lack = [np.flatnonzero(column) for column in (asked & (self.truth == ABSENT)).T]
        self._told = np.array([self._vectors is None or self._bank.tells(name) for name in self.findings])
        self._asked = [f for f in np.flatnonzero(self._told) if len(self._have[f]) and len(self._lack[f])]
        if not self._asked and self._vectors is not None:
            raise InputError("no finding is there in one organ and not there in another", "give more studies")

    def __len__(self) -> int:
        """Organs of all studies."""
        return len(self.items)

    @property
    def digest(self) -> str:
        """Changes when the samples do."""
        keys = [study.volume.key for study in self.studies]
        text = json.dumps([to_dict(self.config, defaults=True), to_dict(self._spec, defaults=True), keys])
        return hashlib.sha256(text.encode()).hexdigest()

    def item_at(self, key: DrawKey) -> int:
        """The item of a position: by findings where there are sentences, else any organ."""
        if self._vectors is None:
            return int(key.rng("organ").integers(len(self.items)))
        return self._draw(key)[1]

    def sample(self, item: int, key: DrawKey) -> dict[str, Tensor]:
        """Draw one organ; a pure function of the two.

        Returns:
            `image` `(C, D, H, W)` and `size` `(4 + Q,)` as `medfm_core.organ_volumes` makes them; `unit` its number;
            `truth` `(F,)` int8 (1 there, -1 not, 0 unknown) and `relevant` `(F,)` bool. With `config.places` also
            `places` `(F, 2, 3)` float32: the box of each finding that is there, lowest and highest along D, H, W as
            shares of the crop; NaN for one that is everywhere, or of which no place is known. With sentences
            also, `K` twice `config.pairs`: `text` `(K, W)` float32, `text_finding` `(K,)` (-1: the organ is called
            normal), `text_says` `(K,)` (1 there, -1 not), `text_detailed` and `text_own` `(K,)` bool.
        """
        one = self.items[item]
        sample = self.picture(item, key)
        sample |= {
            "unit": torch.tensor(one.unit),
            "truth": torch.from_numpy(self.truth[item]),
            "relevant": torch.from_numpy(self.relevant[one.unit]),
        }
        if self.config.places:
            sample["places"] = torch.from_numpy(self._places(one, self.truth[item], key))
        if self._vectors is not None:
            sample |= self._texts(one, self.truth[item], self._draw(key)[0], key.rng("sentences"))
        return sample

    def _relevance(self) -> np.ndarray:
        catalogue = load_findings()
        places = [
            frozenset().union(*(structures_of(organ) for organ in catalogue.by_name(name).organs))
            for name in self.findings
        ]
        return np.array([[bool(self.structures[unit] & place) for place in places] for unit in self.units])

    def _read_vectors(self) -> Tensor | None:
        if not self.config.sentences:
            return None
        from medfm_core.sentence_store import read_sentence_store

        return read_sentence_store(_one_file(Path(self.config.sentences))).lookup(self._bank.texts)

    def _truth_of(self, item: OrganItem) -> np.ndarray:
        study = self.studies[item.study]
        structures = self.structures[self.units[item.unit]]
        return unit_truth(study.statements, structures, self.findings, crop_corners(study, item.box))

    def _draw(self, key: DrawKey) -> tuple[int, int]:
        """A finding, and an item that has it or has it not."""
        rng = key.rng("organ")
        focus = int(rng.choice(self._asked))
        items = self._have[focus] if rng.random() < self.config.positive_share else self._lack[focus]
        return focus, int(rng.choice(items))

    def _crop(self, item: OrganItem, rng: np.random.Generator) -> tuple[list[int], list[int]]:
        """First voxel and voxels along D, H, W of what is shown."""
        shape = self.studies[item.study].volume.shape[::-1]
        change = self.config.augment or NO_AUGMENTATION
        start, stop = ([0, 0, 0], list(shape)) if self.config.whole_volume else change.box(item.box, shape, rng)
        return start[::-1], [b - a for a, b in zip(start[::-1], stop[::-1], strict=True)]

    def _places(self, item: OrganItem, truth: np.ndarray, key: DrawKey) -> np.ndarray:
        """Where in the crop each finding lies, see `sample`."""
        study, structures = self.studies[item.study], self.structures[self.units[item.unit]]
        boxes = finding_boxes(study.statements, structures, self.findings)
        first, size = self._crop(item, key.rng("augment"))
        places = np.full((len(self.findings), 2, 3), np.nan, np.float32)
        for number, corners in boxes.items():
            if truth[number] == PRESENT:
                at = study.volume.affine.to_voxel(np.array(corners))
                ends = np.stack([at.min(0) - 0.5, at.max(0) + 0.5])
                places[number] = (ends + 0.5 - first) / size
        return places

    def picture(self, item: int, key: DrawKey) -> dict[str, Tensor]:
        """The `image` and `size` of a sample, without what is said of it."""
        one, rng = self.items[item], key.rng("augment")
        volume, box, change = self.studies[one.study].volume, one.box, self.config.augment or NO_AUGMENTATION
        if self._whole is not None:
            return self._whole.picture(one.study, change, rng)
        first, size = self._crop(one, rng)
        mask = np.isin(volume.labels_crop(first, size), label_ids(box.members))
        hu, mask = change.hu(volume.crop(first, size), rng), change.mask(mask, rng)
        features = organ_size(hu, mask, volume.spacing, self._spec)
        image = organ_tensor(torch.from_numpy(np.ascontiguousarray(hu)), torch.from_numpy(mask), self._spec)
        return {"image": image, "size": features}

    def _texts(self, item: OrganItem, truth: np.ndarray, focus: int, rng: np.random.Generator) -> dict[str, Tensor]:
        """For some findings a sentence that says it is there and one that says it is not."""
        study, unit = self.studies[item.study], self.units[item.unit]
        row = self.relevant[item.unit] & (truth != 0) & self._told
        others = [f for f in rng.permutation(np.flatnonzero(row)) if f != focus]
        found: list[tuple[int, int, int, bool]] = []
        for finding in [focus, *others, *[focus] * self.config.pairs][: self.config.pairs]:
            found.append(self._there(study, unit, finding, truth[finding], rng))
            found.append(self._not_there(unit, finding, rng))
        numbers, findings, says, own = zip(*found, strict=True)
        return {
            "text": self._vectors[list(numbers)],
            "text_finding": torch.tensor(findings),
            "text_says": torch.tensor(says),
            "text_detailed": torch.from_numpy(self._bank.detailed[list(numbers)]),
            "text_own": torch.tensor(own),
        }

    def _there(
        self, study: OrganStudy, unit: str, finding: int, truth: int, rng: np.random.Generator
    ) -> tuple[int, int, int, bool]:
        name = self.findings[finding]
        own = self._bank.own(study.statements, name, self.structures[unit]) if truth == PRESENT else []
        if own and rng.random() < 0.7:
            return int(rng.choice(own)), finding, PRESENT, True
        return int(rng.choice(self._sentences(name, "present", unit))), finding, PRESENT, False

    def _not_there(self, unit: str, finding: int, rng: np.random.Generator) -> tuple[int, int, int, bool]:
        normal = self._bank.numbers(None, "normal", unit)
        if len(normal) and rng.random() < 0.15:
            return int(rng.choice(normal)), NORMAL, ABSENT, False
        return int(rng.choice(self._sentences(self.findings[finding], "absent", unit))), finding, ABSENT, False

    def _sentences(self, finding: str, state: str, unit: str) -> np.ndarray:
        """Sentences for a unit, or for any unit where none speaks of this one."""
        numbers = self._bank.numbers(finding, state, unit)
        if not len(numbers):
            numbers = [n for other in self.units for n in self._bank.numbers(finding, state, other)]
        return np.asarray(numbers)


def _one_file(path: Path) -> Path:
    """The file of sentence vectors, or the only one of a folder."""
    if not path.is_dir():
        return path
    files = sorted(path.glob("sentences-*.safetensors"))
    if len(files) != 1:
        raise InputError(f"{path} holds {len(files)} files of sentence vectors", "name one as data.sentences")
    return files[0]


def _findings_told(studies: list[OrganStudy]) -> tuple[str, ...]:
    """Findings of the catalogue that some study has, in the catalogue's order."""
    told = {line.finding for study in studies for line in study.statements.statements if line.state == "present"}
    return tuple(finding.name for finding in load_findings() if finding.name in told)
