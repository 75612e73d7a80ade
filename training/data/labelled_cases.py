"""Data source of the organ segmenter: augmented patches of real, pseudo-labelled and virtual patients."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from torch import Tensor

from medfm_core.card_inputs import InputSpec, Intensity, Window
from medfm_core.errors import InputError
from medfm_core.preprocessing import to_channels
from medfm_core.progress import RichProgress
from training.data.labelled_case import LabelledCase, load_case
from training.data.segmentation_augmentation import SegmentationAugmentation, sample_patch
from training.data.segmenter_cases import read_case_list, real_case, virtual_cases
from training.engine.draw import DrawKey

# The trunk, as the shipped segmenter sees it; channel 1 is the first.
TRUNK = (
    "spleen", "kidney_right", "kidney_left", "gallbladder", "liver", "stomach", "pancreas", "adrenal_gland_right",
    "adrenal_gland_left", "lung_upper_lobe_left", "lung_lower_lobe_left", "lung_upper_lobe_right",
    "lung_middle_lobe_right", "lung_lower_lobe_right", "esophagus", "trachea", "small_bowel", "duodenum", "colon",
    "urinary_bladder", "sacrum", "vertebrae", "heart", "aorta", "inferior_vena_cava", "portal_vein_and_splenic_vein",
    "spinal_cord", "hip_left", "hip_right", "femur_left", "femur_right", "autochthon_left", "autochthon_right",
    "iliopsoas_left", "iliopsoas_right", "gluteal_muscles", "ribs", "sternum", "shoulder_girdle",
)  # fmt: skip
CASES = Path(__file__).parents[1] / "recipes" / "segmenter" / "cases.csv"


def ct_input() -> InputSpec:
    """CT at 3 mm in two windows: everything from air to bone, and soft tissue."""
    windows = (Window(0.0, 2000.0), Window(40.0, 400.0))
    return InputSpec(("CT",), Intensity("windows", to=(-1.0, 1.0), windows=windows), spacing_mm=(3.0, 3.0, 3.0))


@dataclass(frozen=True)
class LabelledCasesConfig:
    """Where the patients come from, and what a patch is.

    Attributes:
        classes: vocabulary names in channel order, from channel 1.
        folder: folder that the case list's paths start from; None for no real patients.
        cases: case list (CSV); None for the shipped one.
        leave_out: name of a case that the run must not see.
        real: share of patches from real patients.
        pseudo: share of patches from patients labelled by an earlier net; the rest is virtual.
        pseudo_folder: folder of cases that `training.pseudo_label` wrote.
        virtual_folder: folder of virtual patients; those missing are made there.
        virtual_patients: how many virtual patients.
        patch: `(D, H, W)` in voxels.
        spacing_mm: voxel size of the patches; coarse ones show more anatomy per second.
        input: what the net is given; cases lie on its grid.
        augmentation: how patches are varied.
    """

    classes: tuple[str, ...] = TRUNK
    folder: str | None = None
    cases: str | None = None
    leave_out: str | None = None
    real: float = 0.5
    pseudo: float = 0.0
    pseudo_folder: str | None = None
    virtual_folder: str = "runs/virtual-patients"
    virtual_patients: int = 0
    patch: tuple[int, int, int] = (64, 96, 128)
    spacing_mm: float = 3.0
    input: InputSpec = field(default_factory=ct_input)
    augmentation: SegmentationAugmentation = field(default_factory=SegmentationAugmentation)

    def __post_init__(self) -> None:
        """Tell the contrast randomisation which organ each channel is: without names it would move nothing."""
        if not self.augmentation.contrast.names:
            contrast = replace(self.augmentation.contrast, names=self.classes)
            object.__setattr__(self, "augmentation", replace(self.augmentation, contrast=contrast))


class LabelledCases:
    """Patches by group share; see `LabelledCasesConfig`.

    Raises:
        InputError: a file is missing, a case to be left out is not in the list, or there is nothing to train on.
    """

    def __init__(self, config: LabelledCasesConfig) -> None:
        self.config = config
        groups = {"real": self._real(), "pseudo": self._pseudo(), "virtual": self._virtual()}
        shares = {"real": config.real, "pseudo": config.pseudo, "virtual": max(0.0, 1 - config.real - config.pseudo)}
        self.cases: list[LabelledCase] = []
        self._groups: list[tuple[int, int, float]] = []
        for name, cases in groups.items():
            if cases and shares[name] > 0:
                self._groups.append((len(self.cases), len(cases), shares[name]))
                self.cases += cases
        if not self.cases:
            raise InputError("there is nothing to train on", "give data.folder, or data.virtual_patients and its share")

    def __len__(self) -> int:
        """How many cases there are."""
        return len(self.cases)

    def item_at(self, key: DrawKey) -> int:
        """Choose a group by its share, and a case of it evenly; groups without cases are passed over."""
        rng = key.rng("case")
        shares = np.array([share for _, _, share in self._groups])
        first, count, _ = self._groups[int(rng.choice(len(shares), p=shares / shares.sum()))]
        return first + int(rng.integers(count))

    def sample(self, item: int, key: DrawKey) -> dict[str, Tensor]:
        """Draw a patch: `image` `(C, D, H, W)` float32 and `classes` `(D, H, W)` int64, 255 where unknown."""
        config = self.config
        where = (key.seed, key.position)
        hu, classes = sample_patch(self.cases[item], config.patch, config.spacing_mm, config.augmentation, where)
        return {"image": to_channels(hu, config.input.intensity), "classes": classes}

    def _real(self) -> list[LabelledCase]:
        config = self.config
        if config.folder is None:
            return []
        listed = read_case_list(Path(config.cases) if config.cases else CASES, Path(config.folder))
        if config.leave_out and config.leave_out not in {case.name for case in listed}:
            raise InputError(f"no case is called {config.leave_out!r}", "name one of the case list")
        kept = [case for case in listed if case.role == "real" and case.name != config.leave_out]
        return [real_case(case, config.classes, config.input) for case in kept]

    def _pseudo(self) -> list[LabelledCase]:
        folder = self.config.pseudo_folder
        return [load_case(path) for path in sorted(Path(folder).glob("*.npz"))] if folder else []

    def _virtual(self) -> list[LabelledCase]:
        config = self.config
        if not config.virtual_patients:
            return []
        folder = Path(config.virtual_folder)
        return virtual_cases(config.virtual_patients, config.classes, config.input, folder, progress=RichProgress())
