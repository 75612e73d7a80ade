"""Published findings models: full-size names and shapes, and the whole way at a small size from the hub to findings."""

from __future__ import annotations

import io
import json
import math
import shutil

import ct_clip_layout
import fake_organs
import numpy as np
import published_checkpoints as published
import pytest
import torch
from hub_server import Repository

from medfm_core import findings_stage
from medfm_core.analysis import Options
from medfm_core.card_library import load_card
from medfm_core.cli import main
from medfm_core.errors import WeightsError
from medfm_core.findings_model import architecture_of, load_findings_model
from medfm_core.hub import conversion, conversion_worker
from medfm_core.hub.key_map import check_keys, drops_leading, map_keys
from medfm_core.hub.targets import expected_shapes
from medfm_core.models.merlin import MerlinConfig, ScanEncoder
from medfm_core.settings import read_settings

CARDS = ("totalfm-release.v1", "merlin.v1", "ct-clip.v1")
REAL_CARDS = read_settings().resources / "cards"
SMALL = {
    "totalfm-release.v1": {
        "image_size": [8, 16, 16], "patch_size": [4, 8, 8], "width": 12, "depth": 1, "heads": 2, "mlp_width": 24,
        "head_width": 12, "embedding_width": 8, "text_width": 16,
    },
    "merlin.v1": {"blocks": [1, 2, 1, 1], "width": 4, "embedding_width": 8, "text_width": 16},
    "ct-clip.v1": {
        "image_size": [24, 32, 40], "patch_size": [4, 8, 8], "width": 12, "depth": 1, "heads": 2, "head_width": 6,
        "codebook": 16, "embedding_width": 8, "text_width": 16,
    },
}  # fmt: skip
SMALL_TEXT = {"vocabulary": 300, "width": 16, "depth": 2, "heads": 2, "mlp_width": 32, "positions": 600}
_ABDOMINAL = ["hepatic_steatosis", "splenomegaly", "prostatomegaly", "renal_cyst"]
ASKED = {
    "totalfm-release.v1": _ABDOMINAL,
    "merlin.v1": _ABDOMINAL,
    "ct-clip.v1": ["hiatal_hernia", "cardiomegaly", "pericardial_effusion"],
}


def small_data(name: str) -> dict:
    """A published card at a small size."""
    data = json.loads((REAL_CARDS / f"{name}.json").read_text())
    data["architecture"] |= SMALL[name]
    data["architecture"]["text_encoder"] |= SMALL_TEXT
    data["asks"] = ASKED[name]
    whole = data["input"]["organs"].get("whole", False)
    data["input"] |= {"size": [24, 32, 40] if whole else [8, 16, 16]}
    data["input"] |= {"spacing_mm": [12.0, 9.0, 15.0]} if whole else {}
    return data


@pytest.fixture
def world(made_up, resources, write_card, monkeypatch):
    """The local hub serves a small published model; the organs are told by their HU."""
    from medfm_core import segmentation

    shutil.copytree(REAL_CARDS.parent / "vocabulary", resources / "vocabulary")
    for tokenizer in REAL_CARDS.glob("*-tokenizer.v1.json"):
        shutil.copy(tokenizer, resources / "cards")
    (resources / "cards" / "w.safetensors").write_bytes(fake_organs.WEIGHTS)
    write_card(fake_organs.card_data())
    monkeypatch.setattr(segmentation, "LoadingPredictor", fake_organs.LoadingPredictor)
    # The process of its own is tested beside the conversion; here its work is done in this one, which is quicker.
    monkeypatch.setattr(conversion, "_run", lambda order, name: conversion_worker.convert(order))

    def make(name):
        card = write_card(small_data(name))
        for repository, files in published.files_of(card).items():
            made_up.hub.repositories[repository] = Repository(files)
        return card

    return made_up, make


