"""Organ vectors of a cohort: each study's organs through the encoder of a findings card, and a manifest of the result.

The vectors come about as in `medfm analyze`: the same crops, the same encoder, the same rule for cut organs. Studies
with a label map are cut out along it; the others are outlined by the organ segmenter first. One file per study; files
that are there already, made of the same study in the same way, are kept.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import save

from medfm_core.anatomy import load_vocabulary
from medfm_core.body_organs import CUT, MISSING, find_organs, organ_values
from medfm_core.card_inputs import OrganCrop
from medfm_core.cards import ModelCard
from medfm_core.embedding import Encoder
from medfm_core.errors import InputError, MedFMError, WeightsError
from medfm_core.findings_model import FindingsModel
from medfm_core.io import atomic_bytes, read_volume
from medfm_core.measurements import measure
from medfm_core.organ_encoding import EncodedOrgans, EncodingSettings, LabelledScan, encode_organs
from medfm_core.segmentation import Segmentation
from medfm_core.strict import unknown_name
from medfm_core.volume import Kind, Volume
from medfm_core.weights import check_safetensors
from training.data.manifest import ManifestRow
from training.data.organ_making import OrganMaking

FOLDER = "organs"
CARRIED = ("target.", "time.", "event.", "feature.", "info.")
_MADE_OF, _CUT, _SHOWN = "made_of", "cut", "shown"


@dataclass(frozen=True, eq=False)
class OrganVectors:
    """How organ vectors are made.

    Attributes:
        model: findings model whose encoder makes them.
        making: which of its units belong to which organ.
        folder: of the new manifest; vectors go to `organs` in it.
    """

    model: FindingsModel
    making: OrganMaking
    folder: Path

    def row(self, row: ManifestRow, cells: Mapping[str, str]) -> dict[str, Any]:
        """Make the vectors of one study, unless they are there, and its row of the new manifest.

        Args:
            row: of the cohort's manifest.
            cells: of the same row, as text.

        Raises:
            InputError: the study cannot be read or used; the message names its row.
            ResourceError: the disk or the memory is full.
        """
        name = f"{FOLDER}/{row.number:06d}.safetensors"
        facts = _facts(self.folder / name, self._digest(row))
        if facts is None:
            try:
                facts = self._make(row, self.folder / name)
            except MedFMError as problem:
                raise type(problem)(f"row {row.number}: {problem.what}", problem.fix) from problem
        carried = {column: cell for column, cell in cells.items() if column.startswith(CARRIED)}
        return {
            "subject": row.subject, "study": row.study, "path": name, "modality": row.modality,
            "sequence": row.sequence, "series": row.series, "split": row.split, "organs": facts[_SHOWN],
            **carried, "info.cut": facts[_CUT],
        }  # fmt: skip

    def _make(self, row: ManifestRow, path: Path) -> dict[str, list[str]]:
        encoded = self._encode(row)
        sources = {name: self.making.source(name) for name in self.making.units}
        organs = find_organs(tuple(sources), sources, encoded.units, encoded.embedding)
        shown = [organ.name for organ in organs if organ.state != MISSING]
        vectors = {name: organ_values(sources[name], encoded.embedding)[0] for name in shown}
        facts = {_SHOWN: shown, _CUT: [organ.name for organ in organs if organ.state == CUT]}
        text = json.dumps({_MADE_OF: self._digest(row), **facts})
        atomic_bytes(path, save(vectors, metadata={"medfm": text}))
        return facts

    def _encode(self, row: ManifestRow) -> EncodedOrgans:
        settings = EncodingSettings(units=frozenset(unit for units in self.making.units.values() for unit in units))
        if row.labels is None:
            return self._outlined(row)
        image = read_volume(row.path, series=row.series or None)
        labels, covered = known_labels(read_volume(row.labels, kind=Kind.LABEL), row.label_names)
        segmentation = Segmentation(labels, self.model.card, covered)
        scan = LabelledScan(image, labels, measure(image, segmentation))
        return encode_organs(scan, self.model, settings)

    def _outlined(self, row: ManifestRow) -> EncodedOrgans:
        from medfm_core.analysis import Options
        from medfm_core.pipeline import encode_file

        card = self.model.card
        place = card.folder / f"{card.id}.json" if card.folder else card.id
        options = Options(series=row.series or None, findings_card=str(place), device=str(self.model.device))
        return encode_file(row.path, options).encoded

    def _digest(self, row: ManifestRow) -> str:
        """What makes other vectors: another study, encoder or list of units; not where the files lie."""
        encoder, units = self.making.encoder, {name: list(units) for name, units in self.making.units.items()}
        stat = row.path.stat()
        what = [row.identity, stat.st_size, encoder.card, encoder.weights_sha256, units]
        return hashlib.sha256(json.dumps(what, sort_keys=True).encode()).hexdigest()


def encoder_of(model: FindingsModel) -> Encoder:
    """Card, weights and width of the encoder.

    Raises:
        InputError: the model looks at scans as a whole and has no organ vectors.
    """
    if model.card.input.organs.whole:
        raise InputError(f"{model.card.id} looks at scans as a whole", "choose a model that encodes organs")
    return model.sentences.encoder


def units_of_organs(card: ModelCard, own: Mapping[str, Sequence[str]]) -> dict[str, tuple[str, ...]]:
    """Which units of an encoder belong to which organ of a whole-body model.

    Args:
        card: of the encoder.
        own: organs with units of the user's choice, beside or instead of those of the published seven that the
            encoder has units of.

    Raises:
        InputError: a unit is not one of the card's, or there is no organ at all.
    """
    vocabulary, units = load_vocabulary(), _single_units(card.input.organs)
    found: dict[str, tuple[str, ...]] = {}
    for group in vocabulary.pan_fm:
        members = set(group.members)
        inside = [name for name, parts in units.items() if parts and members.issuperset(parts)]
        if inside:
            found[group.name] = tuple(inside)
    for name, chosen in own.items():
        for unit in chosen:
            if unit not in units:
                raise InputError(unknown_name(f"organ unit of {card.id}", unit, units), "see the card's input.organs")
        found[name] = tuple(chosen)
    if not found:
        raise InputError(f"{card.id} has no unit of the organs of a whole-body model", "name organs by --organ")
    return found


def known_labels(labels: Volume, names: Mapping[int, str]) -> tuple[Volume, tuple[str, ...]]:
    """A label map in the vocabulary's numbers, and what whoever made it looked for.

    Args:
        labels: values of any meaning.
        names: of its values; empty for the vocabulary's own, where every structure was looked for.

    Returns:
        The map, uint8, and vocabulary names.
    """
    vocabulary = load_vocabulary()
    ids = {organ.name: organ.id for organ in (*vocabulary.organs, *vocabulary.composites)}
    if not names:
        voxels = labels.voxels.astype(np.uint8, copy=False)
        return labels.with_voxels(voxels, Kind.LABEL), tuple(organ.name for organ in vocabulary.organs)
    table = np.zeros(max(int(labels.voxels.max()), max(names)) + 1, np.uint8)
    for value, name in names.items():
        table[value] = ids.get(name, 0)
    covered = tuple(dict.fromkeys(name for name in names.values() if name in ids))
    return labels.with_voxels(table[labels.voxels], Kind.LABEL), covered


def _single_units(crop: OrganCrop) -> dict[str, tuple[str, ...]]:
    """Single structures by unit."""
    vocabulary = load_vocabulary()
    if not crop.units:
        return {organ.name: (organ.name,) for organ in vocabulary.organs}
    return {
        name: tuple(part for member in members for part in vocabulary.expand(member))
        for name, members in crop.units.items()
    }


def _facts(path: Path, digest: str) -> dict[str, list[str]] | None:
    """What a file of vectors says of itself; None where it is not there, or was made otherwise."""
    if not path.is_file():
        return None
    try:
        facts = json.loads(check_safetensors(path).metadata.get("medfm", "{}"))
    except (WeightsError, ValueError):
        return None
    return facts if facts.get(_MADE_OF) == digest else None
