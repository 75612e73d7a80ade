"""An encoder that takes more than a volume, made one of the volume alone."""

from __future__ import annotations

from torch import Tensor, nn

from medfm_core.models.totalfm import ImageEncoder


class FixedInputs(nn.Module):
    """An encoder with all inputs but the volume held as they are, such as the organ's size.

    Args:
        encoder: takes the volume first and `inputs` by name.
        inputs: one sample each, `(1, ...)`.

    Shapes:
        `(B, C, D, H, W)` to what the encoder gives for B samples.
    """

    def __init__(self, encoder: ImageEncoder, **inputs: Tensor) -> None:
        super().__init__()
        self.encoder = encoder
        self.config = encoder.config
        self.inputs = inputs

    def forward(self, volume: Tensor) -> Tensor:
        """Encode volumes that share the other inputs."""
        repeated = {name: value.expand(len(volume), *value.shape[1:]) for name, value in self.inputs.items()}
        return self.encoder(volume, **repeated)