@pytest.mark.parametrize("name", CARDS)
def test_the_rules_turn_the_published_names_into_the_network_exactly(name):
    """At the published size, by names and shapes alone."""
    card = load_card(name, REAL_CARDS)
    with torch.device("meta"):
        shapes = _published_shapes(card)
    for file in card.weights:
        renamed = map_keys(shapes, file.converted.rules)
        kept = {old: shape[1:] if drops_leading(old, file.converted.rules) else shape for old, shape in shapes.items()}
        check_keys(renamed, kept, expected_shapes(card, file))
    counted = {file.role: sum(math.prod(s) for s in expected_shapes(card, file).values()) for file in card.weights}
    text = {"totalfm-release.v1": 149_014_272, "merlin.v1": 148_659_456, "ct-clip.v1": 108_891_648}[name]
    image = {"totalfm-release.v1": 131_755_920, "merlin.v1": 118_566_875, "ct-clip.v1": 178_616_136}[name]
    assert (counted["weights"], counted["text_encoder"]) == (image, text)


def _published_shapes(card):
    """Names and shapes of a whole published checkpoint of a card's size."""
    from medfm_core.models.published_text import text_encoder_shapes
    from medfm_core.text_towers import text_encoder_of

    config, _ = architecture_of(card)
    text = text_encoder_shapes(text_encoder_of(card))
    if card.architecture.name == "merlin":
        shapes = published.merlin_shapes(config.blocks, config.width, config.embedding_width)
        shapes |= {f"encode_text.text_encoder.{name}": shape for name, shape in text.items()}
        shapes |= {"encode_text.text_encoder.embeddings.position_ids": (1, 4098), "logit_scale": ()}
        return shapes | {"encode_text.linear_layer.weight": (512, 768), "encode_text.linear_layer.bias": (512,)}
    if card.architecture.name == "ct_clip":
        shapes = ct_clip_layout.published_shapes(config, 768)
        beside = {"embeddings.position_ids": (1, 512), "pooler.dense.weight": (768, 768), "pooler.dense.bias": (768,)}
        return shapes | {f"text_transformer.{name}": shape for name, shape in (text | beside).items()}
    shapes = published.totalfm_shapes(config) | {f"text_encoder.{name}": shape for name, shape in text.items()}
    shapes |= {"logit_scale": (1,), "logit_bias": (1,)}
    return shapes | {"text_proj.weight": (768, 768), "text_proj.bias": (768,)}


@pytest.mark.parametrize("name", CARDS)
def test_from_the_hub_to_findings(world, capsys, tmp_path, name):
    made_up, make = world
    card = make(name)
    with pytest.raises(WeightsError, match="on the hub"):
        findings_stage.load_beside(card, Options())  # before minutes are spent on the organs
    ct = fake_organs.save_ct(tmp_path / "ct.nii.gz")
    analyze = ["analyze", str(ct), "--out", str(tmp_path / "out"), "--findings-model", name, "--quiet"]
    assert main(analyze) == 3
    said = capsys.readouterr().err
    assert f"run medfm models pull {name}" in said
    assert card.licence in said
    assert main(["models", "pull", name, "--accept-licence", "--quiet"]) == 0
    assert made_up.hub.counts[card.weights[0].published] == 1  # three files are made of one download
    assert not list((made_up.cache / "parts").iterdir())
    made_up.hub.repositories.clear()
    assert main(["models", "verify", name]) == 0
    assert main(analyze) == 0
    rows = [line.split(",") for line in (tmp_path / "out" / "findings.csv").read_text().splitlines()[1:]]
    scored = [row for row in rows if row[6]]  # by sentences: without a spread another rule has answered
    assert {row[0] for row in scored} <= set(ASKED[name])
    assert {row[4] for row in scored} == {"not_assessable"}
    assert all(0 < float(row[5]) < 1 for row in scored)
    organs = {row[2] for row in rows if row[0] == "renal_cyst"}
    if card.input.organs.whole:  # one answer for the scan, and none for organs that the scan does not show
        assert organs == {"whole_scan"}
        reasons = {row[0]: row[11] for row in rows}
        assert reasons["gallstones"] == "The findings model is not asked about it."
        assert reasons["bladder_stone"] == "The organ is not in the scan."
        assert {row[0] for row in scored} == set(ASKED[name])
    else:
        assert {"kidney_left", "kidney_right"} <= organs
    capsys.readouterr()
    assert main(["models", "show", name]) == 0
    shown = capsys.readouterr().out
    assert "none: scores are shown" in shown
    assert ASKED[name][0] in shown
    assert main(["ask", "--result", str(tmp_path / "out"), "--organ", "liver", "steatosis"]) == 0
    assert main(["models", "remove", name, "--quiet"]) == 0
    assert not list((made_up.cache / "hub" / str(card.source.repo).replace("/", "--")).rglob("*.safetensors"))


