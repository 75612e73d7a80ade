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

MODALITIES = ("CT", "MR", "PT", "CR", "DX", "US", "OT")
SOURCES = {"shipped": (), "file": ("path",), "hub": ("repo",), "package": ("package",)}
ROLES = ("weights", "text", "text_encoder", "prompts", "tokenizer", "config")
SPACING_RULES = ("exact", "at_least", "native")
RESAMPLINGS = ("antialiased", "linear", "first_to_last")
CROPS = ("body", "none", "positive")
STITCHES = ("probabilities", "logits")
INTENSITIES = {
    "clip_scale": ("hu", "to"),
    "clip_zscore": ("hu", "mean", "std"),
    "windows": ("windows", "to"),
    "percentiles": ("percentiles", "to"),
    "zscore": (),
    "zscore_minmax": ("to",),
    "none": (),
}
PRECISIONS = ("auto", "fp32", "bf16", "fp16")
REFINEMENTS = ("keep_body", "fill_lungs")
WHOLE_SCAN = "whole_scan"
ORIENTATIONS = tuple(
    "".join(codes) for order in itertools.permutations(("LR", "PA", "SI")) for codes in itertools.product(*order)
)
_SIZED = re.compile(r"(seconds_(?:cpu|cuda|mps)|ram_gb|vram_gb)_(\d+)x(\d+)x(\d+)")


def choose(what: str, value: str, allowed: tuple[str, ...] | Mapping) -> None:
    """Refuse a value that is not among the allowed ones, naming the nearest.

    Raises:
        ValueError: it is not.
    """
    if value not in allowed:
        raise ValueError(f"{what} {value!r} is not known{nearest(value, allowed)}")


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
        repo: "owner/name" on the hub.
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
                raise ValueError(f"a source of kind {self.kind!r} needs {_list(SOURCES[self.kind])}; see {name!r}")
        if self.revision is not None and self.kind != "hub":
            raise ValueError(f"a source of kind {self.kind!r} has no revision")
        if self.repo is not None and not re.fullmatch(r"\w[\w.-]*/\w[\w.-]*", self.repo):
            raise ValueError(f"repo {self.repo!r} must read owner/name")
        if self.revision is not None and not re.fullmatch("[0-9a-f]{40}", self.revision):
            raise ValueError(f"revision {self.revision!r} must be a full commit of 40 hexadecimal digits")
        if not all(address.startswith("https://") for address in self.mirrors):
            raise ValueError("mirrors must be https addresses")


@dataclass(frozen=True)
class Window:
    """A display window in HU."""

    level: float
    width: float

    def __post_init__(self) -> None:
        if self.width <= 0:
            raise ValueError(f"window width {self.width} must be positive")


@dataclass(frozen=True)
class Intensity:
    """How voxel values become network input.

    | kind | what happens |
    |---|---|
    | clip_scale | clip to `hu`, scale linearly to `to` |
    | clip_zscore | clip to `hu`, subtract `mean`, divide by `std` |
    | windows | one channel per window, each scaled to `to` |
    | percentiles | clip to two percentiles of the volume, scale to `to` |
    | zscore | subtract the volume's mean, divide by its standard deviation, over its foreground |
    | zscore_minmax | zscore over the voxels that are not 0, which stay 0; then scale least and largest to `to` |
    | none | as it is |
    """

    kind: str
    hu: tuple[float, float] | None = None
    to: tuple[float, float] | None = None
    windows: tuple[Window, ...] | None = None
    percentiles: tuple[float, float] | None = None
    mean: float | None = None
    std: float | None = None

    def __post_init__(self) -> None:
        choose("intensity kind", self.kind, INTENSITIES)
        for name in ("hu", "to", "windows", "percentiles", "mean", "std"):
            if (name in INTENSITIES[self.kind]) != (getattr(self, name) is not None):
                raise ValueError(f"intensity {self.kind!r} needs {_list(INTENSITIES[self.kind])}; see {name!r}")
        for name in ("hu", "to", "percentiles"):
            low, high = getattr(self, name) or (0, 1)
            if low >= high:
                raise ValueError(f"{name} [{low:g}, {high:g}] must rise")
        if self.std is not None and self.std <= 0:
            raise ValueError(f"std {self.std:g} must be positive")
        if self.windows == ():
            raise ValueError("windows must not be empty")


