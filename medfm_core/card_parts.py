"""The parts of a model card: plain frozen dataclasses, each checking its own values.

`medfm_core.strict` builds them from JSON and refuses what is not here; a check that fails raises ValueError with a
clause, to which the reader adds the card and the place.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import PurePosixPath

from medfm_core.card_sources import Conversion
from medfm_core.strict import nearest

SOURCES = {"shipped": (), "file": ("path",), "hub": ("repo",), "package": ("package",)}
ROLES = ("weights", "text", "text_encoder", "prompts", "tokenizer", "config", "whitening")
STITCHES = ("probabilities", "logits")
PRECISIONS = ("auto", "fp32", "bf16", "fp16")
REFINEMENTS = ("keep_body", "fill_lungs")
_SIZED = re.compile(r"(seconds_(?:cpu|cuda|mps)|ram_gb|vram_gb)_(\d+)x(\d+)x(\d+)")


def choose(what: str, value: str, allowed: tuple[str, ...] | Mapping) -> None:
    """Refuse a value that is not among the allowed ones, naming the nearest.

    Raises:
        ValueError: it is not.
    """
    if value not in allowed:
        raise ValueError(f"{what} {value!r} is not known{nearest(value, allowed)}")


def exactly(names: tuple[str, ...]) -> str:
    """The words for which keys a kind takes."""
    return f"exactly {', '.join(names)}" if names else "nothing more"


@dataclass(frozen=True)
class Architecture:
    """Which network of `medfm_core.models` to build; `options` are its own, the keys beside `name`."""

    name: str
    options: Mapping[str, object] = field(default_factory=dict, metadata={"rest": True})


@dataclass(frozen=True)
class WeightFile:
    """One file of a set of weights.

    Attributes:
        file: its name in the folder of the source, with "/" between folders.
        sha256: of its bytes, 64 hexadecimal digits; None for a file of the hub that is pinned at the first fetch.
        bytes: its size; None likewise.
        role: what it holds.
        converted: how the file is made of a published one, of which `sha256` and `bytes` then are.
    """

    file: str
    sha256: str | None = None
    bytes: int | None = None
    role: str = "weights"
    converted: Conversion | None = None

    def __post_init__(self) -> None:
        path = PurePosixPath(self.file)
        if not self.file or "\\" in self.file or ":" in self.file or path.is_absolute() or ".." in path.parts:
            raise ValueError(f"file {self.file!r} must be a relative name without '..', ':' or backslash")
        if self.sha256 is not None and not re.fullmatch("[0-9a-f]{64}", self.sha256):
            raise ValueError(f"sha256 of {self.file} must be 64 lower-case hexadecimal digits")
        if self.bytes is not None and self.bytes <= 0:
            raise ValueError(f"bytes of {self.file} must be positive")
        if (self.sha256 is None) != (self.bytes is None):
            raise ValueError(f"sha256 and bytes of {self.file} must both be given, or neither")
        choose("role", self.role, ROLES)
        if self.role == "weights" and path.suffix != ".safetensors":
            raise ValueError(f"weights must be a .safetensors file, not {self.file}")

    @property
    def published(self) -> str:
        """The name under which the owner publishes it."""
        return self.converted.file if self.converted else self.file


@dataclass(frozen=True)
class Source:
    """Where the files come from.

    Attributes:
        kind: "shipped" (Resources/weights), "file" (a folder), "hub" (the Hugging Face Hub) or "package" (a program of
            its own, which keeps its own weights).
        path: folder of a "file" source; a relative one starts at the card.
        repo: "owner/name" on the hub; "datasets/owner/name" for weights that lie in a data set's repository.
        revision: full commit, 40 hexadecimal digits; a branch could change under us. None for a repository that is
            pinned on each machine, at the first fetch, to what its main branch is then.
        gated: whether the owner must grant access first.
        access: how to get that access, one sentence.
        mirrors: other base addresses that hold the same files (https).
        package: name of the program's package.
    """

    kind: str
    path: str | None = None
    repo: str | None = None
    revision: str | None = None
    gated: bool = False
    access: str | None = None
    mirrors: tuple[str, ...] = ()
    package: str | None = None

    def __post_init__(self) -> None:
        choose("source kind", self.kind, SOURCES)
        for name in ("path", "repo", "package"):
            if (name in SOURCES[self.kind]) != (getattr(self, name) is not None):
                raise ValueError(f"a source of kind {self.kind!r} needs {exactly(SOURCES[self.kind])}; see {name!r}")
        if self.revision is not None and self.kind != "hub":
            raise ValueError(f"a source of kind {self.kind!r} has no revision")
        if self.repo is not None and not re.fullmatch(r"(datasets/)?\w[\w.-]*/\w[\w.-]*", self.repo):
            raise ValueError(f"repo {self.repo!r} must read owner/name, or datasets/owner/name")
        if self.revision is not None and not re.fullmatch("[0-9a-f]{40}", self.revision):
            raise ValueError(f"revision {self.revision!r} must be a full commit of 40 hexadecimal digits")
        if not all(address.startswith("https://") for address in self.mirrors):
            raise ValueError("mirrors must be https addresses")


@dataclass(frozen=True)
class InferenceSettings:
    """How to run it.

    Attributes:
        tile: sides of a tile in voxels, in the order of the net's axes (D, H, W).
        overlap: share of a tile that its neighbour covers too.
        batch: tiles at once.
        precision: "auto" lets a probe on the machine decide.
        zooms: each tile is also seen enlarged by these factors and the answers are averaged.
        refine: rules of `medfm_core.refinement` applied to the labels, in this order.
        stitch: what is averaged where tiles overlap: "probabilities", which then compete at the scan's resolution, or
            "logits", which compete on the model's grid, in tiles laid as MONAI's sliding window lays them.
    """

    tile: tuple[int, int, int] | None = None
    overlap: float = 0.5
    batch: int = 1
    precision: str = "auto"
    zooms: tuple[float, ...] = (1.0,)
    refine: tuple[str, ...] = ()
    stitch: str = "probabilities"

    def __post_init__(self) -> None:
        if not self.zooms or min(self.zooms) <= 0:
            raise ValueError(f"zooms {list(self.zooms)} must be positive, one at least")
        if not 0 <= self.overlap < 1:
            raise ValueError(f"overlap {self.overlap:g} must be at least 0 and below 1")
        if (self.tile and min(self.tile) <= 0) or self.batch <= 0:
            raise ValueError("tile and batch must be positive")
        choose("precision", self.precision, PRECISIONS)
        choose("stitch", self.stitch, STITCHES)
        if self.stitch == "logits" and (self.tile is None or self.zooms != (1.0,)):
            raise ValueError("stitch 'logits' needs a tile and no zooms")
        for rule in self.refine:
            choose("refine", rule, REFINEMENTS)


@dataclass(frozen=True)
class Needs:
    """What a machine must have for a usual volume; `sized` holds keys such as `seconds_cpu_512x512x133`."""

    ram_gb: float | None = None
    vram_gb: float | None = None
    disk_gb: float | None = None
    sized: Mapping[str, float] = field(default_factory=dict, metadata={"rest": True})

    def __post_init__(self) -> None:
        for key, value in self.sized.items():
            if not _SIZED.fullmatch(key):
                known = ("ram_gb", "vram_gb", "disk_gb", "seconds_cpu_512x512x133", "ram_gb_512x512x133")
                raise ValueError(f"the entry {key!r} is not known{nearest(key, known)}")
            if value <= 0:
                raise ValueError(f"{key} must be positive")
        if any(value is not None and value <= 0 for value in (self.ram_gb, self.vram_gb, self.disk_gb)):
            raise ValueError("ram_gb, vram_gb and disk_gb must be positive")

    def by_size(self, what: str) -> dict[tuple[int, int, int], float]:
        """The figures of one kind, e.g. "seconds_cpu", by volume shape."""
        found = ((_SIZED.fullmatch(key), value) for key, value in self.sized.items())
        return {(int(m[2]), int(m[3]), int(m[4])): value for m, value in found if m and m[1] == what}


@dataclass(frozen=True)
class Calibration:
    """From which score on a finding is called present, and below which absent; between the two it is uncertain.

    Attributes:
        absent_below: scores below it count as absent, 0 to 1.
        present_above: scores from it on count as present, 0 to 1.
        on: the data on which the two were chosen and the rest was measured.
        auroc: area under the curve there; None where it was not measured.
        positives: organs with the finding there.
        negatives: organs without it there.
    """

    absent_below: float
    present_above: float
    on: str
    auroc: float | None = None
    positives: int | None = None
    negatives: int | None = None

    def __post_init__(self) -> None:
        if not 0 <= self.absent_below <= self.present_above <= 1:
            raise ValueError(
                f"absent_below {self.absent_below:g} and present_above {self.present_above:g} must rise within [0, 1]"
            )
        if not self.on:
            raise ValueError("on must say on which data the calibration was made")
        if self.auroc is not None and not 0 <= self.auroc <= 1:
            raise ValueError(f"auroc {self.auroc:g} must lie in [0, 1]")
        if min(self.positives or 0, self.negatives or 0) < 0:
            raise ValueError("positives and negatives must not be negative")


@dataclass(frozen=True)
class Wordings:
    """How a model is asked whose owner asks otherwise than with the catalogue's sentences.

    Attributes:
        benchmark: whose column names name the findings in the sentences.
        positive: what says that a finding is there; "{}" stands for its name.
        negative: what says that it is not there.
    """

    benchmark: str
    positive: tuple[str, ...]
    negative: tuple[str, ...]

    def __post_init__(self) -> None:
        if not (self.positive and self.negative):
            raise ValueError("positive and negative must hold a sentence each")
        for sentence in (*self.positive, *self.negative):
            if sentence.count("{}") != 1:
                raise ValueError(f"{sentence!r} must hold {{}} once")
        if set(self.positive) & set(self.negative):
            raise ValueError("a sentence cannot be positive and negative")


@dataclass(frozen=True)
class Measured:
    """One measurement of the weights, with what it is worth beside it.

    Attributes:
        on: the data and how they were split.
        metric: its name, e.g. "dice".
        values: figure per class, or "mean".
        baselines: the same figures for other methods on the same data, by method.
        interval: 95 % interval per class, `(low, high)`.
        n: number of cases.
        note: what to know when reading it.
    """

    on: str
    metric: str
    values: Mapping[str, float]
    baselines: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    interval: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    n: int | None = None
    note: str = ""

    def __post_init__(self) -> None:
        if not (self.on and self.metric and self.values):
            raise ValueError("on, metric and values must not be empty")
        for key in itertools.chain(self.interval, *self.baselines.values()):
            if key not in self.values:
                raise ValueError(f"{key!r} has a baseline or interval but no value{nearest(key, self.values)}")
        for key, (low, high) in self.interval.items():
            if low > high:
                raise ValueError(f"the interval of {key!r} must rise")
