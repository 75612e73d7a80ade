"""What can go wrong between a folder of results and the scene, as a sentence for the user."""

from __future__ import annotations

from .results import ResultError


class SceneError(ResultError):
    """A result that cannot be shown over a volume.

    Args:
        what: what is wrong and where, without a final full stop.
        fix: what to do about it, an imperative clause without a final full stop.
    """

    def __init__(self, what: str, fix: str = "") -> None:
        super().__init__(f"{what}; {fix}." if fix else f"{what}.")
