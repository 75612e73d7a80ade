"""One training patch from one labelled case: spatial and intensity augmentation, all drawn from the generator given."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import lru_cache

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from training.data.contrast import ContrastRandomisation, redraw_contrast
from training.data.labelled_case import IGNORE, LabelledCase

AIR_HU = -1024.0


@dataclass(frozen=True)
class SegmentationAugmentation:
    """Ranges of the augmentation; angles in degrees, lengths in mm.

    Attributes:
        rotation_deg: largest rotation about W (left-right), H (front-back) and D (head-feet) axes.
        scale: range of one zoom for all axes; `scale_axis` is drawn per axis on top.
        elastic_mm: largest standard deviation of the elastic displacement, at control points `elastic_step_mm` apart.
        slab_probability: share of samples cut to a slab along the body, as short scans are.
        circle_probability: share of samples with a round field of view that cuts the body.
        mirror_probability: share of samples mirrored left to right. Paired organs change their names with the side, so
            that a kidney is told by its place and look and not by the liver beside it.
    """

    rotation_deg: tuple[float, float, float] = (9.0, 9.0, 14.0)
    scale: tuple[float, float] = (0.78, 1.28)
    scale_axis: float = 0.12
    shear: float = 0.06
    elastic_mm: float = 9.0
    elastic_step_mm: float = 48.0
    slab_probability: float = 0.3
    slab_mm: tuple[float, float] = (36.0, 190.0)
    circle_probability: float = 0.12
    mirror_probability: float = 0.0
    noise_hu: tuple[float, float] = (0.0, 35.0)
    blur_probability: float = 0.35
    thick_probability: float = 0.25
    contrast: ContrastRandomisation = field(default_factory=ContrastRandomisation)


def sample_patch(
    case: LabelledCase,
    shape: tuple[int, int, int],
    spacing_mm: float,
    plan: SegmentationAugmentation,
    key: tuple[int, ...],
) -> tuple[Tensor, Tensor]:
    """Draw one augmented patch; a pure function of its arguments.

    Args:
        case: the labelled volume.
        shape: `(D, H, W)` of the patch.
        spacing_mm: voxel size of the patch.
        plan: ranges of the augmentation.
        key: integers such as (seed, step, sample) that name the draw.

    Returns:
        HU `(D, H, W)` float32 and classes `(D, H, W)` int64, 255 where nothing is to be learnt.
    """
    rng = np.random.default_rng(key)
    points = _patch_points(case, shape, spacing_mm, plan, rng)
    size = torch.tensor(case.hu.shape, dtype=torch.float32)
    grid = (points.flip(-1) * 2 + 1) / size.flip(0) - 1
    image = torch.from_numpy(case.hu)[None, None].float().sub_(AIR_HU)
    hu = functional.grid_sample(image, grid[None], "bilinear", "zeros", align_corners=False)[0, 0].add_(AIR_HU)
    labels = torch.from_numpy(case.classes)[None, None].float()
    classes = functional.grid_sample(labels, grid[None], "nearest", "zeros", align_corners=False)[0, 0].long()
    inside = ((points > -0.5) & (points < size - 0.5)).all(-1)
    hu = _redraw(hu, classes, case, plan, rng)
    hu = _acquire(hu, spacing_mm, plan, rng)
    hu, inside = _truncate(hu, inside, spacing_mm, plan, rng)
    classes[~inside] = IGNORE
    hu[~inside] = AIR_HU
    if plan.mirror_probability > 0 and rng.random() < plan.mirror_probability:
        return hu.flip(-1), mirror_table(plan.contrast.names)[classes].flip(-1)
    return hu, classes


@lru_cache(maxsize=4)
def mirror_table(names: tuple[str, ...]) -> Tensor:
    """Class that each class becomes in a mirrored body, `(256,)` int64; unpaired organs stay what they are.

    Args:
        names: vocabulary names in channel order, from channel 1.
    """
    table = torch.arange(256)
    channel = {name: number for number, name in enumerate(names, start=1)}
    for name, number in channel.items():
        side = "left" if name.endswith("_left") else "right"
        partner = name.removesuffix(f"_{side}") + ("_right" if side == "left" else "_left")
        # The left lung has no middle lobe: its counterpart, the lingula, is part of the upper one.
        partner = "lung_upper_lobe_left" if name == "lung_middle_lobe_right" else partner
        table[number] = channel.get(partner, number)
    return table


def _patch_points(
    case: LabelledCase,
    shape: tuple[int, int, int],
    spacing_mm: float,
    plan: SegmentationAugmentation,
    rng: np.random.Generator,
) -> Tensor:
    """Where the patch's voxels lie in the case, `(D, H, W, 3)` in its voxels."""
    extent = np.array(case.hu.shape) * case.spacing_mm
    patch = np.array(shape) * spacing_mm
    zoom = rng.uniform(*plan.scale) * (1 + rng.uniform(-plan.scale_axis, plan.scale_axis, 3))
    slack = np.maximum(extent - patch / zoom, 0) / 2 + 0.12 * patch
    # Along the body the centre is uniform over the scan; across it the patch nearly always covers the whole section.
    centre = extent / 2 + rng.uniform(-1, 1, 3) * slack
    matrix = _rotation(np.deg2rad(rng.uniform(-1, 1, 3) * plan.rotation_deg)) @ np.diag(1 / zoom)
    matrix = matrix @ (np.eye(3) + rng.uniform(-plan.shear, plan.shear, (3, 3)))
    axes = [(torch.arange(n, dtype=torch.float32) - (n - 1) / 2) * spacing_mm for n in shape]
    mm = torch.stack(torch.meshgrid(*axes, indexing="ij"), dim=-1)
    points = mm.reshape(-1, 3) @ torch.from_numpy(matrix.T.astype(np.float32))
    points = points.reshape(mm.shape) + _elastic(shape, spacing_mm, plan, rng)
    spacing = torch.tensor(case.spacing_mm, dtype=torch.float32)
    return (points + torch.from_numpy(centre.astype(np.float32))) / spacing - 0.5


