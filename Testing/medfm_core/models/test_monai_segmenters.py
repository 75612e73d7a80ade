"""The published MONAI networks: their tensors, their axes, and the class prompts of VISTA3D."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import published_layouts as layouts
import pytest
import torch
from safetensors.torch import save_file

from medfm_core.anatomy import load_vocabulary
from medfm_core.card_library import load_card
from medfm_core.card_parts import Source, WeightFile
from medfm_core.errors import ResourceError, WeightsError
from medfm_core.models import monai_segresnet, monai_vista3d, segmenters

pytest.importorskip("monai")
WHOLE_BODY = ("monai-wholebody-1.5mm.v1", "monai-wholebody-3mm.v1")
VISTA = ("monai-vista3d.v1", "nv-segment-ct.v1")


def shipped(name):
    return load_card(name, layouts.CARDS)


def in_folder(card, net, folder):
    save_file({name: value.contiguous() for name, value in net.state_dict().items()}, folder / "w.safetensors")
    file = WeightFile("w.safetensors", "0" * 64, (folder / "w.safetensors").stat().st_size)
    return replace(card, weights=(file,), source=Source("file", path=str(folder)))


@pytest.mark.parametrize("name", WHOLE_BODY)
def test_the_whole_body_network_has_its_published_size(name):
    shapes = monai_segresnet.tensor_shapes(shipped(name))
    assert shapes["conv_final.2.conv.weight"] == (105, 32, 1, 1, 1)
    assert 4 * sum(np.prod(shape) for shape in shapes.values()) == 75_197_604  # of a file of 75,225,922 bytes


@pytest.mark.parametrize("name", VISTA)
def test_vista3d_keeps_what_answers_class_prompts_and_its_rules_leave_out_the_rest(name):
    from medfm_core.hub.key_map import check_keys, map_keys

    card = shipped(name)
    with torch.device("meta"):
        from monai.networks.nets.vista3d import vista3d132

        whole = vista3d132(in_channels=1)
    assert sum(value.numel() for value in whole.parameters()) == 217_964_982  # as others counted in the published file
    shapes = {key: tuple(value.shape) for key, value in whole.state_dict().items()}
    if name == "nv-segment-ct.v1":
        shapes = {f"network.{key}": shape for key, shape in shapes.items()}
    kept = monai_vista3d.tensor_shapes(card)
    check_keys(map_keys(shapes, card.weights[0].converted.rules), shapes, kept)
    assert not [key for key in kept if "point" in key]


def test_labels_of_every_published_segmenter_are_the_vocabulary_s():
    names = {organ.name for organ in load_vocabulary().organs}
    for name in (*WHOLE_BODY, *VISTA, "totalsegmentator.v2", "totalsegmentator-fast.v2"):
        card = shipped(name)
        assert set(card.classes) <= names
        for channel, label in card.channels.items():
            organ = load_vocabulary().by_name(label)
            if card.source.kind == "package":
                assert organ.id == channel
    assert set(shipped(VISTA[0]).classes) == names
    whole_body = shipped(WHOLE_BODY[0])
    assert set(range(1, 105)) - set(whole_body.channels) == {49, 93}  # pulmonary_artery and face
    assert [whole_body.channels[n] for n in range(44, 49)] == ["heart"] * 5
    # Sides of the two publications, checked by hand: left comes last in the one and first in the other.
    assert (whole_body.channels[2], whole_body.channels[58]) == ("kidney_right", "rib_left_1")
    vista = shipped(VISTA[0]).channels
    assert (vista[5], vista[14], vista[28], vista[63]) == (
        "kidney_right", "kidney_left", "lung_upper_lobe_left", "rib_left_1",
    )  # fmt: skip


def test_segresnet_sees_the_axes_in_monai_s_order(tmp_path):
    card = shipped(WHOLE_BODY[1])
    card = replace(
        card, architecture=replace(card.architecture, options={**card.architecture.options, "init_filters": 8})
    )
    theirs = layouts.published_network(card)
    ours = segmenters.load_network(in_folder(card, theirs, tmp_path))
    x = torch.randn(1, 1, 8, 16, 24)  # D, H, W
    with torch.inference_mode():
        want = theirs(x.permute(0, 1, 4, 3, 2)).permute(0, 1, 4, 3, 2)
        assert torch.allclose(ours(x), want, atol=1e-5)


def test_vista3d_gives_the_logits_of_monai_s_class_prompts(tmp_path):
    card = shipped(VISTA[0])
    options = {**card.architecture.options, "encoder_embed_dim": 8}
    card = replace(card, architecture=replace(card.architecture, options=options))
    theirs = layouts.published_network(card)
    kept = monai_vista3d.tensor_shapes(card)
    state = {key: value for key, value in theirs.state_dict().items() if key in kept}
    save_file(state, tmp_path / "w.safetensors")
    file = WeightFile("w.safetensors", "0" * 64, 1)
    ours = segmenters.load_network(replace(card, weights=(file,), source=Source("file", path=str(tmp_path))))
    assert ours.numbers == (0, *card.channels)
    x = torch.randn(1, 1, 16, 32, 48)
    prompts = torch.tensor(list(card.channels))[:, None]
    with torch.inference_mode():
        want = theirs(x.permute(0, 1, 4, 3, 2), class_vector=prompts, transpose=True).permute(0, 1, 4, 3, 2)
        got = ours(x)
    assert got.shape == (1, 118, 16, 32, 48)
    assert torch.equal(got[:, 0], torch.zeros_like(got[:, 0]))
    assert torch.allclose(got[:, 1:], want, atol=1e-4)


def test_what_cannot_be_built_is_said(monkeypatch):
    card = shipped(WHOLE_BODY[0])
    with pytest.raises(WeightsError, match=r"needs the architecture 'segresnet'.*monai_segresnet"):
        segmenters.check_architecture(replace(card, architecture=replace(card.architecture, name="segresnet")))
    monkeypatch.setattr(segmenters, "find_spec", lambda name: None)
    with pytest.raises(ResourceError, match=r"needs the package monai; run pip install 'medfm\[monai\]'"):
        segmenters.check_architecture(card)
