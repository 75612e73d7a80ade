import pytest
import torch

from medfm_core.errors import InputError
from training.heads.pyramid_unet import PyramidUNet, PyramidUNetConfig, deep_weights


@pytest.mark.parametrize("degree", range(5))
def test_every_voxel_is_scored_at_every_degree(degree):
    config = PyramidUNetConfig(16, degree, 1, (4, 4, 4, 8, 8, 8))
    net = PyramidUNet(12, 3, config)
    grid = (2, 3, 2)
    image = torch.rand(1, 1, 2 * max(16 >> degree, 1), 48, 32)
    layers = [torch.rand(1, 12, 12) for _ in range(4)]
    scored = net.train()(layers, grid, image)
    assert [tuple(one.shape) for one in scored] == [(1, 3, *image.shape[2:])] * 4
    assert net.eval()(layers, grid, image).shape == (1, 3, *image.shape[2:])
    sum(one.sum() for one in scored).backward()
    assert all(value.grad is not None for value in net.parameters())


def test_the_published_strides():
    config = PyramidUNetConfig()
    assert [config.stride(n) for n in (1, 2, 3, 4, 5)] == [(1, 2, 2), (1, 2, 2), (2, 2, 2), (2, 2, 2), (2, 2, 2)]
    assert [config.kernel(n)[0] for n in (0, 1, 2, 3)] == [1, 1, 3, 3]
    assert deep_weights(4) == pytest.approx([8 / 15, 4 / 15, 2 / 15, 1 / 15])


def test_tokens_of_another_grid_are_refused():
    net = PyramidUNet(12, 3, PyramidUNetConfig(4, 0, 1, (4, 4, 4, 4)))
    with pytest.raises(InputError, match="not a grid"):
        net([torch.rand(1, 5, 12)] * 4, (2, 2, 2), torch.rand(1, 1, 8, 8, 8))
    with pytest.raises(InputError, match="give those of 4"):
        net([torch.rand(1, 8, 12)], (2, 2, 2), torch.rand(1, 1, 8, 8, 8))
    with pytest.raises(ValueError, match="widths must be 6"):
        PyramidUNetConfig(widths=(4, 4))
