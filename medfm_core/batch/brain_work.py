"""What is done with one study of brain MRI in a batch."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from medfm_core.batch.cases import Case
from medfm_core.batch.journal import whole_manifest
from medfm_core.brain_encoding import choose_brain_card
from medfm_core.brain_results import SCHEMA
from medfm_core.brain_standard import standard_plan
from medfm_core.brain_study import BrainOptions
from medfm_core.hub.present import require_files

COLUMNS = (
    "case", "source", "state", "error", "seconds", "scans", "device", "model", "stripped_by", "template", "warnings",
)  # fmt: skip
_BROKEN = (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError)
_PLACE = ("voxels_sha256", "shape", "affine_ras")


class BrainWork:
    """Vectors and maps of the scans of a study; see `work.Work`.

    Args:
        options: of every case.

    Raises:
        InputError, ResourceError: an option cannot be met.
        WeightsError: the model is not there.
    """

    columns = COLUMNS

    def __init__(self, options: BrainOptions) -> None:
        self._options, self._card = options, choose_brain_card(options.card_id)
        self.cards = (self._card,)
        require_files(self._card)
        standard_plan(options.strip, options.register, options.template)

    def arguments(self, case: Case) -> dict[str, Any]:
        """See `Work`."""
        given = json.loads(json.dumps(vars(self._options)))
        given["model"], given["series"] = given.pop("card_id"), self._series(case)
        given["saliency"] = ["present" if given["saliency"] else "none"]
        given["sequences"] = list(case.sequences)
        return {**given, "source": [str(scan) for scan in case.scans], "modality": "MR"}

    def matching(self, folder: Path) -> Mapping[str, Any] | None:
        """See `Work`."""
        with suppress(*_BROKEN):
            manifest = whole_manifest(folder)
            made = manifest["schema"] == SCHEMA and manifest["model"]["card_sha256"] == self._card.digest
            if made and self._is_wanted(manifest["options"]) and manifest["scans"]:
                self.values(manifest), self.digest(manifest)
                return manifest
        return None

    def identities(self, case: Case, manifest: Mapping[str, Any]) -> list[dict[str, Any]] | None:
        """See `Work`; a folder of several series is one input and several scans, and is analysed anew when in doubt."""
        made = [scan["sequence"] for scan in manifest["scans"].values()]
        if len(case.scans) != len(made) or (case.sequences and list(case.sequences) != made):
            return None
        how = {"series": self._series(case), "nifti_form": self._options.nifti_form}
        return [{"source": str(scan), **how} for scan in case.scans]

    def is_same(self, manifest: Mapping[str, Any], found: Sequence[Mapping[str, Any]]) -> bool:
        """See `Work`."""
        pairs = zip(manifest["scans"].values(), found, strict=True)
        return all(made.get(name) == now.get(name) for made, now in pairs for name in _PLACE)

    def digest(self, manifest: Mapping[str, Any]) -> str:
        """See `Work`."""
        digests = [scan["voxels_sha256"] for scan in manifest["scans"].values()]
        return digests[0] if len(digests) == 1 else hashlib.sha256(" ".join(digests).encode()).hexdigest()

    def values(self, manifest: Mapping[str, Any]) -> dict[str, Any]:
        """See `Work`: of the study, then `<scan>.shape` and so on of each scan."""
        run, prepared = manifest["run"], manifest["prepared"]
        values: dict[str, Any] = {
            "seconds": round(sum(run["seconds"].values()), 2),
            "scans": " ".join(manifest["scans"]),
            "device": run["device"],
            "model": manifest["model"]["id"],
            "stripped_by": prepared["stripped_by"] or "",
            "template": prepared["template"] or "",
            "warnings": " ".join(warning["code"] for warning in manifest["warnings"]),
        }
        for name, scan in manifest["scans"].items():
            values[f"{name}.shape"] = " ".join(str(n) for n in scan["shape"])
            values[f"{name}.spacing_mm"] = " ".join(f"{step:g}" for step in scan["spacing_mm"])
            values[f"{name}.voxels_sha256"] = scan["voxels_sha256"]
            if "registration" in scan:
                values[f"{name}.overlap"] = scan["registration"]["overlap"]
        return values

    def _series(self, case: Case) -> str | None:
        return self._options.series if not case.others and case.source.is_dir() else None

    def _is_wanted(self, made: Mapping[str, Any]) -> bool:
        now = self._options
        template = None if now.template is None else Path(now.template).name
        return (
            made["nifti_form"] == now.nifti_form
            and made["saliency"] == now.saliency
            and made["strip"] == now.strip
            and made["register"] == now.register
            and made["template"] == template
        )
