"""From a folder of results to the scene: which of the volumes each scan of it belongs to."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from .host import SceneHost, Volume
from .mr_sequence import scan_names
from .results import Result, ResultError
from .run_parts import provenance_of


def take_in(host: SceneHost, volumes: Sequence[Volume], sequences: Sequence[str], result: Result) -> dict[str, Volume]:
    """Take a result into the scene.

    Args:
        host: the scene.
        volumes: those that were analysed, the panel's input first.
        sequences: of the volumes, where these are brain MRI.
        result: what was found.

    Returns:
        The volume of each scan of a result of brain MRI, by the scan's name; empty for a result of CT.

    Raises:
        ResultError: it is another scan's, or damaged; then nothing of it is in the scene.
    """
    if not result.is_brain:
        host.import_result(volumes[0], result, provenance_of(result))
        return {}
    placed = _placed(volumes, tuple(sequences), result)
    host.import_brain(placed, result, provenance_of(result))
    return placed


def _placed(volumes: Sequence[Volume], sequences: tuple[str, ...], result: Result) -> Mapping[str, Volume]:
    """By name; a result of one scan belongs to the one volume that there is, whatever that is called."""
    names = [scan.name for scan in result.scans]
    if len(names) == len(volumes) == 1:
        return {names[0]: volumes[0]}
    known = dict(zip(scan_names(sequences), volumes, strict=False))
    placed = {name: known[name] for name in names if name in known}
    if not placed:
        raise ResultError(
            f"The result is of {', '.join(names)}; choose the volumes that were analysed, and what sequence each is."
        )
    return placed
