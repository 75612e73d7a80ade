"""Sentence stores: lookup, content as name, and what is refused."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import save_file

from medfm_core.errors import InputError, WeightsError
from medfm_core.progress import SILENT
from medfm_core.sentence_store import KIND, SentenceStore, build_sentence_store, read_sentence_store

SENTENCES = ["No cyst.", "A cyst.", "Liver: größer.", "A cyst.", " No cyst. "]


class LetterTower:
    """Counts of letters, a third each so that float16 has to round."""

    id, width = "letters", 3

    def encode(self, sentences, progress=SILENT):
        return torch.tensor([[s.count(c) / 3 for c in "sot"] for s in sentences]).reshape(-1, 3)


@pytest.mark.parametrize("stored", [torch.float32, torch.float16])
def test_what_is_written_is_found(stored, tmp_path):
    store = build_sentence_store(SENTENCES, LetterTower(), stored)
    again = read_sentence_store(store.write(tmp_path))
    assert len(again) == 3
    assert (again.text_tower, again.width, again.stored, again.name) == ("letters", 3, stored, store.name)
    expected = LetterTower().encode([s.strip() for s in SENTENCES])
    tolerance = 0 if stored == torch.float32 else 1e-3
    torch.testing.assert_close(again.lookup(SENTENCES), expected, atol=tolerance, rtol=0)
    assert again.lookup(SENTENCES).dtype == torch.float32
    assert again.lookup([]).shape == (0, 3)


@settings(max_examples=20, deadline=None)
@given(sentences=st.lists(st.text("abc ö.", min_size=1).filter(str.strip), min_size=1), data=st.data())
def test_the_name_follows_the_content_alone(sentences, data):
    store = build_sentence_store(sentences, LetterTower())
    shuffled = data.draw(st.permutations(sentences))
    assert build_sentence_store(shuffled + sentences, LetterTower()).name == store.name
    assert build_sentence_store([*sentences, "more"], LetterTower()).name != store.name
    assert torch.equal(store.lookup(sentences), LetterTower().encode([s.strip() for s in sentences]))


def test_equal_stores_have_equal_bytes(tmp_path):
    (tmp_path / "b").mkdir()
    first = build_sentence_store(SENTENCES, LetterTower()).write(tmp_path)
    second = build_sentence_store(SENTENCES[::-1], LetterTower()).write(tmp_path / "b")
    assert first.name == second.name
    assert first.read_bytes() == second.read_bytes()


def test_missing_sentences_are_named():
    store = build_sentence_store(SENTENCES, LetterTower())
    with pytest.raises(InputError, match=r"lacks 4 sentences \('q', 'w', 'e', \.\.\.\)"):
        store.lookup(["q", "A cyst.", "w", "q", "e", "r"])


def test_values_beyond_half_precision_are_refused():
    class Loud(LetterTower):
        def encode(self, sentences, progress=SILENT):
            return super().encode(sentences) * 1e6

    with pytest.raises(InputError, match="store float32"):
        build_sentence_store(SENTENCES, Loud(), torch.float16)


def test_damaged_and_foreign_files_are_refused(tmp_path):
    path = build_sentence_store(SENTENCES, LetterTower()).write(tmp_path)
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    with pytest.raises(WeightsError, match="damaged"):
        read_sentence_store(path)
    save_file({"vectors": torch.zeros(1, 2)}, path, metadata={f"{KIND}-other": "{}"})
    with pytest.raises(WeightsError, match="is not one of medfm-sentences"):
        read_sentence_store(path)


@pytest.mark.parametrize("sentences", [("b", "a"), ("a", "a"), ("a",)])
def test_a_store_out_of_order_is_refused(sentences):
    with pytest.raises(ValueError, match=r"order|vectors"):
        SentenceStore("letters", sentences, torch.zeros(2, 3))
