"""Prompt caches: what is written comes back, and what does not belong is refused."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from types import SimpleNamespace

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from medfm_core.errors import InputError, WeightsError
from medfm_core.models.text_projection import TextProjection
from medfm_core.progress import SILENT
from medfm_core.prompts import KIND, build_prompt_cache, embed_sentences, read_prompt_cache

SHA = hashlib.sha256(b"weights").hexdigest()
WIDTH = 8


class FakeTower:
    """A vector per sentence, drawn from its letters."""

    id, width = "fake", 6

    def encode(self, sentences, progress=SILENT):
        seeds = [int(hashlib.sha256(sentence.encode()).hexdigest()[:8], 16) for sentence in sentences]
        rows = [torch.randn(self.width, generator=torch.Generator().manual_seed(seed)) for seed in seeds]
        return torch.stack(rows) if rows else torch.zeros(0, self.width)


def finding(name):
    positive = (f"There is {name}.", f"{name}, mild.")
    return SimpleNamespace(name=name, positive=positive, negative=(f"No {name}.", "Normal — as far as seen."))


CATALOGUE = [finding("steatosis"), finding("cyst")]


@pytest.fixture
def projection():
    torch.manual_seed(0)
    return TextProjection(FakeTower.width, WIDTH)


@pytest.fixture
def cache(projection):
    return build_prompt_cache(CATALOGUE, FakeTower(), projection, SHA)


@pytest.fixture
def path(cache, tmp_path):
    cache.write(tmp_path / "prompts.safetensors")
    return tmp_path / "prompts.safetensors"


def read(path, sha=SHA, width=WIDTH, findings=CATALOGUE):
    return read_prompt_cache(path, sha, width, findings)


def test_what_is_written_comes_back(cache, path):
    again = read(path)
    assert (again.source, again.prompts, again.findings) == (cache.source, cache.prompts, ("steatosis", "cyst"))
    assert torch.equal(again.vectors, cache.vectors)
    assert again.vectors.dtype == torch.float32
    torch.testing.assert_close(again.vectors.norm(dim=1), torch.ones(8), atol=1e-6, rtol=0)


def test_embeddings_are_those_of_the_projection(cache, projection):
    expected = projection(FakeTower().encode(CATALOGUE[1].negative))
    torch.testing.assert_close(cache.of_finding("cyst", "negative"), expected, atol=1e-3, rtol=0)
    free = embed_sentences(CATALOGUE[1].negative, FakeTower(), projection)
    assert torch.equal(free, expected)
    assert not free.requires_grad


def test_the_file_is_half_precision_with_one_key_and_always_the_same_bytes(cache, path, tmp_path):
    with safe_open(path, "pt") as file:
        assert set(file.metadata()) == {KIND}
        assert file.get_tensor("vectors").dtype == torch.float16
    for number in range(5):
        cache.write(tmp_path / f"{number}.safetensors")
        assert (tmp_path / f"{number}.safetensors").read_bytes() == path.read_bytes()


def test_an_unknown_finding_names_the_nearest(cache):
    with pytest.raises(InputError, match="nearest: cyst"):
        cache.of_finding("cysts", "positive")


@pytest.mark.parametrize(
    ("use", "sentence"),
    [
        ({"sha": "0" * 64}, "belong to the weights"),
        ({"width": 9}, "8 values each, the model has 9"),
        ({"findings": CATALOGUE[:1]}, "a finding 'cyst' that the catalogue does not"),
    ],
)
def test_a_cache_that_belongs_elsewhere_is_refused(use, sentence, path):
    with pytest.raises(WeightsError, match=sentence):
        read(path, **use)


def rewrite(path, change, vectors=None):
    with safe_open(path, "pt") as file:
        data = json.loads(file.metadata()[KIND])
    vectors = load_file(path)["vectors"] if vectors is None else vectors
    change(data)
    save_file({"vectors": vectors}, path, metadata={KIND: json.dumps(data)})


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda data: data.update(version=2), "version 2"),
        (lambda data: data.pop("version"), "no version"),
        (lambda data: data.update(more=1), "unknown or missing keys 'more'"),
        (lambda data: data["contents"].update(more=1), "more"),
        (lambda data: data["contents"]["source"].update(more=1), "more"),
        (lambda data: data["contents"]["source"].update(weights_sha256="x"), "64 lower-case"),
        (lambda data: data["contents"]["prompts"][0].update(polarity="maybe"), "positive, negative"),
        (lambda data: data["contents"]["prompts"][0].update(sentence="Other."), "damaged"),
        (lambda data: data.update(contents=[]), "object"),
    ],
)
def test_a_changed_description_is_refused(change, sentence, path):
    rewrite(path, change)
    with pytest.raises(WeightsError, match=sentence):
        read(path)


@pytest.mark.parametrize("place", [0, 9, 40, -1])
def test_damaged_bytes_are_refused(place, path):
    data = bytearray(path.read_bytes())
    data[place] ^= 0x55
    path.write_bytes(data)
    with pytest.raises(WeightsError, match=str(path)):
        read(path)


def test_what_is_no_cache_is_refused(path, tmp_path):
    other = tmp_path / "other.safetensors"
    for metadata in (None, {"other": "{}"}, {KIND: "no json"}, {KIND: "[" * 100_000}):
        save_file({"vectors": torch.zeros(2, 3).half()}, other, metadata=metadata)
        with pytest.raises(WeightsError, match=r"not one of|not JSON"):
            read(other)
    save_file({"vectors": torch.zeros(2, 3, dtype=torch.long)}, other, metadata={KIND: "{}"})
    with pytest.raises(WeightsError, match="not vectors"):
        read(other)
    with pytest.raises(WeightsError, match="cannot read"):
        read(tmp_path / "nothing.safetensors")


@pytest.mark.parametrize("missing", ["positive", "negative"])
def test_a_finding_needs_both_polarities(missing, projection):
    kind = finding("cyst")
    setattr(kind, missing, ())
    with pytest.raises(ValueError, match=f"no {missing} sentence"):
        build_prompt_cache([kind], FakeTower(), projection, SHA)


def test_what_cannot_be_built_is_refused():
    with pytest.raises(InputError, match="empty"):
        build_prompt_cache([], FakeTower(), TextProjection(6, WIDTH), SHA)
    with pytest.raises(InputError, match="gives 6 values, the weights want 7"):
        build_prompt_cache(CATALOGUE, FakeTower(), TextProjection(7, WIDTH), SHA)


def test_the_real_catalogue_goes_through(projection, tmp_path):
    findings = pytest.importorskip("medfm_core.anatomy.findings").load_findings()
    cache = build_prompt_cache(findings, FakeTower(), projection, SHA)
    cache.write(tmp_path / "prompts.safetensors")
    again = read(tmp_path / "prompts.safetensors", findings=findings)
    assert again.findings == tuple(kind.name for kind in findings)
    assert torch.equal(again.vectors, cache.vectors)


def test_reading_needs_no_transformers(path):
    code = (
        "import sys; sys.modules.update(transformers=None, tokenizers=None, huggingface_hub=None)\n"
        "from types import SimpleNamespace as Kind\n"
        "from medfm_core.prompts import read_prompt_cache\n"
        f"kinds = [Kind(name='steatosis'), Kind(name='cyst')]\n"
        f"print(len(read_prompt_cache({str(path)!r}, {SHA!r}, {WIDTH}, kinds).prompts))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "8"
