"""What is done with one case, as far as it depends on the kind of scans: CT, or brain MRI."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Protocol

from medfm_core import body_stage
from medfm_core.analysis import Options
from medfm_core.batch.cases import Case
from medfm_core.batch.journal import is_same_scan, matching_manifest
from medfm_core.batch.table import CT_COLUMNS, values_of
from medfm_core.card_library import default_card, load_card
from medfm_core.cards import ModelCard
from medfm_core.findings_stage import choose_card
from medfm_core.saliency_stage import check_wish
from medfm_core.selection import keep_organs


class Work(Protocol):
    """One kind of case.

    Attributes:
        cards: models that must be there.
        columns: that every row of the table has.
    """

    cards: Sequence[ModelCard]
    columns: tuple[str, ...]

    def arguments(self, case: Case) -> dict[str, Any]:
        """Of the worker's request `analyze`, but for where the result goes."""

    def matching(self, folder: Path) -> Mapping[str, Any] | None:
        """The manifest of a whole result that these models made with these options; None where there is none."""

    def identities(self, case: Case, manifest: Mapping[str, Any]) -> list[dict[str, Any]] | None:
        """Arguments of the request `identify`, per scan; None where scans are not those of the result by number."""

    def is_same(self, manifest: Mapping[str, Any], found: Sequence[Mapping[str, Any]]) -> bool:
        """Whether a result was made of these scans: the same voxels in the same place."""

    def digest(self, manifest: Mapping[str, Any]) -> str:
        """Of the voxels of all scans."""

    def values(self, manifest: Mapping[str, Any]) -> dict[str, Any]:
        """The columns of the table."""


class CtWork:
    """The organs and findings of a CT.

    Args:
        options: of every case.

    Raises:
        InputError: an option cannot be met.
        WeightsError: a model is not there.
    """

    columns = CT_COLUMNS

    def __init__(self, options: Options) -> None:
        self._options = options
        self._card = load_card(options.card_id) if options.card_id else default_card("organ_segmentation")
        self._findings_card = choose_card(options)
        self._body_card = body_stage.choose_card(options, self._findings_card)
        self.cards = tuple(filter(None, (self._card, self._findings_card, self._body_card)))
        keep_organs(options.organs, self._card.classes)
        check_wish(options.saliency)

    def arguments(self, case: Case) -> dict[str, Any]:
        """See `Work`."""
        given = json.loads(json.dumps(vars(replace(self._options, series=self._series(case)))))
        for name, option in (("model", "card_id"), ("findings_model", "findings_card"), ("body_model", "body_card")):
            given[name] = given.pop(option)
        return {**given, "source": str(case.source), "modality": "CT"}

    def matching(self, folder: Path) -> Mapping[str, Any] | None:
        """See `Work`."""
        return matching_manifest(folder, self._options, self._card, self._findings_card, self._body_card)

    def identities(self, case: Case, manifest: Mapping[str, Any]) -> list[dict[str, Any]] | None:
        """See `Work`."""
        how = {"series": self._series(case), "nifti_form": self._options.nifti_form}
        return [{"source": str(case.source), **how}]

    def is_same(self, manifest: Mapping[str, Any], found: Sequence[Mapping[str, Any]]) -> bool:
        """See `Work`."""
        return is_same_scan(manifest, found[0])

    def digest(self, manifest: Mapping[str, Any]) -> str:
        """See `Work`."""
        return manifest["input"]["voxels_sha256"]

    def values(self, manifest: Mapping[str, Any]) -> dict[str, Any]:
        """See `Work`."""
        return values_of(manifest)

    def _series(self, case: Case) -> str | None:
        return case.series or (self._options.series if case.source.is_dir() else None)
