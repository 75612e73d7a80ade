"""`python Testing/benchmarks/encode_organs.py`: 20 organs through the released size, in batches and one at a time.

The release encodes one organ after the other in fp32. Here organs go through in batches, in bf16 where the machine is
faster so. Both sides use the same random weights and the same organ volumes; the cosine says how far they agree.

Figures are of one run on one machine; quote ratios.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable

import torch

from medfm_core.inference.embedding_precision import probe_embedding_precision
from medfm_core.models.totalfm import ImageEncoder, TotalFMConfig, sizes


def seconds_of(run: Callable[[], torch.Tensor]) -> tuple[float, torch.Tensor]:
    """Time one run."""
    begun = time.perf_counter()
    with torch.inference_mode():
        result = run()
    return time.perf_counter() - begun, result.float()


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", choices=sorted(sizes()), default="released")
    parser.add_argument("--organs", type=int, default=20)
    parser.add_argument("--batch", type=int, default=4)
    options = parser.parse_args()
    torch.manual_seed(0)
    config = TotalFMConfig(**{k: v for k, v in sizes()[options.size].items() if k != "name"})
    encoder = ImageEncoder(config).eval().requires_grad_(False)
    organs = torch.rand(options.organs, config.channels, *config.image_size)
    precision = probe_embedding_precision(lambda: encoder(organs[:1]), torch.device("cpu"))

    def batched() -> torch.Tensor:
        with torch.autocast("cpu", precision.dtype, enabled=precision.dtype != torch.float32):
            return torch.cat([encoder(part) for part in organs.split(options.batch)])

    one, plain = seconds_of(lambda: torch.cat([encoder(organ[None]) for organ in organs]))
    many, ours = seconds_of(batched)
    cosine = torch.nn.functional.cosine_similarity(plain, ours).min()
    print(f"{options.organs} organs of the size {options.size}, one at a time in fp32: {one:.1f} s")
    print(f"batches of {options.batch} in {precision.name}: {many:.1f} s, {one / many:.2f} times faster")
    print(f"least cosine between the two: {cosine:.5f}")


if __name__ == "__main__":
    main()
