"""What a run is asked for, what the panel shows of it, and what its result is marked with."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from .results import Result
from .run_states import RunState


@dataclass(frozen=True)
class RunOptions:
    """What a run is asked for; the names are those of the worker's request `analyze`.

    Attributes:
        device: "auto", "cpu", "cuda", ...
        model: organ segmenter; "" for the default one.
        findings_model: "" for the default one.
        findings: whether findings are assessed; None for where a findings model is there.
        force: go on although the scan does not look like a CT in Hounsfield units.
        organs: keep only these; empty for all.
        keep_in: folder that keeps the results; "" for a temporary one that goes with the panel.
        sequences: of the volumes, where these are brain MRI: "T1w", "T2w" or "FLAIR" each; empty for CT.
        register: whether brain MRI is registered to a template of MNI space.
        strip: whether the skull is taken away first.
    """

    device: str = "auto"
    model: str = ""
    findings_model: str = ""
    findings: bool | None = None
    force: bool = False
    organs: tuple[str, ...] = ()
    keep_in: str = ""
    sequences: tuple[str, ...] = ()
    register: bool = False
    strip: bool = False

    def arguments(self, sources: Sequence[str], out: str) -> dict[str, Any]:
        """The arguments of the request: one source of CT, or the scans of one study of brain MRI."""
        if self.sequences:
            return self._of_brains(sources, out)
        source = sources[0]
        chosen = {"model": self.model, "findings_model": self.findings_model, "organs": list(self.organs)}
        fixed = {"source": source, "out": out, "device": self.device, "findings": self.findings, "force": self.force}
        return fixed | {name: value for name, value in chosen.items() if value}

    def _of_brains(self, sources: Sequence[str], out: str) -> dict[str, Any]:
        fixed = {"source": list(sources), "out": out, "device": self.device, "modality": "MR"}
        chosen = {
            "model": self.model,
            "sequences": list(self.sequences),
            "register": self.register,
            "strip": "auto" if self.strip else "",
        }
        return fixed | {name: value for name, value in chosen.items() if value}


@dataclass(frozen=True)
class RunView:
    """What the panel shows of a run.

    Attributes:
        state: where it is.
        button: text of the one button.
        is_button_enabled: whether it can be pressed, as far as the run decides.
        are_inputs_enabled: whether the choices can be changed.
        percent: of the whole, 0 to 100.
        stage: what is being done.
        time_left: "about 2 min left"; "" where it is not known.
        message: how it ended, or why not; one or two sentences.
        warnings: sentences about the input and the result.
        log: the last lines of what was told.
    """

    state: RunState
    button: str
    is_button_enabled: bool
    are_inputs_enabled: bool
    percent: int
    stage: str = ""
    time_left: str = ""
    message: str = ""
    warnings: tuple[str, ...] = ()
    log: tuple[str, ...] = ()


def provenance_of(result: Result) -> dict[str, str]:
    """What every node made of a result carries: models, hashes, version, time, device, notice."""
    manifest = result.manifest
    findings = (manifest.get("findings") or {}).get("model") or {}
    found = {
        "Version": manifest.get("medfm"),
        "Created": manifest.get("created"),
        "Model": manifest["model"].get("id"),
        "ModelCardSha256": manifest["model"].get("card_sha256"),
        "FindingsModel": findings.get("id"),
        "Device": (manifest.get("run") or {}).get("device"),
        "InputSha256": (manifest.get("input") or {}).get("voxels_sha256"),
        "Notice": manifest.get("notice"),
    }
    return {name: str(value) for name, value in found.items() if value}


def folder_name(text: str) -> str:
    """A volume's name as that of a folder on any system."""
    kept = "".join(letter if letter.isalnum() or letter in " ._-" else "_" for letter in text).strip(" .")
    return kept[:80].strip(" .") or "scan"
