"""CT-CLIP's weights, as the hub's conversion writes them: image encoder, text encoder and text side in a file each."""

from __future__ import annotations

from pathlib import Path

import torch

from medfm_core.models.ct_clip import CTClipConfig, ScanTransformer, encoder_shapes
from medfm_core.models.strict_loading import load_net


def load_scan_transformer(
    path: str | Path, config: CTClipConfig, device: torch.device | str = "cpu"
) -> ScanTransformer:
    """Build the image encoder and load its weights strictly, in fp32 and evaluation mode.

    Args:
        path: a safetensors file of the image encoder and nothing else.
        config: the architecture.
        device: where the net goes.

    Raises:
        WeightsError: weights missing, damaged or of another network.
    """
    return load_net(lambda: ScanTransformer(config), path, encoder_shapes(config), device)