@dataclass(frozen=True)
class OrganCrop:
    """How one organ is cut out of a volume on the model's grid and brought to `InputSpec.size`.

    The box is tight along the axis of the slices. Within the slices, a side of the organ's box that is shorter than
    `shortest` grows to it, one longer than `longest` loses both ends, and an image not wider than `shortest` is taken
    whole. What lies around the organ stays in the picture.

    Attributes:
        units: what gets one crop: a name and the structures of the vocabulary that it is made of; empty for every
            structure by itself.
        shortest: voxels of the grid.
        longest: voxels of the grid.
        section_mm: units that are cut into sections along the body's axis, none longer than this.
        mask: whether a last channel marks the organ.
        extremes: whether every window is also shown at the brightest and at the darkest HU of each voxel's share of
            the crop, which a smaller picture no longer shows.
        densities: shares of the organ's voxels, e.g. 0.5 for its median HU: the HU below which so many lie are told
            beside the organ's size, through every window.
        whole: whether the model looks at the scan as one unit, `WHOLE_SCAN`, and nothing is cut out.

    Source: TotalFM spec, section 1.5, whose values are the defaults; sections, mask, extremes and densities are ours.
    """

    units: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    shortest: int = 192
    longest: int = 448
    section_mm: Mapping[str, float] = field(default_factory=dict)
    mask: bool = False
    extremes: bool = False
    densities: tuple[float, ...] = ()
    whole: bool = False

    def __post_init__(self) -> None:
        if self.whole and (self.units or self.section_mm or self.mask or self.extremes or self.densities):
            raise ValueError("a model of the whole scan has no units, sections, mask, extremes or densities")
        if any(not 0 <= share <= 1 for share in self.densities):
            raise ValueError(f"densities {list(self.densities)} must lie from 0 to 1")
        if not 0 < self.shortest <= self.longest:
            raise ValueError(f"shortest {self.shortest} must be positive and at most longest {self.longest}")
        for name, members in self.units.items():
            if not members:
                raise ValueError(f"the unit {name!r} has no structures")
        for name, length in self.section_mm.items():
            if length <= 0 or (self.units and name not in self.units):
                raise ValueError(f"section_mm: {name!r} must be a unit and its length positive")


@dataclass(frozen=True)
class InputSpec:
    """What goes in, and how it is prepared; training and inference read it here.

    Attributes:
        modality: of `MODALITIES`.
        intensity: how voxel values are prepared.
        orientation: axis codes of the array, e.g. "LPS" (first axis grows towards Left); None for as it is stored.
        spacing_mm: voxel spacing in the order of the array's axes; None with the rule "native".
        spacing_rule: "exact" resamples to it, "at_least" only what is finer, "native" nothing.
        size: voxels that the network takes, where it is fixed.
        sequences: MR sequences it takes, e.g. "T1w"; empty for any.
        regions: body regions it was made for, e.g. "chest"; empty for any.
        resampling: "antialiased" averages where it shrinks, around the same centre; "linear" picks between the nearest
            voxels, from the same first voxel; "first_to_last" too, and lays the last voxel as near the last one as
            the spacing allows, as MONAI's Spacing does.
        crop: what a segmenter leaves away before it looks: "body" all around the body, "positive" all around what is
            above 0 HU, on its own grid and with 10 voxels to spare, "none" nothing.
        organs: how organs are cut out, for models that take one at a time.
        by_modality: rule for voxel values of some modalities, instead of `intensity`; all make as many channels.
    """

    modality: tuple[str, ...]
    intensity: Intensity
    orientation: str | None = "LPS"
    spacing_mm: tuple[float, float, float] | None = None
    spacing_rule: str = "exact"
    size: tuple[int, int, int] | None = None
    sequences: tuple[str, ...] = ()
    regions: tuple[str, ...] = ()
    resampling: str = "antialiased"
    crop: str = "body"
    organs: OrganCrop | None = None
    by_modality: Mapping[str, Intensity] = field(default_factory=dict, hash=False, metadata={"sparse": True})

    def __post_init__(self) -> None:
        if not self.modality:
            raise ValueError("modality must not be empty")
        for modality in (*self.modality, *self.by_modality):
            choose("modality", modality, MODALITIES)
        if len({len(rule.windows or (rule,)) for rule in (self.intensity, *self.by_modality.values())}) > 1:
            raise ValueError("intensity and by_modality must all make as many channels")
        if self.orientation is not None:
            choose("orientation", self.orientation, ORIENTATIONS)
        choose("spacing_rule", self.spacing_rule, SPACING_RULES)
        choose("resampling", self.resampling, RESAMPLINGS)
        choose("crop", self.crop, CROPS)
        if self.organs is not None and self.size is None:
            raise ValueError("size must say to which size organs are brought")
        if (self.spacing_mm is None) != (self.spacing_rule == "native"):
            raise ValueError('spacing_mm must be given, or the spacing_rule be "native"')
        if self.spacing_mm and min(self.spacing_mm) <= 0:
            raise ValueError(f"spacing_mm {list(self.spacing_mm)} must be positive")
        if self.size and min(self.size) <= 0:
            raise ValueError(f"size {list(self.size)} must be positive")

    def intensity_of(self, modality: str | None) -> Intensity:
        """How voxel values of a modality are prepared; None for one that is not known."""
        return self.by_modality.get(modality or "", self.intensity)


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


def _list(names: tuple[str, ...]) -> str:
    return f"exactly {', '.join(names)}" if names else "nothing more"
