"""Which device runs the net, and in which precision: asked of the machine, not assumed."""

from __future__ import annotations

import time
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from medfm_core.errors import ResourceError

_DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}
_MIN_AGREEMENT = 0.99
_MIN_GAIN = 1.15


@dataclass(frozen=True)
class Precision:
    """The number format of a run and why it was chosen.

    Attributes:
        dtype: what the net computes in.
        gain: time in fp32 over time in `dtype`, measured; 1 where nothing was measured.
        agreement: share of voxels with the fp32 answer, measured.
    """

    dtype: torch.dtype = torch.float32
    gain: float = 1.0
    agreement: float = 1.0

    @property
    def name(self) -> str:
        """`fp32`, `bf16` or `fp16`."""
        return next(name for name, dtype in _DTYPES.items() if dtype == self.dtype)


def named_precision(name: str) -> Precision:
    """The precision called `fp32`, `bf16` or `fp16`."""
    return Precision(_DTYPES[name])


def choose_device(wish: str = "auto") -> torch.device:
    """Turn `auto`, `cpu`, `cuda`, `cuda:1` or `mps` into a device that is there.

    Raises:
        ResourceError: the device does not exist here.
    """
    if wish == "auto":
        wish = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        device = torch.device(wish)
        torch.zeros(1, device=device)
    except (RuntimeError, AssertionError) as problem:
        raise ResourceError(
            f"the device {wish!r} is not available here", "use --device cpu or --device auto"
        ) from problem
    return device


@torch.inference_mode()
def probe_precision(net: nn.Module, sample: Tensor) -> Precision:
    """Time a small real tile in fp32 and bf16, and take bf16 if it is faster and gives the same labels.

    Args:
        net: the net, on its device, in fp32.
        sample: `(1, C, D, H, W)` input on the same device.
    """
    if sample.device.type == "cpu" and not cpu_has_bf16():
        return Precision()
    reference, slow = _timed(net, sample, torch.float32)
    candidate, fast = _timed(net, sample, torch.bfloat16)
    agreement = (reference.argmax(1) == candidate.argmax(1)).float().mean().item()
    gain = slow / fast
    if gain >= _MIN_GAIN and agreement >= _MIN_AGREEMENT:
        return Precision(torch.bfloat16, gain, agreement)
    return Precision(torch.float32, 1.0, 1.0)


def cpu_has_bf16() -> bool:
    """Whether this CPU multiplies bf16 in hardware; emulated, it would be slower than fp32."""
    checks = ("_is_avx512_bf16_supported", "_is_amx_tile_supported")
    return any(getattr(torch.cpu, name, bool)() for name in checks)


def _timed(net: nn.Module, sample: Tensor, dtype: torch.dtype) -> tuple[Tensor, float]:
    best = float("inf")
    for _ in range(2):
        start = time.perf_counter()
        with torch.autocast(sample.device.type, dtype, enabled=dtype != torch.float32):
            answer = net(sample)
        if sample.device.type == "cuda":
            torch.cuda.synchronize()
        best = min(best, time.perf_counter() - start)
    return answer, best
