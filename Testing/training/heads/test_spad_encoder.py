import pytest
import torch
from spad_cards import VIT, encoder_card

from medfm_core.errors import InputError
from medfm_core.models.spad_inputs import vit_input
from medfm_core.models.spad_vit import SpadVit
from training.evaluation.card_encoder import load_card_encoder
from training.evaluation.encoders import pooled_features, token_features
from training.heads.encoder_shape import dense_tokens, encoder_of, encoder_width, patch_size_of
from training.heads.spad_encoder import SpadEncoder, SpadEncoderConfig, trained_encoder
from training.objectives.supervised import Supervised, SupervisedConfig


@pytest.fixture
def encoder():
    torch.manual_seed(0)
    return encoder_of(SpadVit(VIT)).eval()


def batch_of(*degrees, side=8):
    return {"image": torch.rand(len(degrees), 1, 4, side, side), "degree": torch.tensor(degrees)}


def test_tokens_are_those_of_the_transformer(encoder):
    batch = batch_of(1, 1)
    expected = encoder.net(vit_input(batch["image"], 1), 1)[:, 1:]
    assert torch.equal(token_features(encoder, batch), expected)
    assert torch.allclose(pooled_features(encoder, batch), expected.mean(dim=1))
    assert torch.allclose(encoder.layers(batch, (0, 1))[0], _after_first(encoder.net, batch["image"]), atol=1e-6)
    assert encoder_width(encoder) == VIT.width


def _after_first(net, image):
    state = net.with_class_token(net.embed(vit_input(image, 1), 1))
    return net.run_blocks(state, net.rotation(net.config.token_grid(image.shape[2:], 1)), 0, 1)[:, 1:]


def test_vectors_of_mixed_degrees_come_in_order(encoder):
    batch = batch_of(2, 0, 2, 1)
    found = pooled_features(encoder, batch)
    for place, degree in enumerate((2, 0, 2, 1)):
        alone = {"image": batch["image"][place : place + 1], "degree": torch.tensor([degree])}
        assert torch.allclose(found[place], pooled_features(encoder, alone)[0], atol=1e-6)
    with pytest.raises(InputError, match="degrees"):
        token_features(encoder, batch)
    with pytest.raises(InputError, match="how thick"):
        token_features(encoder, {"image": batch["image"]})


def test_a_head_for_voxels_needs_the_degree(encoder):
    with pytest.raises(InputError, match="degree"):
        patch_size_of(encoder)
    fixed = encoder_of(SpadEncoderConfig(**vars(VIT), degree=1))
    assert isinstance(fixed, SpadEncoder)
    assert patch_size_of(fixed) == (2, 4, 4)
    tokens = fixed.tokens({"image": torch.rand(1, 1, 4, 8, 8)})
    assert dense_tokens(fixed, tokens, (4, 8, 8))[1] == (2, 2, 2)


def test_supervised_training_takes_it(encoder):
    objective = Supervised(VIT, SupervisedConfig(outputs=3))
    loss = objective(batch_of(0, 0) | {"target": torch.tensor([0, 2])})["loss"]
    loss.backward()
    assert objective.encoder.net.patch_embedding.weight.grad is not None
    voxels = Supervised(SpadEncoderConfig(**vars(VIT), degree=1), SupervisedConfig("segmentation", decoder_width=8))
    assert voxels.answer({"image": torch.rand(1, 1, 4, 8, 8)}).shape == (1, 2, 4, 8, 8)


def test_a_card_can_be_probed(tmp_path):
    path = encoder_card(tmp_path)
    encoder, described = load_card_encoder(str(path))
    assert described["card"] == "toy-vit.v1"
    assert pooled_features(encoder, batch_of(1)).shape == (1, VIT.width)
    assert trained_encoder(str(path), 1).degree == 1
