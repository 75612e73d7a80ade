"""Embeddings as a table and as arrays."""

from __future__ import annotations

import csv

import numpy as np
import pytest

from medfm_core.embedding import Encoder, OrganEmbedding, StudyEmbedding
from medfm_core.embedding_export import export_embeddings
from medfm_core.errors import InputError


@pytest.fixture
def embedding():
    vectors = np.random.default_rng(0).normal(size=(3, 4)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    rows = (("liver", 0, "present"), ("aorta", 0, "cut"), ("aorta", 1, "cut"))
    organs = tuple(OrganEmbedding(*row, vector) for row, vector in zip(rows, vectors, strict=True))
    return StudyEmbedding(Encoder("card.v1", "a" * 64, 4), organs)


def test_a_table_holds_every_section_and_the_study_exactly(embedding, tmp_path):
    path = export_embeddings(embedding, tmp_path / "e.csv")
    with path.open(encoding="utf-8", newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert [row["unit"] for row in rows] == ["liver", "aorta", "aorta", "study"]
    assert {row["card"] for row in rows} == {"card.v1"}
    values = np.array([[row[f"e{i}"] for i in range(4)] for row in rows], np.float32)
    assert (values[:3] == [organ.vector for organ in embedding.organs]).all()
    assert (values[3] == embedding.study).all()


def test_arrays_open_without_pickle(embedding, tmp_path):
    with np.load(export_embeddings(embedding, tmp_path / "e.npz"), allow_pickle=False) as arrays:
        assert (arrays["organs"] == [organ.vector for organ in embedding.organs]).all()
        assert arrays["units"].tolist() == ["liver", "aorta", "aorta"]
        assert arrays["sections"].tolist() == [0, 0, 1]
        assert (arrays["study"] == embedding.study).all()


def test_a_study_without_organs_has_no_study_row(tmp_path):
    empty = StudyEmbedding(Encoder("card.v1", "a" * 64, 4), ())
    assert len(export_embeddings(empty, tmp_path / "e.csv").read_text().splitlines()) == 1
    with np.load(export_embeddings(empty, tmp_path / "e.npz")) as arrays:
        assert arrays["organs"].shape == (0, 4)
        assert "study" not in arrays


def test_other_endings_are_refused(embedding, tmp_path):
    with pytest.raises(InputError, match=r"end it in \.csv or \.npz"):
        export_embeddings(embedding, tmp_path / "e.pkl")
    assert list(tmp_path.iterdir()) == []
