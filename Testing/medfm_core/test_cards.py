"""Model cards: what is accepted, what is refused and how it is said, and verifying files."""

from __future__ import annotations

import copy
import hashlib
import json

import pytest

from medfm_core.card_library import default_card, list_cards, load_card
from medfm_core.cards import verify_card
from medfm_core.errors import InputError, WeightsError
from medfm_core.strict import to_dict

CONTENT = b"not really weights, but bytes with a hash"
CARD = {
    "id": "organ-segmenter-tiny.v2",
    "task": "organ_segmentation",
    "architecture": {"name": "segresnet", "init_filters": 16, "blocks_down": [1, 2, 2, 4], "out_channels": 4},
    "weights": [{"file": "w.safetensors", "sha256": hashlib.sha256(CONTENT).hexdigest(), "bytes": len(CONTENT)}],
    "source": {"kind": "file", "path": "."},
    "input": {
        "modality": ["CT"],
        "orientation": "LPS",
        "spacing_mm": [3, 3, 3],
        "intensity": {"kind": "clip_scale", "hu": [-1000, 1000], "to": [-1, 1]},
    },
    "labels": {"1": "spleen", "2": "kidney_right", "3": "vertebrae"},
    "needs": {"ram_gb": 2.0, "seconds_cpu_512x512x133": 20},
    "licence": "Apache-2.0",
    "trained_on": ["virtual patients (ours, Apache-2.0)"],
    "measured": [{"on": "leave-one-patient-out, 2 CT", "metric": "dice", "values": {"spleen": 0.86}}],
    "intended_use": "research only; not a medical device",
    "limits": ["post-operative anatomy"],
}


def with_change(path: str, value):
    """The card with one entry replaced; `path` names it by dots."""
    card = copy.deepcopy(CARD)
    *parents, last = [int(part) if part.isdigit() else part for part in path.split(".")]
    place = card
    for part in parents:
        place = place[part]
    if value is ...:
        del place[last]
    else:
        place[last] = value
    return card


@pytest.fixture
def write(tmp_path):
    def write(card=CARD, name=None):
        path = tmp_path / f"{name or card['id']}.json"
        path.write_text(json.dumps(card), encoding="utf-8")
        (tmp_path / "w.safetensors").write_bytes(CONTENT)
        return path

    return write


def test_reads_the_designs_card(write, tmp_path):
    card = load_card(write())
    assert card.architecture.options["blocks_down"] == [1, 2, 2, 4]
    assert card.channels == {1: "spleen", 2: "kidney_right", 3: "vertebrae"}
    assert card.classes == ("spleen", "kidney_right", "vertebrae")
    assert card.needs.by_size("seconds_cpu") == {(512, 512, 133): 20.0}
    assert card.input.spacing_mm == (3.0, 3.0, 3.0)
    assert card.weights_path == tmp_path / "w.safetensors"
    assert card.verify() == (tmp_path / "w.safetensors",)
    assert load_card(CARD["id"], tmp_path) == card
    assert list_cards(tmp_path) == (card,)


def test_goes_back_to_json_and_keeps_its_digest(write):
    card = load_card(write())
    again = load_card(write(to_dict(card)))
    assert again == card
    assert again.digest == card.digest
    assert load_card(write(with_change("limits", ["others"]))).digest != card.digest