def _rotation(angles: np.ndarray) -> np.ndarray:
    """Rotation matrix in (D, H, W) axes from angles about W, H and D."""
    (cw, ch, cd), (sw, sh, sd) = np.cos(angles), np.sin(angles)
    about_w = np.array([[cw, -sw, 0], [sw, cw, 0], [0, 0, 1]])
    about_h = np.array([[ch, 0, -sh], [0, 1, 0], [sh, 0, ch]])
    about_d = np.array([[1, 0, 0], [0, cd, -sd], [0, sd, cd]])
    return about_w @ about_h @ about_d


def _elastic(
    shape: tuple[int, int, int], spacing_mm: float, plan: SegmentationAugmentation, rng: np.random.Generator
) -> Tensor:
    """A smooth displacement `(D, H, W, 3)` in mm: a broad one and a finer one of a third of its size."""
    total = torch.zeros(1, 3, *shape)
    amplitude = rng.uniform(0, plan.elastic_mm)
    for step, share in ((plan.elastic_step_mm, 1.0), (plan.elastic_step_mm / 2, 0.35)):
        nodes = [max(3, round(n * spacing_mm / step) + 2) for n in shape]
        field_mm = torch.from_numpy(rng.standard_normal((1, 3, *nodes), dtype=np.float32)) * float(amplitude * share)
        smooth = functional.avg_pool3d(functional.pad(field_mm, (1,) * 6, mode="replicate"), 3, stride=1) * 2.0
        total += functional.interpolate(smooth, size=shape, mode="trilinear", align_corners=False)
    return total[0].permute(1, 2, 3, 0)


def _redraw(
    hu: Tensor, classes: Tensor, case: LabelledCase, plan: SegmentationAugmentation, rng: np.random.Generator
) -> Tensor:
    shifts = plan.contrast.draw_shifts(rng, case.means_hu)
    stretch = rng.uniform(*plan.contrast.stretch, len(shifts)).astype(np.float32)
    stretch[0] = 1.0
    index = torch.where(classes == IGNORE, 0, classes)
    means = torch.from_numpy(np.nan_to_num(case.means_hu))
    return redraw_contrast(hu, index, means, torch.from_numpy(shifts), torch.from_numpy(stretch))


def _acquire(hu: Tensor, spacing_mm: float, plan: SegmentationAugmentation, rng: np.random.Generator) -> Tensor:
    """Change what the scanner did: thickness, kernel, noise, calibration."""
    if rng.random() < plan.thick_probability:
        depth = int(rng.integers(2, 4))
        hu = functional.avg_pool3d(
            functional.pad(hu[None, None], (0, 0, 0, 0, 0, depth - 1), mode="replicate"), (depth, 1, 1), stride=1
        )[0, 0]
    if rng.random() < plan.blur_probability:
        hu = torch.lerp(
            hu,
            functional.avg_pool3d(hu[None, None], 3, stride=1, padding=1, count_include_pad=False)[0, 0],
            float(rng.uniform(0.2, 1.0)),
        )
    generator = torch.Generator().manual_seed(int(rng.integers(2**62)))
    noise = torch.randn(hu.shape, generator=generator)
    if rng.random() < 0.5:
        noise = functional.avg_pool3d(noise[None, None], (1, 3, 3), stride=1, padding=(0, 1, 1))[0, 0] * 2.0
    hu = hu + noise * float(rng.uniform(*plan.noise_hu) * rng.random())
    return hu * float(rng.uniform(0.95, 1.05)) + float(rng.uniform(-15, 15))


def _truncate(
    hu: Tensor, inside: Tensor, spacing_mm: float, plan: SegmentationAugmentation, rng: np.random.Generator
) -> tuple[Tensor, Tensor]:
    """Cut the patch as scans are cut: to a slab along the body, to a circle across it."""
    depth, height, width = hu.shape
    if rng.random() < plan.slab_probability:
        thickness = max(4, round(rng.uniform(*plan.slab_mm) / spacing_mm))
        covered = inside.flatten(1).any(1).nonzero()[:, 0]
        first, last = (int(covered[0]), int(covered[-1])) if len(covered) else (0, depth - 1)
        start = int(rng.integers(first, max(first, last - thickness) + 1))
        inside = inside.clone()
        inside[:start] = False
        inside[start + thickness :] = False
    if rng.random() < plan.circle_probability:
        radius = rng.uniform(0.36, 0.6) * max(height, width)
        y = torch.arange(height)[:, None] - height / 2 - rng.uniform(-0.1, 0.1) * height
        x = torch.arange(width)[None] - width / 2 - rng.uniform(-0.1, 0.1) * width
        inside = inside & ((x**2 + y**2) < radius**2)[None]
    return hu, inside
