"""Kernels made to fit other inputs: what they answer on images where both can be asked."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional

from medfm_core.layers.kernel_adaptation import adapt_input_channels, grey_output, inflate_kernel, resize_kernel


@pytest.mark.parametrize("how", ["average", "centre"])
@pytest.mark.parametrize("depth", [1, 3, 4])
def test_on_slices_all_alike_an_inflated_kernel_answers_as_before(how, depth):
    weight, image = torch.randn(4, 2, 3, 3), torch.randn(1, 2, 5, 5)
    inflated = inflate_kernel(weight, depth, how)
    volume = image[:, :, None].expand(-1, -1, depth, -1, -1)
    torch.testing.assert_close(functional.conv3d(volume, inflated)[:, :, 0], functional.conv2d(image, weight))
    if how == "centre":
        assert (inflated.abs().sum((0, 1, 3, 4)) > 0).sum() == 2 - depth % 2


def test_channels():
    weight = torch.randn(4, 3, 2, 2)
    assert adapt_input_channels(weight, 3) is weight
    torch.testing.assert_close(adapt_input_channels(weight, 1), weight.sum(1, keepdim=True))
    torch.testing.assert_close(adapt_input_channels(weight, 2)[:, 1], weight.sum(1) / 2)


def test_drawing_brightness_is_drawing_colour_and_mixing_it():
    weight, bias, features = torch.randn(5, 3, 2, 2, 2), torch.randn(3), torch.randn(1, 5, 2, 2, 2)
    colour = functional.conv_transpose3d(features, weight, bias, 2)
    red, green, blue = colour.unbind(1)
    grey = functional.conv_transpose3d(features, *grey_output(weight, bias), 2)
    torch.testing.assert_close(grey[:, 0], 0.299 * red + 0.587 * green + 0.114 * blue)


def test_a_resized_kernel_answers_flat_images_as_before():
    flat = torch.ones(4, 3, 14, 14)
    torch.testing.assert_close(resize_kernel(flat, 16).sum((2, 3)), flat.sum((2, 3)))
    assert resize_kernel(flat, 14) is flat
