"""The most floating point operations per second that a device can do: looked up, or measured."""

from __future__ import annotations

import re
import time
from dataclasses import dataclass

import torch

# Dense matrix products, in TFLOP/s, from the makers' data sheets (without 2:4 sparsity; bf16 with fp32 accumulation).
# Names are those that the driver gives; a name that none of them fits whole (a MIG slice, a laptop part) is not stated.
_TFLOPS: dict[str, dict[str, float]] = {
    r"A100.*": {"bf16": 312, "tf32": 156, "fp32": 19.5},
    r"A30": {"bf16": 165, "tf32": 82, "fp32": 10.3},
    r"A40": {"bf16": 149.7, "tf32": 74.8, "fp32": 37.4},
    r"A10": {"bf16": 125, "tf32": 62.5, "fp32": 31.2},
    r"H100( SXM.*| 80GB HBM3)": {"bf16": 989.4, "tf32": 494.7, "fp32": 66.9},
    r"H100 PCIe": {"bf16": 756, "tf32": 378, "fp32": 51},
    r"H100 NVL": {"bf16": 835.5, "tf32": 417.5, "fp32": 60},
    r"H200": {"bf16": 989.4, "tf32": 494.7, "fp32": 66.9},
    r"H200 NVL": {"bf16": 835.5, "tf32": 417.5, "fp32": 60},
    r"GH200 480GB": {"bf16": 989.4, "tf32": 494.7, "fp32": 66.9},
    r"L4": {"bf16": 121, "tf32": 60, "fp32": 30.3},
    r"L40S": {"bf16": 362, "tf32": 183, "fp32": 91.6},
    r"GeForce RTX 3090": {"bf16": 71, "tf32": 35.6, "fp32": 35.6},
    r"GeForce RTX 4090": {"bf16": 165.2, "tf32": 82.6, "fp32": 82.6},
    r"RTX A6000": {"bf16": 154.8, "tf32": 77.4, "fp32": 38.7},
    r"RTX 6000 Ada Generation": {"bf16": 364.2, "tf32": 182.1, "fp32": 91.1},
    r"(Tesla )?T4": {"fp32": 8.1},
    r"(Tesla )?V100-SXM2.*": {"fp32": 15.7},
}
_DTYPES = {"bf16": torch.bfloat16, "fp32": torch.float32}
_SECONDS_PER_TRIAL = 0.02
_TRIALS = 5
_LARGEST_SIDE = 8192


@dataclass(frozen=True)
class Peak:
    """What a device can do.

    Attributes:
        flops_per_second: dense matrix products.
        source: where the figure comes from, for the reader.
    """

    flops_per_second: float
    source: str


def find_peak(device: torch.device | str, precision: str, measure: bool = True) -> Peak | None:
    """Find what a device can do at most.

    Args:
        device: where the run computes.
        precision: `bf16` or `fp32`; fp32 products that torch is allowed to do in TF32 are compared with TF32.
        measure: multiply matrices for some tenths of a second where no data sheet is known (every CPU, rare GPUs).

    Returns:
        The peak; None where it is neither known nor measured.
    """
    device = torch.device(device)
    if device.type == "cuda":
        name = torch.cuda.get_device_name(device)
        kind = "tf32" if precision == "fp32" and torch.backends.cuda.matmul.allow_tf32 else precision
        known = look_up(name, kind)
        if known is not None:
            return Peak(known, f"data sheet of {name}, dense {kind}")
    if not measure or precision not in _DTYPES:
        return None
    return Peak(measure_peak(device, _DTYPES[precision]), f"matrix products in {precision} measured on this machine")


def look_up(name: str, kind: str) -> float | None:
    """Peak of a GPU by its driver's name, in FLOP/s; None when it is not in the table."""
    name = re.sub(r"^(NVIDIA )+", "", name.strip())
    if "MIG" in name:
        return None
    found = [figures.get(kind) for pattern, figures in _TFLOPS.items() if re.fullmatch(pattern, name)]
    return found[0] * 1e12 if found and found[0] is not None else None


def measure_peak(device: torch.device, dtype: torch.dtype) -> float:
    """Multiply square matrices and return the best rate, in FLOP/s; takes some tenths of a second."""
    side, seconds = 256, 0.0
    while side < _LARGEST_SIDE:
        seconds = _time_product(side, device, dtype)
        if seconds >= _SECONDS_PER_TRIAL:
            break
        side *= 2
    seconds = min(_time_product(side, device, dtype) for _ in range(_TRIALS))
    return 2 * side**3 / seconds


@torch.no_grad()
def _time_product(side: int, device: torch.device, dtype: torch.dtype) -> float:
    left, right = (torch.ones(side, side, device=device, dtype=dtype) for _ in range(2))
    _wait(device)
    begun = time.perf_counter()
    left @ right
    _wait(device)
    return max(time.perf_counter() - begun, 1e-9)


def _wait(device: torch.device) -> None:
    if device.type != "cpu":
        torch.accelerator.synchronize(device)
