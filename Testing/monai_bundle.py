"""MONAI's whole-body bundle as its inference.json (version 0.2.7) describes it, made of MONAI's own parts."""

from __future__ import annotations

import warnings

import numpy as np
import torch
from torch import nn


@torch.no_grad()
def whole_body(image: torch.Tensor, net: nn.Module, spacing_mm: float, roi: tuple[int, int, int]) -> np.ndarray:
    """Run the pipeline on one CT.

    Args:
        image: `(I, J, K)` MetaTensor in HU.
        net: MONAI's SegResNet.
        spacing_mm: 1.5 or 3.
        roi: sides of the sliding window in voxels; 96 in the bundle.

    Returns:
        Class numbers on the image's grid, `(I, J, K)` int.
    """
    from monai.inferers import SlidingWindowInferer
    from monai.transforms import (
        Activationsd,
        AsDiscreted,
        Compose,
        EnsureChannelFirstd,
        EnsureTyped,
        Invertd,
        NormalizeIntensityd,
        Orientationd,
        ScaleIntensityd,
        Spacingd,
    )  # fmt: skip

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        before = Compose([
            EnsureTyped("image"),
            EnsureChannelFirstd("image", channel_dim="no_channel"),
            Orientationd("image", axcodes="RAS"),
            Spacingd("image", pixdim=[spacing_mm] * 3, mode="bilinear"),
            NormalizeIntensityd("image", nonzero=True),
            ScaleIntensityd("image", minv=-1.0, maxv=1.0),
        ])  # fmt: skip
        inferer = SlidingWindowInferer(roi, sw_batch_size=1, overlap=0.25, padding_mode="replicate", mode="gaussian")
        after = Compose([
            Activationsd("pred", softmax=True),
            AsDiscreted("pred", argmax=True),
            Invertd("pred", transform=before, orig_keys="image", nearest_interp=True, to_tensor=True),
        ])  # fmt: skip
        data = before({"image": image})
        data["pred"] = inferer(data["image"][None], net)[0]
        data["pred"].applied_operations = data["image"].applied_operations
        return after(data)["pred"][0].numpy().astype(int)
