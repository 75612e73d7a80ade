"""From a head as it was scanned to a brain as the network expects it: stripped of its skull, in the template's space.

Both steps are optional. Stripping needs HD-BET or SynthStrip, registration a template.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from medfm_core.brain_registration import Registration, register, to_template
from medfm_core.brain_template import find_template, read_template
from medfm_core.progress import SILENT, Progress
from medfm_core.skull_stripping import Stripper, find_stripper, strip_skull
from medfm_core.volume import Volume


@dataclass(frozen=True, eq=False)
class StandardPlan:
    """What is done to a scan before it is encoded.

    Attributes:
        stripper: takes the skull away; None to leave it.
        template: what it is registered to; None for not at all.
        template_name: of the template's file.
    """

    stripper: Stripper | None = None
    template: Volume | None = None
    template_name: str = ""


@dataclass(frozen=True, eq=False)
class StandardBrain:
    """A scan after these steps.

    Attributes:
        image: on the template's grid where it was registered, else on its own.
        stripped: the same before registration, on the scan's own grid.
        registration: how the two spaces lie; None where it was not registered.
    """

    image: Volume
    stripped: Volume
    registration: Registration | None = None

    @property
    def to_scan(self) -> np.ndarray | None:
        """`(4, 4)` from the image's space to the scan's own, RAS+ mm; None where they are one."""
        return None if self.registration is None else self.registration.to_scan


def standard_plan(strip: str | None = None, is_registered: bool = False, template: str | None = None) -> StandardPlan:
    """Find the tools and the template that are asked for, before anything is computed.

    Args:
        strip: a tool of `skull_stripping.TOOLS`, "auto", or None for none.
        is_registered: whether scans are to be registered.
        template: its file; None to look for one.

    Raises:
        InputError: there is no such tool, no template, or it is none.
        ResourceError: the tool is not installed.
    """
    stripper = None if strip is None else find_stripper(strip)
    if not is_registered:
        return StandardPlan(stripper)
    path = find_template(template)
    return StandardPlan(stripper, read_template(path), path.name)


def to_standard(scan: Volume, plan: StandardPlan, progress: Progress = SILENT) -> StandardBrain:
    """Strip and register a scan, as far as the plan says.

    Args:
        scan: as read.
        plan: from `standard_plan`.
        progress: told of the steps; may cancel.

    Raises:
        InputError: no brain was found, or it cannot be registered.
        ResourceError: the tool failed.
    """
    stripped = scan if plan.stripper is None else strip_skull(scan, plan.stripper, progress)
    if plan.template is None:
        return StandardBrain(stripped, stripped)
    with progress.stage(f"Register to {plan.template_name}"):
        found = register(stripped, plan.template)
        return StandardBrain(to_template(stripped, found, plan.template), stripped, found)