def test_room_for_what_comes_later(write):
    card = copy.deepcopy(CARD)
    card.update(
        source={
            "kind": "hub",
            "repo": "some-lab/Model",
            "revision": "0123456789abcdef0123456789abcdef01234567",
            "gated": True,
            "access": "ask the owner on the model's page",
            "mirrors": ["https://mirror.example"],
        },
        groups={"urinary": ["kidney_right"]},
        inference={"tile": [96, 96, 96], "overlap": 0.25, "precision": "bf16", "batch": 2},
        terms="For research only.",
        licence_url="https://example.org/licence",
        references=["doi:10.0/0"],
    )
    card["weights"] += [
        {"file": "sub/prompts.safetensors", "sha256": "0" * 64, "bytes": 5, "role": "prompts"},
        {"file": "tokenizer.json", "sha256": "1" * 64, "bytes": 5, "role": "tokenizer"},
    ]
    card["needs"]["ram_gb_512x512x800"] = 5
    card["measured"][0].update(baselines={"atlas": {"spleen": 0.5}}, interval={"spleen": [0.8, 0.9]}, n=2)
    card["input"].update(regions=["chest", "abdomen"], size=[192, 192, 32], spacing_rule="at_least")
    card["input"]["intensity"] = {"kind": "windows", "windows": [{"level": 40, "width": 400}], "to": [0, 1]}
    read = load_card(write(card))
    assert read.source.gated
    assert read.measured[0].baselines["atlas"] == {"spleen": 0.5}
    with pytest.raises(WeightsError, match="on the hub"):
        read.files()
    assert [path.name for path in read.files("/cache").values()] == [
        "w.safetensors",
        "prompts.safetensors",
        "tokenizer.json",
    ]


@pytest.mark.parametrize(
    ("path", "value", "says"),
    [
        ("lables", {}, r"'lables' is not known \(nearest: labels"),
        ("input.spacing", [3, 3, 3], r"'input\.spacing' is not known \(nearest: spacing_"),
        ("weights.0.sha265", "0" * 64, r"'weights\[0\]\.sha265' is not known \(nearest: sha256"),
        ("measured.0.value", {}, r"nearest: values"),
        ("source.revison", "x", r"nearest: revision"),
        ("needs.ram_gbb", 2, r"'ram_gbb' is not known \(nearest: ram_gb"),
        ("needs.seconds_cpu_512x512", 2, r"nearest: seconds_cpu_512x512x133"),
        ("needs.ram_gb", -1, "must be positive"),
        ("id", "Organ Segmenter", "must be of lower-case letters"),
        ("id", "../x", "must be of lower-case letters"),
        ("task", "organ_segmentaton", r"task 'organ_segmentaton' is not known \(nearest: organ_segmentation"),
        ("licence", ..., "lacks the entry 'licence'"),
        ("licence", "", "licence must not be empty"),
        ("trained_on", [], "trained_on must not be empty"),
        ("input.modality", ["XR"], "modality 'XR' is not known"),
        ("input.modality", [], "modality must not be empty"),
        ("input.orientation", "LPP", "orientation 'LPP' is not known"),
        ("input.spacing_mm", [3, 3, 0], r"spacing_mm \[3.0, 3.0, 0.0\] must be positive"),
        ("input.spacing_mm", [3, 3], "must have 3 values, not 2"),
        ("input.spacing_mm", ..., "spacing_mm must be given"),
        ("input.intensity.kind", "clip_scal", r"nearest: clip_scale"),
        ("input.intensity.hu", ..., "see 'hu'"),
        ("input.intensity.mean", 3, "see 'mean'"),
        ("input.intensity.hu", [1000, -1000], "must rise"),
        ("labels.1", "splen", r"nearest: spleen"),
        ("labels.0", "liver", "channel '0' must be a number from 1"),
        ("labels.9", "liver", "channel 9 is not among the network's 4"),
        ("labels", {}, "labels must not be empty"),
        ("groups", {"a": ["liver"]}, "there is no class named 'liver'"),
        ("weights", [], "must hold a file of role 'weights'"),
        ("weights.0.sha256", "ABC", "64 lower-case hexadecimal digits"),
        ("weights.0.bytes", 0, "must be positive"),
        ("weights.0.file", "../w.safetensors", "must be a relative name"),
        ("weights.0.file", "/w.safetensors", "must be a relative name"),
        ("weights.0.file", "C:w.safetensors", "must be a relative name"),
        ("weights.0.file", "a\\w.safetensors", "must be a relative name"),
        ("weights.0.file", "w.pt", r"must be a \.safetensors file"),
        ("weights.0.role", "wieghts", r"nearest: weights"),
        ("source.kind", "web", "source kind 'web' is not known"),
        ("source.kind", "hub", "needs exactly repo"),
        ("source.kind", "shipped", "see 'path'"),
        ("source", {"kind": "hub", "repo": "a/b", "revision": "main"}, "must be a full commit"),
        ("source", {"kind": "hub", "repo": "b", "revision": "0" * 40}, "must read owner/name"),
        ("source.gated", True, r"source\.access must say how"),
        ("source.mirrors", ["http://x"], "https"),
        ("measured.0.values", {}, "must not be empty"),
        ("measured.0.metric", ..., r"measured\[0\] lacks the entry 'metric'"),
        ("measured.0.baselines", {"atlas": {"liver": 0.1}}, "'liver' has a baseline or interval but no value"),
        ("measured.0.interval", {"spleen": [0.9, 0.1]}, "must rise"),
        ("inference", {"overlap": 1}, "overlap 1 must be"),
        ("inference", {"tile": [96, 0, 96]}, "must be positive"),
        ("inference", {"precision": "fp8"}, "precision 'fp8' is not known"),
    ],
)
def test_refuses_and_says_why(write, path, value, says):
    card = with_change(path, value)
    file = write(card, "organ-segmenter-tiny.v2")
    with pytest.raises(WeightsError, match=says) as caught:
        load_card(file)
    assert str(file) in str(caught.value)
    assert caught.value.exit_code == 3


