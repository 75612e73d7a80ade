"""Embeddings of a study: their means, their files, and what is refused; and the search for similar studies."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.numpy import load_file, save_file

from medfm_core.embedding import Encoder, OrganEmbedding, StudyEmbedding, normalised_mean
from medfm_core.embedding_files import INDEX, VECTORS, read_embeddings, write_embeddings
from medfm_core.errors import InputError
from medfm_core.similar import find_similar, result_folders

WIDTH = 6
ENCODER = Encoder("fake.v1", "a" * 64, WIDTH)


def vector(seed):
    row = np.random.default_rng(seed).standard_normal(WIDTH)
    return (row / np.linalg.norm(row)).astype(np.float32)


def study(seed=0, units=("liver", "aorta", "aorta"), encoder=ENCODER, cut=()):
    organs = []
    for number, name in enumerate(units):
        state = "cut" if name in cut else "present"
        organs.append(OrganEmbedding(name, units[:number].count(name), state, vector(100 * seed + number)))
    return StudyEmbedding(encoder, tuple(organs))


def save(folder, embedding):
    folder.mkdir(parents=True)
    write_embeddings(embedding, folder)
    return folder


def test_every_organ_counts_once_in_the_study():
    embedding = study()
    liver, *aorta = (organ.vector for organ in embedding.organs)
    np.testing.assert_allclose(embedding.of_organ("aorta"), normalised_mean(aorta))
    np.testing.assert_allclose(embedding.study, normalised_mean([liver, normalised_mean(aorta)]), atol=1e-7)
    assert embedding.units == ("liver", "aorta")
    with pytest.raises(InputError, match="nearest: liver"):
        embedding.of_organ("livr")


@settings(max_examples=30, deadline=None)
@given(st.lists(st.integers(0, 10**6), min_size=1, max_size=6))
def test_means_are_of_length_one_and_do_not_depend_on_the_order(seeds):
    mean = normalised_mean(map(vector, seeds))
    assert np.linalg.norm(mean) == pytest.approx(1, abs=1e-6)
    np.testing.assert_allclose(normalised_mean(map(vector, reversed(seeds))), mean, atol=1e-5)


def test_opposite_vectors_have_a_mean_too():
    np.testing.assert_array_equal(normalised_mean([vector(1), -vector(1)]), vector(1))


@pytest.mark.parametrize("wrong", [np.zeros(WIDTH), np.full(WIDTH, np.nan), np.ones((1, WIDTH)), np.ones(WIDTH)])
def test_what_is_no_embedding(wrong):
    with pytest.raises(ValueError, match="the embedding of liver"):
        OrganEmbedding("liver", 0, "present", wrong)


def test_what_is_written_comes_back(tmp_path):
    embedding = study(cut=("aorta",))
    again = read_embeddings(save(tmp_path / "a", embedding))
    assert again.encoder == ENCODER
    assert [(o.unit, o.section, o.state) for o in again.organs] == [
        ("liver", 0, "present"),
        ("aorta", 0, "cut"),
        ("aorta", 1, "cut"),
    ]
    np.testing.assert_array_equal([o.vector for o in again.organs], [o.vector for o in embedding.organs])
    tensors = load_file(tmp_path / "a" / VECTORS)
    assert tensors["organs"].shape == (3, WIDTH)
    np.testing.assert_array_equal(tensors["study"], embedding.study)
    assert sorted(path.name for path in (tmp_path / "a").iterdir()) == sorted((INDEX, VECTORS))


def test_a_scan_without_organs_is_written_too(tmp_path):
    again = read_embeddings(save(tmp_path / "a", StudyEmbedding(ENCODER, ())))
    assert (again.organs, again.study) == ((), None)


def damage_bytes(folder):
    data = bytearray((folder / VECTORS).read_bytes())
    data[-1] ^= 1
    (folder / VECTORS).write_bytes(data)


def change_index(**entries):
    def change(folder):
        path = folder / INDEX
        path.write_text(json.dumps(json.loads(path.read_text()) | entries))

    return change


def other_tensors(folder):
    import hashlib

    save_file({"organs": np.zeros((3, WIDTH), np.float64)}, folder / VECTORS)
    change_index(sha256=hashlib.sha256((folder / VECTORS).read_bytes()).hexdigest())(folder)


@pytest.mark.parametrize(
    ("harm", "says"),
    [
        (damage_bytes, "damaged or belong to another run"),
        (change_index(schema="medfm.embeddings.v9"), "schema must be one of"),
        (change_index(more=1), "'more' is not known"),
        (change_index(rows=[]), "another shape than their index"),
        (change_index(rows=[{"unit": "liver", "section": 0, "state": "gone"}]), "state must be one of"),
        (change_index(rows=[{"unit": "liver", "section": 0, "state": "cut"}] * 3), "stands twice"),
        (other_tensors, "another shape"),
        (lambda folder: (folder / INDEX).write_text("{"), "cannot be read"),
        (lambda folder: (folder / VECTORS).unlink(), "holds no embeddings"),
    ],
)
def test_broken_embeddings_are_refused(tmp_path, harm, says):
    folder = save(tmp_path / "a", study())
    harm(folder)
    with pytest.raises(InputError, match=says):
        read_embeddings(folder)


@pytest.fixture
def results(tmp_path):
    folder = tmp_path / "results"
    for seed in range(5):
        save(folder / f"case{seed}", study(seed))
    return folder


def test_the_nearest_come_first_and_the_study_itself_is_left_out(results):
    found = find_similar(results / "case0", results)
    ours = read_embeddings(results / "case0")
    assert found.compared == 4
    cosines = [n.similarity for n in found.neighbours]
    assert cosines == sorted(cosines, reverse=True)
    for n in found.neighbours:
        assert n.similarity == pytest.approx(float(read_embeddings(results / n.study).study @ ours.study), abs=1e-6)
    assert {n.study for n in found.neighbours} == {"case1", "case2", "case3", "case4"}
    assert [n.study for n in find_similar(results / "case0", results, top=2).neighbours] == [
        n.study for n in found.neighbours[:2]
    ]


def test_one_organ_and_a_copy_elsewhere(results):
    shutil.copytree(results / "case0", results / "deep" / "er" / "copy")
    save(results / "cut", study(7, cut=("aorta",)))
    save(results / "other-organs", study(8, units=("heart",)))
    found = find_similar(results / "case0", results, organ="aorta")
    assert (found.neighbours[0].study, found.neighbours[0].similarity) == ("deep/er/copy", pytest.approx(1))
    assert {n.study: n.state for n in found.neighbours}["cut"] == "cut"
    assert found.without_organ == 1
    with pytest.raises(InputError, match="nearest: aorta"):
        find_similar(results / "case0", results, organ="aort")


def test_only_embeddings_of_the_same_weights_are_compared(results):
    save(results / "weights", study(1, encoder=Encoder("fake.v1", "b" * 64, WIDTH)))
    save(results / "card", study(1, encoder=Encoder("fake.v2", "a" * 64, WIDTH)))
    found = find_similar(results / "case0", results)
    assert (found.compared, found.other_model) == (4, 2)


def test_broken_results_are_named_and_passed_over(results):
    damage_bytes(results / "case1")
    save(results / ".case9-1.part", study(9))
    told = []
    found = find_similar(results / "case0", results, warn=told.append)
    assert (found.compared, len(found.broken), len(told)) == (3, 1, 1)
    assert "case1" in told[0]
    assert [folder.name for folder in result_folders(results)] == [f"case{n}" for n in range(5)]


def test_what_cannot_be_searched(results, tmp_path):
    with pytest.raises(InputError, match="there is no folder"):
        find_similar(results / "case0", tmp_path / "none")
    with pytest.raises(InputError, match="holds no embeddings"):
        find_similar(tmp_path, results)
    with pytest.raises(InputError, match="at least 1"):
        find_similar(results / "case0", results, top=0)
    save(tmp_path / "empty", StudyEmbedding(ENCODER, ()))
    with pytest.raises(InputError, match="no organ of"):
        find_similar(tmp_path / "empty", results)


def test_the_search_loads_no_torch():
    code = "import sys, medfm_core.similar, medfm_core.findings; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=120)
