"""The errors a user can meet: each says what is wrong, where, and what to do.

Library code raises these and never prints or exits; the command line turns them into one sentence and an exit code:

| code | meaning |
|---|---|
| 0 | done |
| 1 | the run failed (a defect of ours, or a result that could not be made) |
| 2 | the input or the command is wrong: another input is needed |
| 3 | the machine lacks something: weights, memory, disk, device, network |
"""

from __future__ import annotations


class MedFMError(Exception):
    """A failure with a sentence for the user.

    Args:
        what: what is wrong and where, without a final full stop.
        fix: what to do about it, an imperative clause without a final full stop.
    """

    exit_code = 1

    def __init__(self, what: str, fix: str = "") -> None:
        self.what = what.rstrip(".")
        self.fix = fix.rstrip(".")
        super().__init__(str(self))

    def __str__(self) -> str:
        return f"{self.what}; {self.fix}." if self.fix else f"{self.what}."


class InputError(MedFMError):
    """A file, series, value or argument that cannot be used."""

    exit_code = 2


class GeometryError(InputError):
    """An input whose position, spacing or orientation cannot be trusted."""


class ModalityError(InputError):
    """An input of a kind that the model was not made for."""


class WeightsError(MedFMError):
    """Weights or a model card that are missing, damaged or of another architecture."""

    exit_code = 3


class ResourceError(MedFMError):
    """Too little memory, disk or time, or a device that is not there."""

    exit_code = 3
