"""Stand-ins for what is around the panel's models: a worker without a process, a scene without Slicer."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from MedFMLib.host import VolumeFacts
from MedFMLib.results import ResultError

HELLO = {"event": "hello", "protocol": 1, "medfm": "0", "python": "3.12", "torch": "2.8", "process": 1, "notice": ""}
DEVICES = {"event": "devices", "torch": "2.8", "problem": "", "devices": [{"name": "cpu", "title": "4 cores"}]}
CT = VolumeFacts("Chest", (512, 512, 133), (0.7, 0.7, 2.5), 2, (-1024.0, 2000.0), modality="CT")


class StandInWorker:
    """A transport that a test speaks through: `asked` is what was sent, `say` is what comes back."""

    def __init__(self, greet: bool = True) -> None:
        self.asked: list[dict[str, Any]] = []
        self.lines: list[bytes] = []
        self.code: int | None = None
        self.errors: list[str] = []
        self.stopped = 0
        if greet:
            self.say(HELLO)
            self.say(DEVICES)

    def say(self, event: Mapping[str, Any] | bytes, request_id: str | None = None) -> None:
        line = event if isinstance(event, bytes) else json.dumps({"version": 1, "id": request_id, **event}).encode()
        self.lines.append(line + b"\n")

    def answer(self, name: str, event: str = "result", /, **fields: Any) -> dict[str, Any]:
        """Say something to the last request of a name."""
        request = self.last(name)
        self.say({"event": event, **fields}, request["id"])
        return request

    def last(self, name: str) -> dict[str, Any]:
        return next(request for request in reversed(self.asked) if request["request"] == name)

    def names(self) -> list[str]:
        return [request["request"] for request in self.asked]

    # the transport

    def send(self, line: bytes) -> bool:
        self.asked.append(json.loads(line))
        return self.code is None

    def receive(self) -> list[bytes]:
        lines, self.lines = self.lines, []
        return lines

    def exit_code(self) -> int | None:
        return None if self.lines else self.code

    def log(self) -> tuple[str, ...]:
        return tuple(self.errors)

    def stop(self, patience_s: float) -> None:
        self.stopped += 1
        self.code = 0 if self.code is None else self.code


class Workers:
    """Opens stand-ins; `fail` makes the next openings fail."""

    def __init__(self) -> None:
        self.opened: list[StandInWorker] = []
        self.commands: list[tuple[str, ...]] = []
        self.fail, self.greet = False, True

    def __call__(self, launch: Any, arguments: tuple[str, ...]) -> StandInWorker:
        if self.fail:
            raise FileNotFoundError(2, "No such file or directory")
        self.commands.append(arguments)
        self.opened.append(StandInWorker(self.greet and "medfm_core.worker" in arguments))
        return self.opened[-1]

    @property
    def now(self) -> StandInWorker:
        return self.opened[-1]


class StandInHost:
    """A scene that remembers what it was told; volumes are names."""

    def __init__(self, facts: VolumeFacts = CT) -> None:
        self.volumes = {"chest": facts}
        self.told: list[tuple[Any, ...]] = []
        self.fail_at = ""
        self.before_export = lambda: None

    def facts(self, volume: str) -> VolumeFacts:
        return self.volumes[volume]

    def is_alive(self, volume: str) -> bool:
        return volume in self.volumes

    def export(self, volume: str, folder: str) -> str:
        self.before_export()
        path = Path(folder) / "volume.nrrd"
        path.write_bytes(b"voxels")
        if self.fail_at == "export":
            raise OSError(28, "No space left on device")
        return str(path)

    def import_result(self, volume: str, result: Any, provenance: Mapping[str, str]) -> None:
        if self.fail_at == "import":
            raise ResultError("The result is another scan's.")
        self.told.append(("import", volume, result, dict(provenance)))

    def add_map(self, volume: str, path: str, title: str, kind: str) -> None:
        self.told.append(("map", volume, path, title, kind))

    def carried(self, volume: str) -> Any:
        return None

    def shown_map(self, volume: str) -> str:
        return ""

    def centre_on(self, point_ras: tuple[float, float, float]) -> None:
        self.told.append(("centre", point_ras))

    def show_saliency(self, volume: str, path: str, title: str) -> None:
        if self.fail_at == "saliency":
            raise ResultError("The map is damaged.")
        self.told.append(("show", volume, path, title))

    def hide_saliency(self) -> None:
        self.told.append(("hide",))

    def names(self) -> list[str]:
        return [entry[0] for entry in self.told]


class StandInInstaller:
    """Installs nothing, and remembers what it was asked for."""

    def __init__(self) -> None:
        self.asked: list[Any] = []
        self.first, self.refuse = "", False

    def can_install_torch(self) -> str:
        return self.first

    def install_torch(self) -> None:
        self.asked.append("torch")
        if self.refuse:
            raise RuntimeError("the user refused.")

    def install(self, requirements: tuple[str, ...]) -> None:
        self.asked.append(requirements)


def write_result(folder: Path) -> Path:
    """A small folder of results in the pipeline's own format."""
    folder.mkdir(parents=True)
    findings = (
        "name,label,organ,side,state,score,spread_low,spread_high,absent_below,present_from,size_mm,reason\n"
        "renal_cyst,Renal cyst,kidney_left,left,present,0.9,0.7,0.95,0.4,0.6,21.2,Part of the organ is cut.\n"
        "hepatic_steatosis,Hepatic steatosis,liver,,absent,0.1,0.05,0.2,0.4,0.6,,\n"
        "cirrhosis,Cirrhosis,liver,,not_assessable,0.55,0.1,0.9,,,,The weights are not calibrated for this finding.\n"
        "liver_mass,Liver mass,liver,,uncertain,0.5,0.4,0.6,0.4,0.6,,\n"
        "kyphosis,Kyphosis,vertebrae_thoracic,,uncertain,0.5,0.4,0.6,0.4,0.6,,\n"
        "fracture,Fracture,sternum,,not_assessable,,,,,,,The findings model does not look at: Sternum.\n"
    )
    structures = {
        "liver": {"id": 5, "state": "present", "volume_ml": 1532.4, "centre_ras_mm": [60.0, 20.0, 10.0]},
        "kidney_left": {
            "id": 3, "state": "cut", "volume_ml": 89.3, "centre_ras_mm": [-60.0, -40.0, -50.0], "reason": "Cut.",
        },
        "vertebrae": {"id": 203, "state": "cut", "volume_ml": 500.0, "centre_ras_mm": [0.0, -60.0, 0.0]},
        "spleen": {"id": 1, "state": "outside"},
    }  # fmt: skip
    labels = [
        {
            "id": entry["id"], "name": name, "title": name.replace("_", " ").title(), "state": entry["state"],
            "colour": [1, 2, 3], "code": {"scheme": "SCT", "value": "1", "meaning": name}, "laterality": None,
            "parts": [],
        }
        for name, entry in structures.items()
    ]  # fmt: skip
    saliency = "saliency_renal_cyst_kidney_left.nii.gz"
    manifest = {
        "schema": "medfm.analysis.v1", "medfm": "0.1.0", "notice": "Research use only.", "created": "2026-01-01",
        "model": {"id": "segmenter.v1", "card_sha256": "ab"}, "run": {"device": "cpu"},
        "input": {"voxels_sha256": "cd"}, "warnings": [{"code": "x", "sentence": "The body is cut."}],
        "structures": structures, "files": {"findings.csv": "", saliency: "", "report.html": ""},
        "findings": {
            "model": {"id": "findings.v1"},
            "units": {"liver": {"state": "present"}, "kidney_left": {"state": "cut"}, "spleen": {"state": "outside"}},
        },
    }  # fmt: skip
    (folder / "findings.csv").write_text(findings, encoding="utf-8")
    (folder / "segmentation.json").write_text(json.dumps({"labels": labels}), encoding="utf-8")
    (folder / "analysis.json").write_text(json.dumps(manifest), encoding="utf-8")
    for name in (saliency, "report.html", "segmentation.nii.gz"):
        (folder / name).write_bytes(b"")
    return folder
