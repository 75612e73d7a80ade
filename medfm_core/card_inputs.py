"""What a model card says of the network's input: intensities, grid, and how organs are cut out."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import dataclass, field

from medfm_core.card_body import OrganSource
from medfm_core.card_parts import choose, exactly

MODALITIES = ("CT", "MR", "PT", "CR", "DX", "US", "OT")
SPACING_RULES = ("exact", "at_least", "native")
RESAMPLINGS = ("antialiased", "linear", "first_to_last", "face_to_face")
CROPS = ("body", "none", "positive")
INTENSITIES = {
    "clip_scale": ("hu", "to"),
    "clip_zscore": ("hu", "mean", "std"),
    "windows": ("windows", "to"),
    "percentiles": ("percentiles", "to"),
    "zscore": (),
    "zscore_minmax": ("to",),
    "none": (),
}
WHOLE_SCAN = "whole_scan"
ORIENTATIONS = tuple(
    "".join(codes) for order in itertools.permutations(("LR", "PA", "SI")) for codes in itertools.product(*order)
)


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
    | zscore | subtract the mean and divide by the standard deviation of the voxels that are not 0, which stay 0 |
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
                raise ValueError(f"intensity {self.kind!r} needs {exactly(INTENSITIES[self.kind])}; see {name!r}")
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
            the spacing allows, as MONAI's Spacing does; "face_to_face", for whole scans, clips first, then picks
            likewise on as many whole voxels as fit, stretched to fill the scan, as torch's interpolate does; for a
            model of brains, with the spacing rule "native", the whole scan is stretched to `size`.
        crop: what a segmenter leaves away before it looks: "body" all around the body, "positive" all around what is
            above 0 HU, on its own grid and with 10 voxels to spare, "none" nothing.
        organs: how organs are cut out, for models that take one at a time.
        by_modality: rule for voxel values of some modalities, instead of `intensity`; all make as many channels.
        body: for models of whole bodies, by organ where its values come from; what is not here cannot be filled in.
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
    body: Mapping[str, OrganSource] = field(default_factory=dict, hash=False, metadata={"sparse": True})

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
        if self.resampling == "face_to_face" and not (self._is_whole_ct or self._is_stretched):
            what = "models of whole scans that clip HU, or that have a size and native spacing"
            raise ValueError(f"resampling 'face_to_face' belongs to {what}")
        if self.organs is not None and self.size is None:
            raise ValueError("size must say to which size organs are brought")
        if (self.spacing_mm is None) != (self.spacing_rule == "native"):
            raise ValueError('spacing_mm must be given, or the spacing_rule be "native"')
        if self.spacing_mm and min(self.spacing_mm) <= 0:
            raise ValueError(f"spacing_mm {list(self.spacing_mm)} must be positive")
        if self.size and min(self.size) <= 0:
            raise ValueError(f"size {list(self.size)} must be positive")

    @property
    def _is_whole_ct(self) -> bool:
        return bool(self.organs and self.organs.whole and self.intensity.hu)

    @property
    def _is_stretched(self) -> bool:
        """Whether the scan is brought to a size as a whole, whatever its spacing."""
        return self.organs is None and self.size is not None and self.spacing_rule == "native"

    def intensity_of(self, modality: str | None) -> Intensity:
        """How voxel values of a modality are prepared; None for one that is not known."""
        return self.by_modality.get(modality or "", self.intensity)