def test_another_checkpoint_is_refused(world):
    made_up, make = world
    card = make("merlin.v1")
    files, name = made_up.hub.repositories["stanfordmimi/Merlin"].files, card.weights[0].published
    state = torch.load(io.BytesIO(files[name]), weights_only=True)
    del state["encode_image.i3_resnet.layer2.1.conv2.weight"]
    files[name] = published.saved(state)
    from medfm_core.hub.licences import accept
    from medfm_core.hub.pull import pull_card

    accept(card, made_up.cache)
    with pytest.raises(WeightsError, match=r"lacks 1 tensors of the network: 'stage2\.1\.look\.weight'"):
        pull_card(card)
    with pytest.raises(WeightsError, match="medfm models pull"):
        load_findings_model(card, "cpu")


def test_a_network_of_bricks_gives_what_its_layers_give_one_by_one():
    """Against the published order of layers, written down plainly."""
    config = MerlinConfig((1, 2, 1, 1), 4, 8)
    net = ScanEncoder(config).eval()
    state = published.random_state({name: tuple(v.shape) for name, v in net.state_dict().items()})
    drawn = torch.Generator().manual_seed(1)
    for name in state:
        if name.endswith("running_mean") or name.endswith("bias"):
            state[name] = torch.randn(state[name].shape, generator=drawn) * 0.1
    net.load_state_dict(state)
    volume = torch.rand((2, 1, 16, 32, 32), generator=drawn)
    with torch.no_grad():
        found, want = net(volume), _plainly(volume, state, config)
    assert torch.allclose(found, want, atol=1e-5)
    assert torch.allclose(found.norm(dim=1), torch.ones(2))


def _plainly(x, state, config):
    from torch.nn.functional import batch_norm, conv3d, max_pool3d, normalize

    def norm(x, name):
        return batch_norm(x, *(state[f"{name}.{leaf}"] for leaf in ("running_mean", "running_var", "weight", "bias")))

    x = conv3d(x.repeat(1, 3, 1, 1, 1), state["stem.weight"], stride=(1, 2, 2), padding=(1, 3, 3))
    x = max_pool3d(norm(x, "stem_norm").relu(), 3, 2, 1)
    for stage, count in enumerate(config.blocks, 1):
        for block in range(count):
            at, stride = f"stage{stage}.{block}.", 2 if stage > 1 and block == 0 else 1
            kept = x
            if f"{at}shortcut.0.weight" in state:
                kept = norm(conv3d(x, state[f"{at}shortcut.0.weight"], stride=stride), f"{at}shortcut.1")
            x = norm(conv3d(x, state[f"{at}narrow.weight"]), f"{at}narrow_norm").relu()
            x = norm(conv3d(x, state[f"{at}look.weight"], stride=stride, padding=1), f"{at}look_norm").relu()
            x = (norm(conv3d(x, state[f"{at}widen.weight"]), f"{at}widen_norm") + kept).relu()
    x = x.mean((2, 3, 4), keepdim=True)
    return normalize(conv3d(x, state["head.weight"], state["head.bias"]).flatten(1), dim=-1)


