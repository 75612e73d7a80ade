"""The segmentation loss: its value on known answers, what it ignores, and that it teaches."""

from __future__ import annotations

import torch

from medfm_core.models.segmenter import OrganSegmenter, SegmenterConfig
from training.data.labelled_case import IGNORE
from training.objectives.segmentation import dice_and_cross_entropy, segmentation_loss


def test_a_sure_right_answer_costs_nothing_and_a_sure_wrong_one_much():
    target = torch.tensor([0, 1, 2, 2])
    right = torch.eye(3)[target] * 50
    assert dice_and_cross_entropy(right, target, torch.ones(3)) < 0.01
    assert dice_and_cross_entropy(right.roll(1, dims=1), target, torch.ones(3)) > 10


def test_ignored_voxels_change_nothing():
    torch.manual_seed(0)
    logits, target = torch.randn(50, 4), torch.randint(0, 4, (50,))
    loss = dice_and_cross_entropy(logits, target, torch.ones(4))
    more = dice_and_cross_entropy(
        torch.cat([logits, torch.randn(20, 4)]), torch.cat([target, torch.full((20,), IGNORE)]), torch.ones(4)
    )
    torch.testing.assert_close(loss, more)
    assert dice_and_cross_entropy(logits, torch.full((50,), IGNORE), torch.ones(4)) == 0


def test_a_small_net_learns_what_intensity_alone_cannot_tell():
    """Two boxes of one brightness, told apart by their side: a threshold must lose."""
    torch.manual_seed(0)
    net = OrganSegmenter(
        SegmenterConfig(in_channels=1, out_channels=3, edge_channels=4, channels=(8, 16), blocks=(1, 1))
    )
    optimiser = torch.optim.AdamW(net.parameters(), lr=1e-2)

    def sample(seed):
        start = torch.randint(1, 6, (2,), generator=torch.Generator().manual_seed(seed))
        classes = torch.zeros(1, 8, 16, 16, dtype=torch.int64)
        classes[:, 2:6, start[0] : start[0] + 6, 1:6] = 1
        classes[:, 2:6, start[1] : start[1] + 6, 10:15] = 2
        image = (classes > 0).float()[:, None] + 0.1 * torch.randn(1, 1, 8, 16, 16)
        return image, classes

    for step in range(60):
        image, classes = sample(step)
        loss = segmentation_loss(net, image, classes, (step % 2, step // 2 % 2), torch.ones(3))
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    image, classes = sample(10_000)
    answer = net(image).argmax(1)
    accuracy = (answer == classes)[classes > 0].float().mean()
    threshold = ((image[:, 0] > 0.5) * 1 == classes)[classes > 0].float().mean()
    assert accuracy > 0.9 > 0.7 > threshold
