"""What the user chose, and what a run is asked for then."""

from __future__ import annotations

from dataclasses import dataclass

from .run_parts import RunOptions


@dataclass(frozen=True)
class Choices:
    """Settings of the machine and of the case alike; the last two are of brain MRI."""

    model: str = ""
    findings_model: str = ""
    device: str = "auto"
    findings: bool | None = None
    force: bool = False
    organs: tuple[str, ...] = ()
    keep_in: str = ""
    register: bool = False
    strip: bool = False

    def options(self, model: str, sequences: tuple[str, ...] = ()) -> RunOptions:
        """What a run is asked for.

        Args:
            model: that outlines organs, or for brains; "" for the default one.
            sequences: of the volumes, where these are brain MRI.
        """
        if sequences:
            brain = {"sequences": sequences, "register": self.register, "strip": self.strip}
            return RunOptions(self.device, model, keep_in=self.keep_in, **brain)
        return RunOptions(self.device, model, self.findings_model, self.findings, self.force, self.organs, self.keep_in)