def test_a_narrow_window_changes_nothing(tmp_path):
    from medfm_core.models.published_text import NarrowWindow, TextEncoderConfig, _build

    torch.manual_seed(0)
    config = TextEncoderConfig("longformer", "t", "first", 1024, **SMALL_TEXT)
    model = _build(config).eval()
    for length in (5, 31, 40, 100):
        tokens = torch.randint(5, 300, (2, length))
        mask = torch.ones_like(tokens)
        model.config.attention_window = [512, 512]
        for layer in model.encoder.layer:
            layer.attention.self.one_sided_attn_window_size = 256
        with torch.no_grad():
            want = model(input_ids=tokens, attention_mask=mask).last_hidden_state
            found = NarrowWindow(model)(tokens, mask).last_hidden_state
        assert torch.allclose(found, want, atol=1e-5), length


def test_the_scan_is_brought_to_size_as_the_reference_does():
    """MONAI's transforms in the release's order, on a scan that is cropped along one axis and padded along another."""
    from monai.transforms import CenterSpatialCrop, ScaleIntensityRange, Spacing, SpatialPad

    from medfm_core.card_inputs import InputSpec, Intensity, OrganCrop
    from medfm_core.geometry import Affine
    from medfm_core.volume import Volume
    from medfm_core.whole_scan import scan_tensor

    voxels = np.random.default_rng(0).normal(0, 600, (40, 31, 17)).astype(np.float32)
    matrix = np.diag([0.8, 0.9, 2.5, 1.0])
    spec = InputSpec(
        ("CT",), Intensity("clip_scale", (-1000, 1000), (0, 1)), "RAS", (1.5, 1.5, 3.0), size=(20, 14, 23),
        organs=OrganCrop(whole=True),
    )  # fmt: skip
    from monai.data import MetaTensor

    found, share = scan_tensor(Volume(voxels, Affine(matrix), modality="CT"), spec)
    image = MetaTensor(torch.from_numpy(voxels)[None], torch.from_numpy(matrix))
    image = Spacing((1.5, 1.5, 3.0), mode="bilinear")(image)
    image = ScaleIntensityRange(-1000, 1000, 0, 1, clip=True)(image)
    image = CenterSpatialCrop((14, 23, 20))(SpatialPad((14, 23, 20))(image))
    want = image.as_tensor().permute(0, 3, 1, 2)
    assert found.shape == want.shape == (1, 20, 14, 23)
    inside = (slice(None), slice(3, 17), slice(None), slice(3, 20))  # the last voxel may lie beyond the scan
    assert torch.allclose(found[inside], want[inside], atol=2e-5)
    assert 0.2 < share < 0.5


def test_a_card_that_contradicts_itself(world, write_card):
    data = small_data("merlin.v1")
    wrong = write_card(data | {"input": data["input"] | {"organs": {}}})
    with pytest.raises(WeightsError, match=r"contradict each other"):
        architecture_of(wrong)
    with pytest.raises(WeightsError, match="no units"):
        write_card(data | {"input": data["input"] | {"organs": {"whole": True, "mask": True}}})
    with pytest.raises(WeightsError, match="not among what the model is asked"):
        write_card(data | {"findings": {"gallstones": {"absent_below": 0.4, "present_above": 0.5, "on": "x"}}})


def test_loading_reads_no_byte_of_what_has_not_changed(made_up, monkeypatch):
    from medfm_core.hub import present
    from medfm_core.hub.pull import pull_card

    with pytest.raises(WeightsError, match=r"lab/made-up, 0 MB, licence MIT\).*medfm models import made-up\.v1 FOLDER"):
        present.require_files(made_up.card)
    pull_card(made_up.card)
    with monkeypatch.context() as patched:
        patched.setattr(present, "sha256_of", lambda path: pytest.fail("it was hashed"))
        present.require_files(made_up.card)
    weights = made_up.root / "net" / "w.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1] + b"x")
    with pytest.raises(WeightsError, match="medfm models pull made-up"):
        present.require_files(made_up.card)


def test_thresholds_are_shown(capsys):
    assert main(["models", "show", "totalfm-tiny.v2"]) == 0
    shown = capsys.readouterr().out
    assert "present from" in shown
    assert "scored only" in shown
