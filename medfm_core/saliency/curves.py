"""Deletion and insertion: does the score fall fast when what is marked goes, and rise fast when it comes first?"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

from medfm_core.errors import InputError
from medfm_core.layers.patches import patch_grid
from medfm_core.models.totalfm import ImageEncoder
from medfm_core.saliency.fills import blurred
from medfm_core.saliency.quiet import quiet
from medfm_core.saliency.targets import Target, check_volume, score_volumes


@dataclass(frozen=True)
class CurveSettings:
    """How the curves are measured.

    Attributes:
        steps: parts in which the patches go or come.
        random_orders: random orders to compare with.
        seed: of the random orders.
        blur_patches: standard deviation, in patches, of the blurred volume that stands for "nothing"; wide, since a
            weakly blurred lesion still looks like one.
        batch_size: volumes encoded at a time.
        image_channels: how many channels, the first ones, come and go; the others, such as an organ's mask, stay. None
            for all.
    """

    steps: int = 16
    random_orders: int = 8
    seed: int = 0
    blur_patches: float = 4.0
    batch_size: int = 8
    image_channels: int | None = None

    def __post_init__(self) -> None:
        if min(self.steps, self.random_orders, self.batch_size) < 1 or not self.blur_patches > 0:
            raise ValueError("steps, random_orders, batch_size and blur_patches must be above 0")


@dataclass(frozen=True)
class DeletionInsertion:
    """Scores while patches go and come, beside random orders.

    Attributes:
        shares: of patches gone or come, from 0 to 1.
        deletion: score after the most salient patches have gone, per share; low and early is good.
        insertion: score after the most salient patches have come to the blurred volume, per share; high is good.
        random_areas: area under the curve of each random order; by symmetry they hold for both.
    """

    shares: tuple[float, ...]
    deletion: tuple[float, ...]
    insertion: tuple[float, ...]
    random_areas: tuple[float, ...]

    @property
    def at_stake(self) -> float:
        """Score of the volume less that of the blurred one; where it is not clearly above 0 the curves say nothing."""
        return self.deletion[0] - self.insertion[0]

    @property
    def deletion_area(self) -> float:
        """Mean score while the most salient patches go first."""
        return _area(self.shares, self.deletion)

    @property
    def insertion_area(self) -> float:
        """Mean score while the most salient patches come first."""
        return _area(self.shares, self.insertion)

    @property
    def random_area(self) -> float:
        """Mean over the random orders."""
        return sum(self.random_areas) / len(self.random_areas)

    @property
    def deletion_gain(self) -> float:
        """How far deletion lies below random; above 0 is better than random."""
        return self.random_area - self.deletion_area

    @property
    def insertion_gain(self) -> float:
        """How far insertion lies above random; above 0 is better than random."""
        return self.insertion_area - self.random_area


class _Scene(NamedTuple):
    encoder: ImageEncoder
    volume: Tensor
    nothing: Tensor
    target: Target
    settings: CurveSettings


@torch.no_grad()
def deletion_insertion(
    encoder: ImageEncoder,
    volume: Tensor,
    target: Target,
    saliency: Tensor,
    settings: CurveSettings | None = None,
) -> DeletionInsertion:
    """Take patches away and bring them in by falling saliency, and in random orders.

    Costs `(2 + random_orders) * (steps + 1)` passes of the encoder.

    Args:
        encoder: the image encoder.
        volume: `(1, C, D, H, W)`.
        target: the score of an embedding.
        saliency: `(D, H, W)`; patches are ranked by its mean.
        settings: how to measure.

    Raises:
        InputError: not one volume that divides into patches, a map of another shape, or no score.

    Source: arXiv:1806.07421, section 4.3, on the model's patches instead of pixels.
    """
    check_volume(volume)
    if saliency.shape != volume.shape[2:]:
        raise InputError(f"a map of shape {tuple(saliency.shape)} does not lie on a volume of {tuple(volume.shape)}")
    settings = settings or CurveSettings()
    patch = encoder.config.patch_size
    patch_grid(volume.shape[2:], patch)
    nothing, image = volume.clone(), slice(settings.image_channels)
    nothing[:, image] = blurred(volume[:, image], [side * settings.blur_patches for side in patch])
    scene = _Scene(encoder, volume, nothing, target, settings)
    ranks = functional.avg_pool3d(saliency[None, None].float(), patch).flatten()
    order = ranks.argsort(descending=True, stable=True).cpu()
    generator = torch.Generator().manual_seed(settings.seed)
    with quiet(encoder):
        insertion = _insert(scene, order)
        deletion = _insert(scene, order.flip(0))[::-1]  # to take away from the front is to bring in from the back
        others = [
            _insert(scene, torch.randperm(len(order), generator=generator)) for _ in range(settings.random_orders)
        ]
    shares = tuple(step / settings.steps for step in range(settings.steps + 1))
    return DeletionInsertion(shares, tuple(deletion), tuple(insertion), tuple(_area(shares, one) for one in others))


def _insert(scene: _Scene, order: Tensor) -> list[float]:
    """Score of the blurred volume with growing parts of the true one in it, patches in `order`, `(N,)`."""
    patch, steps = scene.encoder.config.patch_size, scene.settings.steps
    place = torch.empty(len(order), dtype=torch.int64)
    place[order] = torch.arange(len(order))
    place = place.reshape(patch_grid(scene.volume.shape[2:], patch))
    for axis, side in enumerate(patch):
        place = place.repeat_interleave(side, axis)
    place = place.to(scene.volume.device)
    counts = [round(step * len(order) / steps) for step in range(steps + 1)]
    scores: list[float] = []
    for at in range(0, len(counts), scene.settings.batch_size):
        some = counts[at : at + scene.settings.batch_size]
        shown = torch.stack([place < count for count in some])[:, None]
        batch = torch.where(shown, scene.volume, scene.nothing)
        scores += score_volumes(scene.encoder, batch, scene.target).tolist()
    return scores


def _area(shares: tuple[float, ...], scores: list[float] | tuple[float, ...]) -> float:
    return float(torch.trapezoid(torch.tensor(scores, dtype=torch.float64), torch.tensor(shares, dtype=torch.float64)))