def test_file_and_id_must_agree(write):
    with pytest.raises(WeightsError, match="says its id is"):
        load_card(write(name="other"))


@pytest.mark.parametrize("text", ["", "{", "[]", "\x00", "[" * 100_000])
def test_broken_files(tmp_path, text):
    path = tmp_path / "x.json"
    path.write_text(text)
    with pytest.raises(WeightsError, match=r"x\.json"):
        load_card(path)


def test_unknown_model_names_the_nearest(write, tmp_path):
    write()
    with pytest.raises(
        InputError, match=r"no model named 'organ-segmenter-tiny' \(nearest: organ-segmenter-tiny\.v2\)"
    ):
        load_card("organ-segmenter-tiny", tmp_path)
    with pytest.raises(InputError, match="no model card"):
        load_card(tmp_path / "none.json")


def test_default_card(write, tmp_path):
    with pytest.raises(WeightsError, match="no single default model"):
        default_card("organ_segmentation", tmp_path)
    write(with_change("source", {"kind": "shipped"}))
    assert default_card("organ_segmentation", tmp_path).id == CARD["id"]
    second = with_change("source", {"kind": "shipped"}) | {"id": "second.v1"}
    write(second)
    with pytest.raises(WeightsError, match=r"there: organ-segmenter-tiny\.v2, second\.v1"):
        default_card("organ_segmentation", tmp_path)
    write(second | {"default": True})
    assert default_card("organ_segmentation", tmp_path).id == "second.v1"
    with pytest.raises(InputError, match="nearest: organ_segmentation"):
        default_card("organs_segmentation", tmp_path)


def test_verify_finds_missing_short_and_changed_files(write, tmp_path):
    card = load_card(write())
    weights = tmp_path / "w.safetensors"
    assert verify_card(card, tmp_path) == (weights,)
    weights.write_bytes(CONTENT[:-1])
    with pytest.raises(WeightsError, match=r"has 40 bytes, the card says 41; use the weights that belong"):
        verify_card(card)
    weights.write_bytes(CONTENT[:-1] + b"!")
    with pytest.raises(WeightsError, match="is not the one that the card"):
        verify_card(card)
    weights.unlink()
    with pytest.raises(WeightsError, match="is missing"):
        verify_card(card)
    weights.mkdir()
    with pytest.raises(WeightsError, match="is missing"):
        verify_card(card)


def test_shipped_cards_can_be_read():
    for card in list_cards():
        assert load_card(card.id) == card
        if card.source.kind == "shipped":
            assert card.verify()


def test_shipped_weights_lie_in_the_resources(write, tmp_path, monkeypatch):
    monkeypatch.setenv("MEDFM_RESOURCES", str(tmp_path))
    (tmp_path / "vocabulary").symlink_to((_resources() / "vocabulary").resolve())
    card = load_card(write(with_change("source", {"kind": "shipped"})))
    assert card.weights_path == tmp_path / "weights" / "w.safetensors"


def _resources():
    import medfm_core.settings

    return medfm_core.settings._default_resources()
