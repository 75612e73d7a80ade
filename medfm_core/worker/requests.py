"""What can be asked for: the arguments of each request, the lane that does it, and where its function lies.

No torch here.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from medfm_core.strict import from_dict, unknown_name
from medfm_core.worker.protocol import ProtocolError, Request
from medfm_core.worker.telling import Telling

Paths = str | tuple[str, ...]


@dataclass(frozen=True)
class ScanArguments:
    """A scan and how to read and compute it: the options of `medfm_core.analysis.Options`, by the same names.

    The last five are those of brain MRI (`medfm_core.brain_study.BrainOptions`), where `source` may list the scans of
    one study; `modality` says what the input is where its file does not.
    """

    source: Paths
    model: str | None = None
    findings_model: str | None = None
    findings: bool | None = None
    device: str | None = None
    series: str | None = None
    nifti_form: str = "auto"
    force: bool = False
    hu_offset: float = 0.0
    deterministic: bool = False
    threads: int | None = None
    modality: str | None = None
    sequences: tuple[str, ...] = ()
    register: bool = False
    strip: str | None = None
    template: str | None = None

    def __post_init__(self) -> None:
        if self.modality not in (None, "CT", "MR"):
            raise ValueError("modality must be CT or MR")


@dataclass(frozen=True)
class AnalyzeArguments(ScanArguments):
    """`medfm analyze`: `out` is the folder of results."""

    out: str = ""
    organs: tuple[str, ...] = ()
    saliency: tuple[str, ...] = ("present",)
    body_model: str | None = None
    overwrite: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        _need(self, "out")


@dataclass(frozen=True)
class IdentifyArguments:
    """A scan whose voxels are to be hashed as an analysis does."""

    source: Paths
    series: str | None = None
    nifti_form: str = "auto"


@dataclass(frozen=True)
class AskArguments:
    """`medfm ask` on a folder of results."""

    result: str
    organ: str
    phrase: str


@dataclass(frozen=True)
class EmbedArguments:
    """The embeddings of a result, or of a scan that has none yet, as one file: `out` ends in .csv or .npz."""

    out: str
    result: str | None = None
    scan: ScanArguments | None = None
    organ: str | None = None

    def __post_init__(self) -> None:
        if (self.result is None) == (self.scan is None):
            raise ValueError("either result or scan must be given")


@dataclass(frozen=True)
class SimilarArguments:
    """`medfm similar`: `folder` holds other results."""

    result: str
    folder: str
    organ: str | None = None
    top: int = 10


@dataclass(frozen=True)
class GridArguments:
    """The size of a scan that is in another program's memory: `(I, J, K)` voxels, mm, and bytes per voxel."""

    shape: tuple[int, int, int]
    spacing_mm: tuple[float, float, float]
    voxel_bytes: int = 2

    def __post_init__(self) -> None:
        if min(self.shape) < 2 or min(self.spacing_mm) <= 0 or self.voxel_bytes < 1:
            raise ValueError("shape must be at least 2, spacing_mm and voxel_bytes positive")


@dataclass(frozen=True)
class PlanArguments:
    """What an analysis of a scan would take: of a file or folder, of which the header is read, or of a grid.

    With a brain model: of a study of so many `scans`, of which this is one.
    """

    source: Paths | None = None
    grid: GridArguments | None = None
    model: str | None = None
    findings_model: str | None = None
    findings: bool | None = None
    series: str | None = None
    nifti_form: str = "auto"
    devices: tuple[str, ...] = ("cpu",)
    scans: int = 1
    register: bool = False
    strip: str | None = None

    def __post_init__(self) -> None:
        if (self.source is None) == (self.grid is None):
            raise ValueError("either source or grid must be given")


@dataclass(frozen=True)
class ModelArguments:
    """One model, by the id of its card or the path of its file."""

    model: str


@dataclass(frozen=True)
class PullArguments(ModelArguments):
    """A model whose files are to be fetched."""

    accept_licence: bool = False


@dataclass(frozen=True)
class ImportArguments(PullArguments):
    """A model whose files are to be taken from a folder, a zip or a file."""

    path: str = ""

    def __post_init__(self) -> None:
        _need(self, "path")


@dataclass(frozen=True)
class VerifyArguments:
    """One model; None for all that are here."""

    model: str | None = None


@dataclass(frozen=True)
class NoArguments:
    """A request that needs nothing."""


@dataclass(frozen=True)
class Kind:
    """A kind of request: its lane, its arguments, and "module:function" of what does it."""

    lane: str
    arguments: type
    place: str

    def function(self) -> Callable[[Any, Telling], dict[str, Any]]:
        """What does it; imported here and no sooner."""
        module, name = self.place.split(":")
        return getattr(importlib.import_module(f"medfm_core.worker.{module}"), name)


KINDS: Mapping[str, Kind] = {
    "analyze": Kind("compute", AnalyzeArguments, "computing:analyze"),
    "identify": Kind("compute", IdentifyArguments, "computing:identify"),
    "ask": Kind("compute", AskArguments, "computing:ask"),
    "embed": Kind("compute", EmbedArguments, "computing:embed"),
    "similar": Kind("compute", SimilarArguments, "computing:similar"),
    "pull": Kind("weights", PullArguments, "keeping:pull"),
    "import": Kind("weights", ImportArguments, "keeping:take_in"),
    "verify": Kind("weights", VerifyArguments, "keeping:verify"),
    "remove": Kind("weights", ModelArguments, "keeping:remove"),
    "plan": Kind("quick", PlanArguments, "looking:plan"),
    "models": Kind("quick", NoArguments, "looking:models"),
    "model": Kind("quick", ModelArguments, "looking:model"),
    "doctor": Kind("quick", NoArguments, "looking:doctor"),
}
OWN = ("cancel", "shutdown")  # what the supervisor does itself
LANES = tuple(dict.fromkeys(kind.lane for kind in KINDS.values()))


def kind_of(request: Request) -> Kind:
    """The kind of a request.

    Raises:
        ProtocolError: it is not known; the nearest is given.
    """
    if request.name not in KINDS:
        raise ProtocolError(
            unknown_name("request", request.name, [*KINDS, *OWN]), "see docs/worker.md", request_id=request.id
        )
    return KINDS[request.name]


def arguments_of(request: Request) -> Any:
    """The arguments of a request, checked.

    Raises:
        InputError: a key is unknown or missing, or a value is not of its kind.
    """
    return from_dict(kind_of(request).arguments, dict(request.arguments), f"the request {request.name!r}")


def _need(arguments: Any, name: str) -> None:
    if not getattr(arguments, name):
        raise ValueError(f"{name} must be given")
