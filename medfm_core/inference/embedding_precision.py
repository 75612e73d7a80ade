"""In which number format an encoder runs: bf16 where the machine is faster with it and embeddings stay the same."""

from __future__ import annotations

import time
from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional

from medfm_core.inference.devices import Precision, cpu_has_bf16

_MIN_COSINE = 0.999
_MIN_GAIN = 1.15
_RUNS = 2


@torch.inference_mode()
def probe_embedding_precision(encode: Callable[[], Tensor], device: torch.device) -> Precision:
    """Time an encoder in fp32 and bf16, and take bf16 if it is faster and gives the same embeddings.

    Args:
        encode: gives embeddings of a real input, `(B, E)` of length 1, in whatever autocast it is called under.
        device: where it runs.
    """
    if device.type == "mps" or (device.type == "cpu" and not cpu_has_bf16()):
        return Precision()
    reference, slow = _timed(encode, device, torch.float32)
    candidate, fast = _timed(encode, device, torch.bfloat16)
    cosine = float(functional.cosine_similarity(reference, candidate.to(reference.dtype)).min())
    if slow / fast >= _MIN_GAIN and cosine >= _MIN_COSINE:
        return Precision(torch.bfloat16, slow / fast, cosine)
    return Precision()


def _timed(encode: Callable[[], Tensor], device: torch.device, dtype: torch.dtype) -> tuple[Tensor, float]:
    best = float("inf")
    for _ in range(_RUNS):
        start = time.perf_counter()
        with torch.autocast(device.type, dtype, enabled=dtype != torch.float32):
            answer = encode()
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        best = min(best, time.perf_counter() - start)
    return answer, best
