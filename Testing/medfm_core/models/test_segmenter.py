"""The segmenter's shapes, size and strict loading."""

from __future__ import annotations

import pytest
import torch

from medfm_core.models.segmenter import OrganSegmenter, SegmenterConfig

TINY = SegmenterConfig(in_channels=2, out_channels=4, edge_channels=4, channels=(8, 16), blocks=(1, 1))


@pytest.mark.parametrize("sides", [(4, 4, 4), (8, 12, 16)])
def test_output_has_the_input_grid(sides):
    net = OrganSegmenter(TINY)
    assert TINY.divisor == 4
    assert net(torch.zeros(2, 2, *sides)).shape == (2, 4, *sides)


def test_the_shipped_size_fits_in_twelve_megabytes_of_fp16():
    with torch.device("meta"):
        net = OrganSegmenter(SegmenterConfig())
    assert sum(p.numel() for p in net.parameters()) * 2 < 12e6


def test_head_at_sampled_voxels_equals_the_whole_forward():
    torch.manual_seed(0)
    net = OrganSegmenter(TINY).eval()
    image = torch.randn(1, 2, 8, 8, 8)
    fine, core = net.features(image)
    assert core.shape == (1, 8, 4, 4, 4)
    torch.testing.assert_close(net.head(fine[..., 1::2, ::2]), net(image)[..., 1::2, ::2])


def test_every_parameter_gets_a_gradient():
    from training.objectives.segmentation import segmentation_loss

    net = OrganSegmenter(TINY)
    target = torch.randint(0, 4, (1, 8, 8, 8))
    segmentation_loss(net, torch.randn(1, 2, 8, 8, 8), target, (0, 1), torch.ones(4)).backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in net.parameters())
