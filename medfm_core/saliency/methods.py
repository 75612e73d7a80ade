"""The methods by name, and their maps on the voxels of the organ volume."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Protocol

from torch import Tensor
from torch.nn import functional

from medfm_core.errors import InputError
from medfm_core.models.totalfm import ImageEncoder
from medfm_core.progress import SILENT, Progress
from medfm_core.saliency.occlusion import Occlusion
from medfm_core.saliency.rollout import attention_rollout
from medfm_core.saliency.targets import Target
from medfm_core.strict import unknown_name


class SaliencyMethod(Protocol):
    """Explains a score patch by patch."""

    def __call__(self, encoder: ImageEncoder, volume: Tensor, target: Target, progress: Progress = SILENT) -> Tensor:
        """Return what each patch did for the score, `(D / patch, H / patch, W / patch)` float32, at least 0."""


def _rollout(encoder: ImageEncoder, volume: Tensor, target: Target, progress: Progress = SILENT) -> Tensor:
    with progress.stage("Follow the attention", 1) as stage:
        relevance = attention_rollout(encoder, volume, target)
        stage.advance()
    return relevance


METHODS: Mapping[str, SaliencyMethod] = MappingProxyType({"attention_rollout": _rollout, "occlusion": Occlusion()})


def explain(
    encoder: ImageEncoder,
    volume: Tensor,
    target: Target,
    method: str | SaliencyMethod = "attention_rollout",
    progress: Progress = SILENT,
) -> Tensor:
    """Say which voxels of an organ volume a score comes from.

    `attention_rollout` looks inside the transformer and costs two passes; `occlusion` treats any model as a black box
    and costs a pass per covered box. Both speak of patches: the map between their centres is interpolated, no detail
    is finer than a patch.

    Args:
        encoder: the image encoder; as it was afterwards.
        volume: `(1, C, D, H, W)`.
        target: the score of an embedding, such as `prompt_contrast` makes.
        method: a name out of `METHODS`, or a method with settings of its own, such as `Occlusion(fill="blur")`.
        progress: told of the steps.

    Returns:
        `(D, H, W)` float32, at least 0, on the volume's device; 0 everywhere where nothing raised the score.

    Raises:
        InputError: an unknown method, not one volume that divides into patches, or no score.
        CancelledError: no more is wanted.
    """
    if isinstance(method, str):
        if method not in METHODS:
            raise InputError(unknown_name("saliency method", method, METHODS), "choose a known one")
        method = METHODS[method]
    patches = method(encoder, volume, target, progress)
    return on_voxels(patches, tuple(volume.shape[2:])).to(volume.device)


def on_voxels(patches: Tensor, shape: tuple[int, int, int]) -> Tensor:
    """Interpolate a map over patches linearly between their centres.

    Args:
        patches: `(n1, n2, n3)`, float32.
        shape: voxels along the same axes.

    Returns:
        `shape`, float32.
    """
    return functional.interpolate(patches[None, None].float(), size=shape, mode="trilinear", align_corners=False)[0, 0]
