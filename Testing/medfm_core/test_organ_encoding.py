"""Organs of a made-up scan through a tiny encoder: which are encoded, batches, precision, cancelling, bad weights."""

from __future__ import annotations

import copy
import hashlib
import json
from dataclasses import replace

import fake_findings
import fake_organs
import numpy as np
import pytest
import torch

from medfm_core.card_library import load_card
from medfm_core.errors import ResourceError, WeightsError
from medfm_core.findings_model import LoadingFindingsModel, load_findings_model, load_sentences
from medfm_core.inference import encoder_memory
from medfm_core.inference.embedding_precision import probe_embedding_precision
from medfm_core.measurements import State, measure
from medfm_core.organ_encoding import EncodingSettings, LabelledScan, encode_organs
from medfm_core.organ_volumes import organ_volumes
from medfm_core.progress import CancelledError, Progress

STEADY = EncodingSettings(deterministic=True)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("model")
    fake_findings.make(folder)
    (folder / f"{fake_organs.CARD_ID}.json").write_text(json.dumps(fake_organs.card_data()), encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def card(folder):
    return load_card(fake_findings.CARD_ID, folder)


@pytest.fixture(scope="module")
def model(card):
    return load_findings_model(card, "cpu")


@pytest.fixture(scope="module")
def scan(folder):
    image = fake_organs.make_ct()
    segmentation = fake_organs.segment(image, load_card(fake_organs.CARD_ID, folder))
    return LabelledScan(image, segmentation.labels, measure(image, segmentation))


@pytest.fixture(scope="module")
def encoded(scan, model):
    return encode_organs(scan, model, STEADY)


def test_what_is_seen_is_encoded_and_what_is_cut_says_so(encoded):
    states = {unit.name: unit.state for unit in encoded.units}
    assert list(states) == list(fake_findings.UNITS)
    assert states["pancreas"] is State.NOT_COVERED
    assert states["urinary_bladder"] is State.OUTSIDE
    assert states["gallbladder"] is State.ABSENT
    assert states["vertebrae"] is State.CUT
    organs = encoded.embedding.organs
    assert {organ.unit for organ in organs} == set(fake_organs.ORGANS)
    assert {organ.state for organ in organs if organ.unit == "vertebrae"} == {"cut"}
    assert [organ.section for organ in organs if organ.unit == "vertebrae"] == [0, 1, 2]
    assert (encoded.precision, encoded.device) == ("fp32", "cpu")


def test_vectors_are_the_encoders(encoded, scan, model):
    (liver,) = organ_volumes(scan.image, scan.labels, model.card.input, ["liver"])
    with torch.inference_mode():
        expected = model.image(liver.voxels[None], liver.size[None])[0].numpy()
    np.testing.assert_allclose(encoded.embedding.of_organ("liver"), expected, atol=1e-6)


def test_batches_and_runs_make_no_difference(encoded, scan, model):
    batched = encode_organs(scan, model)
    assert batched.batch > 1
    again = encode_organs(scan, model, STEADY)
    for one, other, same in zip(
        encoded.embedding.organs, batched.embedding.organs, again.embedding.organs, strict=True
    ):
        assert float(one.vector @ other.vector) > 0.999
        np.testing.assert_array_equal(one.vector, same.vector)


def test_some_units_only(scan, model, encoded):
    some = encode_organs(scan, model, replace(STEADY, units={"liver", "gallbladder"}))
    assert some.embedding.units == ("liver",)
    assert some.units == encoded.units
    np.testing.assert_array_equal(some.embedding.of_organ("liver"), encoded.embedding.of_organ("liver"))


def test_what_vanishes_on_the_models_grid_is_not_there(scan, model):
    labels = scan.labels.voxels.copy()
    labels[labels == 5] = 0
    gone = encode_organs(replace(scan, labels=scan.labels.with_voxels(labels)), model, STEADY)
    liver = next(unit for unit in gone.units if unit.name == "liver")
    assert (liver.state, "smaller than a voxel" in liver.reason) == (State.ABSENT, True)
    assert "liver" not in gone.embedding.units


def test_nothing_to_encode(scan, model):
    nothing = encode_organs(replace(scan, measurements=()), model)
    assert nothing.embedding.organs == ()
    assert {unit.state for unit in nothing.units} == {State.NOT_COVERED}


def test_voxels_without_a_number_do_not_spoil_an_organ(scan, model, encoded):
    voxels = scan.image.voxels.astype(np.float32)
    voxels[:2] = np.nan
    again = encode_organs(replace(scan, image=scan.image.with_voxels(voxels)), model, STEADY)
    assert float(again.embedding.of_organ("liver") @ encoded.embedding.of_organ("liver")) > 0.999


def test_cancelling_stops_between_batches(scan, model):
    class Stop(Progress):
        moves = 0

        def moved(self, stage):
            self.moves += 1

    stop = Stop()
    stop._cancelled = lambda: stop.moves >= 2
    with pytest.raises(CancelledError):
        encode_organs(scan, model, STEADY, stop)
    assert stop.moves == 2


def test_batches_fit_into_the_memory(model, monkeypatch):
    config, size, cpu = model.image.config, model.card.input.size, torch.device("cpu")
    each = encoder_memory.bytes_per_volume(config, size)
    plans = []
    for share in (2, 6, 10**6):
        monkeypatch.setattr(encoder_memory, "free_bytes", lambda device, share=share: share * each)
        plans.append(encoder_memory.plan_batch(config, size, cpu))
    assert plans == [1, 3, 16]
    monkeypatch.setattr(encoder_memory, "free_bytes", lambda device: each / 2)
    with pytest.raises(ResourceError, match="--no-findings"):
        encoder_memory.plan_batch(config, size, cpu)


@pytest.mark.parametrize(("same", "fast", "name"), [(True, True, "bf16"), (False, True, "fp32"), (True, False, "fp32")])
def test_bf16_only_where_it_is_faster_and_equal(monkeypatch, same, fast, name):
    from medfm_core.inference import embedding_precision

    clock = iter([0, 10, 10, 20, 0, 1, 1, 2] if fast else [0, 10, 10, 20, 0, 10, 10, 20])
    monkeypatch.setattr(embedding_precision.time, "perf_counter", lambda: next(clock))
    monkeypatch.setattr(embedding_precision, "cpu_has_bf16", lambda: True)

    def encode():
        half = torch.is_autocast_enabled("cpu")
        return torch.tensor([[1.0, 0.0]] if same or not half else [[0.0, 1.0]])

    assert probe_embedding_precision(encode, torch.device("cpu")).name == name


def test_loading_beside_gives_the_same_or_the_same_error(card, model, folder):
    loaded = LoadingFindingsModel(card, device="cpu")()
    assert torch.equal(loaded.image.projection.weight, model.image.projection.weight)
    assert loaded.sentences.encoder == model.sentences.encoder
    with pytest.raises(WeightsError, match="is for organ_segmentation"):
        LoadingFindingsModel(load_card(fake_organs.CARD_ID, folder))()


def broken(tmp_path, harm):
    data = copy.deepcopy(fake_findings.card_data())
    path = fake_findings.make(tmp_path, data)
    harm(tmp_path, data)
    path.write_text(json.dumps(data), encoding="utf-8")
    return load_card(path)


def shorten(tmp_path, data):
    path = tmp_path / data["weights"][0]["file"]
    path.write_bytes(path.read_bytes()[:-1])


def remake_weights(tmp_path, data):
    """Another network's weights with its own sha256: the prompts no longer belong to it."""
    other = fake_findings.card_data(card_id="other.v1")
    fake_findings.make(tmp_path, other, seed=1)
    data["weights"][0] = other["weights"][0]


def swap_text(tmp_path, data):
    data["weights"][1] = {**data["weights"][0], "role": "text"}
    path = tmp_path / "copy.safetensors"
    path.write_bytes((tmp_path / data["weights"][0]["file"]).read_bytes())
    data["weights"][1].update(file=path.name, sha256=hashlib.sha256(path.read_bytes()).hexdigest())


@pytest.mark.parametrize(
    ("harm", "says"),
    [
        (shorten, "bytes, the card says"),
        (remake_weights, "belong to the weights"),
        (swap_text, "of another network"),
        (lambda _, data: data["architecture"].update(depth=2), "of another network"),
        (lambda _, data: data["architecture"].update(dept=2), "'dept' is not known"),
        (lambda _, data: data["architecture"].pop("text_tower"), "lacks the entry 'text_tower'"),
        (lambda _, data: data["architecture"].update(name="segresnet"), "'segresnet', which is not here"),
        (lambda _, data: data["input"]["organs"].update(mask=False), "3 channels and the network takes 4"),
        (lambda _, data: data["input"]["organs"].update(extremes=True), "10 channels and the network takes 4"),
        (
            lambda _, data: data["input"]["organs"].update(densities=[0.5]),
            "7 numbers on an organ and the network takes 4",
        ),
        (lambda _, data: data["input"].update(size=[8, 16, 20]), "must be multiples of patch_size"),
        (lambda _, data: data["findings"].update(ascites=data["findings"]["gallstones"]), "prompts lack it"),
    ],
)
def test_a_model_that_does_not_fit_is_refused(tmp_path, harm, says):
    with pytest.raises(WeightsError, match=says):
        load_findings_model(broken(tmp_path, harm), "cpu")


def test_the_sentences_alone(card):
    sentences = load_sentences(card)
    yes, no = sentences.wordings("gallstones")
    assert yes.shape[1] == no.shape[1] == fake_findings.WIDTH
    assert sentences.wordings("ascites") is None
    assert sentences.scale == pytest.approx(1 / 0.07, rel=1e-4)
