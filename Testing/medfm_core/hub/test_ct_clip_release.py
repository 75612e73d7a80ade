"""CT-CLIP's checkpoint: its codebook in two shapes, what is refused, the data set's repository, the sentences."""

from __future__ import annotations

import hashlib
import json

import ct_clip_layout
import published_checkpoints as published
import pytest
import torch
from hub_server import Repository
from safetensors.torch import load_file

from medfm_core.card_library import load_card
from medfm_core.card_sources import KeyRule, repository_folder
from medfm_core.errors import WeightsError
from medfm_core.hub import conversion_worker
from medfm_core.hub.problems import HubError
from medfm_core.hub.pull import pull_card
from medfm_core.hub.targets import expected_shapes
from medfm_core.own_prompts import questions
from medfm_core.settings import read_settings
from medfm_core.strict import to_dict

from .conftest import ACCESS, CONFIG, WEIGHTS, card_data
from .test_published_findings import small_data

CARDS = read_settings().resources / "cards"
CODEBOOK = "visual_transformer.vq._codebook.embed"


@pytest.fixture
def small(tmp_path):
    """A small card, its configuration and a checkpoint's tensors."""
    from medfm_core.findings_model import architecture_of

    (tmp_path / "ct-clip.v1.json").write_text(json.dumps(small_data("ct-clip.v1")))
    card = load_card(tmp_path / "ct-clip.v1.json")
    config, text = architecture_of(card)
    return card, config, published.random_state(ct_clip_layout.published_shapes(config, text.text_width, 1))


def converted(tmp_path, card, state):
    """What the image encoder's file is made of, here and not in a process of its own."""
    source, target, file = tmp_path / "theirs.pt", tmp_path / "ours.safetensors", card.weights[0]
    source.write_bytes(published.saved(state))
    conversion_worker.convert(
        {
            "source": str(source),
            "target": str(target),
            "conversion": to_dict(file.converted, defaults=True),
            "expected": {name: list(shape) for name, shape in expected_shapes(card, file).items()},
            "source_sha256": "0" * 64,
        }
    )
    return load_file(target)


def test_the_codebook_comes_in_two_shapes(tmp_path, small):
    """As vector-quantize-pytorch has written it over time; its running averages are left out."""
    card, _, state = small
    first = converted(tmp_path, card, state)
    older = state | {CODEBOOK: state[CODEBOOK][0], CODEBOOK + "_avg": state[CODEBOOK]}
    second = converted(tmp_path, card, older)
    assert set(first) == set(second)
    assert torch.equal(first["codebook"], state[CODEBOOK][0])
    assert torch.equal(second["codebook"], first["codebook"])
    with pytest.raises(WeightsError, match=r"'codebook' is \[2, 16, 12\] instead of \[16, 12\]"):
        converted(tmp_path, card, state | {CODEBOOK: state[CODEBOOK].repeat(2, 1, 1)})


def test_tokens_of_another_size_are_refused(tmp_path, small):
    from dataclasses import replace

    card, config, _ = small
    other = replace(config, patch_size=(4, 16, 8))
    state = published.random_state(ct_clip_layout.published_shapes(other, 16, 1))
    with pytest.raises(WeightsError, match=r"another shape: 'patch_norm.weight' is \[512\] instead of \[256\]"):
        converted(tmp_path, card, state)


def test_a_tensor_that_nobody_knows_is_refused(tmp_path, small):
    card, _, state = small
    with pytest.raises(WeightsError, match=r"the network has not: 'visual_transformer\.adapter\.weight'"):
        converted(tmp_path, card, state | {"visual_transformer.adapter.weight": torch.ones(2)})


def test_leading_axes_are_dropped_by_rule_alone():
    assert KeyRule("a", "b", drop_leading=True).drop_leading
    with pytest.raises(ValueError, match="needs a rule with a new name"):
        KeyRule("a", drop_leading=True)


def test_weights_in_a_repository_of_data(made_up, write_card):
    """The hub keeps models and data sets apart; one of each may have the same name."""
    files = {"net/w.safetensors": (WEIGHTS, "weights"), "config.json": (CONFIG, "config")}
    source = {"kind": "hub", "repo": "datasets/lab/made-up", "gated": True, "access": ACCESS}
    data = card_data(files, id="in-data.v1", source=source)
    card = write_card(data)
    with pytest.raises(HubError, match=r"datasets/lab/made-up"):
        pull_card(card)
    contents = {name: content for name, (content, _) in files.items()}
    repository = Repository(contents, gated=True, commit="f" * 40)
    made_up.hub.repositories["datasets/lab/made-up"] = repository
    with pytest.raises(HubError, match=f"datasets/lab/made-up is gated and no token is set.*{ACCESS}"):
        pull_card(card)
    repository.gated = False
    made_up.hub.seen.clear()
    root = pull_card(card)
    assert root == repository_folder(made_up.cache, "datasets/lab/made-up") / ("f" * 40)
    assert hashlib.sha256((root / "net/w.safetensors").read_bytes()).hexdigest() == card.weights[0].sha256
    asked = [path for _, path, _, _ in made_up.hub.seen if not path.startswith("/cdn/")]
    assert asked
    assert all(path.startswith(("/datasets/lab/made-up/", "/api/datasets/lab/made-up")) for path in asked)
    assert pull_card(made_up.card).parent.name == "lab--made-up"


@pytest.mark.parametrize("repo", ["spaces/lab/made-up", "datasets/datasets/lab/x", "datasets//x", "made-up"])
def test_names_of_repositories(write_card, repo):
    with pytest.raises(WeightsError, match=r"must read owner/name, or datasets/owner/name"):
        write_card(card_data({"w.safetensors": (WEIGHTS, "weights")}, source={"kind": "hub", "repo": repo}))


def test_it_is_asked_with_its_owners_sentences():
    asked = {question.name: question for question in questions(load_card("ct-clip.v1", CARDS))}
    assert len(asked) == 18
    assert asked["lung_nodule"].positive == ("Lung nodule is present.",)
    assert asked["mediastinal_lymphadenopathy"].negative == ("Lymphadenopathy is not present.",)
    merlin = {question.name: question for question in questions(load_card("merlin.v1", CARDS))}
    assert len(merlin["renal_cyst"].positive) >= 3


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"asks": []}, "asks must name findings of it"),
        ({"asks": ["gallstones"]}, "gallstones has no name in it"),
        ({"wordings": {"benchmark": "ct_rat", "positive": ["{}."], "negative": ["No {}."]}}, "nearest: ct_rate"),
        ({"wordings": {"benchmark": "ct_rate", "positive": ["It is."], "negative": ["No {}."]}}, "must hold {} once"),
        ({"wordings": {"benchmark": "ct_rate", "positive": [], "negative": ["No {}."]}}, "a sentence each"),
        ({"wordings": {"benchmark": "ct_rate", "positive": ["{}."], "negative": ["{}."]}}, "positive and negative"),
    ],
)
def test_wordings_are_checked(tmp_path, changes, says):
    data = json.loads((CARDS / "ct-clip.v1.json").read_text()) | changes
    (tmp_path / "ct-clip.v1.json").write_text(json.dumps(data))
    with pytest.raises(WeightsError, match=says):
        load_card(tmp_path / "ct-clip.v1.json")
