"""The published SPAD checkpoints through the conversion that trusts nothing."""

import pytest
import torch

from medfm_core.card_library import load_card
from medfm_core.errors import InputError, WeightsError
from medfm_core.models.spad_cards import load_encoder, load_tokenizer
from medfm_core.models.spad_masked import SpadMaskedModel
from medfm_core.models.spad_names import masked_names, tokenizer_names
from medfm_core.models.spad_tokenizer import SpadTokenizer, SpadTokenizerConfig
from medfm_core.models.spad_vit import SpadVitConfig
from medfm_core.published_spad import import_published
from medfm_core.strict import to_dict

TOKENIZER = SpadTokenizerConfig(widths=(8, 16), tokens=16, up_reduction="sum")
VIT = SpadVitConfig(patch=4, width=16, depth=1, heads=2, mlp_width=16, position_grid=(1, 2, 2))


def published(net, names):
    return {names[name]: value for name, value in net.state_dict().items()}


def test_a_tokenizer_out_of_its_trainers_file(tmp_path):
    net = SpadTokenizer(TOKENIZER).eval()
    tensors = {f"module.{name}": value for name, value in published(net, tokenizer_names(TOKENIZER)).items()}
    torch.save({"model": tensors, "discriminator": {"0.weight": torch.zeros(3)}, "step": 5}, tmp_path / "s.ckpt")
    options = to_dict(TOKENIZER, defaults=True)
    card = load_card(import_published(tmp_path / "s.ckpt", "tokenizer", tmp_path / "res", options))
    volume = torch.rand(1, 3, 4, 16, 16)
    assert torch.allclose(load_tokenizer(card)(volume, 2).volume, net(volume, 2).volume, atol=1e-5)


def test_a_transformer_with_head_and_tokenizer_beside_it(tmp_path):
    net = SpadMaskedModel(VIT, 1024).eval()
    tensors = published(net, masked_names(VIT)) | {"tokenizer.encoder.0.weight": torch.zeros(2)}
    torch.save({"state_dict": tensors, "epoch": 1}, tmp_path / "p.ckpt")
    options = to_dict(VIT, defaults=True)
    card = load_card(import_published(tmp_path / "p.ckpt", "encoder", tmp_path / "res", options))
    volume = torch.rand(1, 3, 4, 8, 8)
    with torch.no_grad():
        assert torch.allclose(load_encoder(card)(volume, 0), net.encoder(volume, 0), atol=1e-5)


def test_what_is_refused(tmp_path):
    with pytest.raises(InputError, match="no file"):
        import_published(tmp_path / "none.ckpt", "encoder", tmp_path)
    torch.save({"model": {"decoder.0.weight": torch.zeros(2)}}, tmp_path / "s.ckpt")
    with pytest.raises(WeightsError, match="lacks"):
        import_published(tmp_path / "s.ckpt", "tokenizer", tmp_path, to_dict(TOKENIZER, defaults=True))
    torch.save({"model": {"x": torch.zeros(2)}, "hyper": SpadTokenizerConfig()}, tmp_path / "t.ckpt")
    with pytest.raises(WeightsError, match="wants to run"):
        import_published(tmp_path / "t.ckpt", "tokenizer", tmp_path, to_dict(TOKENIZER, defaults=True))
    assert not (tmp_path / "cards").exists()
