import copy
from dataclasses import replace

import pytest
import torch
from spad_cards import VIT, encoder_card

from medfm_core.errors import InputError
from medfm_core.models.spad_vit import SpadVitConfig
from training.objectives.spad_segmentation import SpadSegmentation, SpadSegmentationConfig, spread_blocks

MODEL = SpadVitConfig(channels=1, patch=4, width=16, depth=4, heads=2, mlp_width=16, position_grid=(2, 3, 3))
WIDTHS = (4, 4, 8, 8)


def batch_of():
    torch.manual_seed(0)
    target = torch.zeros(2, 4, 16, 16, dtype=torch.int64)
    target[:, :, 4:12, 4:12] = 1
    target[:, 0] = 255
    return {"image": torch.rand(2, 1, 4, 16, 16) * 0.2 + 0.6 * (target == 1)[:, None], "target": target}


@pytest.mark.parametrize("network", ["spad", "unet"])
def test_it_learns_what_is_bright(network):
    if network == "unet":
        pytest.importorskip("monai")
    objective = SpadSegmentation(MODEL, SpadSegmentationConfig(degree=1, network=network, widths=WIDTHS))
    optimiser, batch = torch.optim.Adam(objective.parameters(), 1e-2), batch_of()
    first = float(objective(batch)["loss"].detach())
    for _ in range(12):
        optimiser.zero_grad()
        objective(batch)["loss"].backward()
        optimiser.step()
    assert float(objective(batch)["loss"].detach()) < 0.75 * first
    answer = objective.eval().answer(batch)
    assert answer.shape == (2, 2, 4, 16, 16)


@pytest.mark.parametrize("network", ["spad", "unet"])
def test_it_can_be_copied_after_a_pass_as_a_running_average_does(network):
    if network == "unet":
        pytest.importorskip("monai")
    objective = SpadSegmentation(MODEL, SpadSegmentationConfig(degree=1, network=network, widths=WIDTHS))
    loss = objective(batch_of())["loss"]
    twin = copy.deepcopy(objective)
    loss.backward()
    assert all(value.grad is not None for value in objective.head.parameters())
    assert float(twin(batch_of())["loss"].detach()) == pytest.approx(float(loss.detach()))


@pytest.mark.parametrize("network", ["spad", "unet"])
def test_grey_images_fit_a_network_for_colour(network):
    if network == "unet":
        pytest.importorskip("monai")
    model = replace(MODEL, channels=3)
    objective = SpadSegmentation(model, SpadSegmentationConfig(degree=1, network=network, widths=WIDTHS)).eval()
    with torch.no_grad():
        grey, colour = (
            objective.answer(batch_of()),
            objective.answer({"image": batch_of()["image"].expand(-1, 3, -1, -1, -1)}),
        )
    assert torch.equal(grey, colour)


def test_a_frozen_encoder_stays_as_it_was(tmp_path):
    objective = SpadSegmentation(MODEL, SpadSegmentationConfig(degree=1, widths=WIDTHS, frozen_encoder=True)).train()
    objective(batch_of())["loss"].backward()
    assert all(value.grad is None for value in objective.encoder.parameters())
    assert not objective.encoder.training
    with pytest.raises(InputError, match="not as large"):
        SpadSegmentation(MODEL, SpadSegmentationConfig(degree=1, widths=WIDTHS, encoder=str(encoder_card(tmp_path))))


def test_the_published_blocks():
    assert spread_blocks(12) == (3, 5, 7, 11)
    assert spread_blocks(24) == (7, 11, 15, 23)
    assert spread_blocks(6) == (1, 2, 3, 5)
    assert spread_blocks(4) == (0, 1, 2, 3)


def test_bad_settings_are_sentences():
    with pytest.raises(InputError, match="blocks"):
        SpadSegmentation(VIT, SpadSegmentationConfig(degree=1, widths=WIDTHS))
    with pytest.raises(ValueError, match="no encoder"):
        SpadSegmentationConfig(network="unet", encoder="x")
