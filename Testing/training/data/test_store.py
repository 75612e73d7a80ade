import copy
import hashlib
import json
import multiprocessing
import os
import subprocess
import sys

import numpy as np
import pytest
from fake_cohort import body
from hypothesis import given, settings
from hypothesis import strategies as st

from medfm_core.errors import InputError
from medfm_core.geometry import Affine
from medfm_core.volume import Kind, Volume
from training.data.quantise import quantise
from training.data.store import VolumeStore, volume_key
from training.data.store_index import IndexEntry, StoreIndex
from training.data.volume_statistics import quantile

KEY = hashlib.sha256(b"one").hexdigest()
AFFINE = Affine(np.diag([2.0, 3.0, 4.0, 1.0]))


def ct(shape=(70, 45, 90), seed=0):
    hu, labels = body(seed, shape)
    return Volume(hu, AFFINE, modality="CT"), Volume(labels, AFFINE, Kind.LABEL)


@pytest.fixture(scope="module")
def stored(tmp_path_factory):
    image, labels = ct()
    store = VolumeStore(tmp_path_factory.mktemp("store") / "made")
    store.put(KEY, image, labels, {"label_names": {"5": "liver"}, "cautions": []})
    return store, image, labels


def padded(array, start, size, value):
    """The crop, formulated plainly."""
    out = np.full(size, value, array.dtype)
    for place in np.ndindex(*size):
        at = tuple(int(s + p) for s, p in zip(start, place, strict=True))
        if all(0 <= a < n for a, n in zip(at, array.shape, strict=True)):
            out[place] = array[at]
    return out


def test_what_is_stored_comes_back(stored):
    store, image, labels = stored
    volume = store.open(KEY)
    assert np.array_equal(volume.volume().voxels, image.voxels)
    assert np.array_equal(volume.labels().voxels, labels.voxels)
    assert volume.labels().voxels.dtype == np.uint8
    assert volume.affine.matches(AFFINE, 0)
    assert (volume.shape, volume.spacing, volume.modality) == (image.shape, (2.0, 3.0, 4.0), "CT")
    assert volume.label_names == {5: "liver"}


@settings(max_examples=30, deadline=None)
@given(st.tuples(*[st.integers(-12, 95)] * 3), st.tuples(*[st.integers(1, 9)] * 3))
def test_crops_equal_plain_ones_with_padding(stored, start, size):
    store, image, labels = stored
    volume = store.open(KEY)
    assert np.array_equal(volume.crop(start, size), padded(image.voxels, start, size, -1024))
    assert volume.crop(start, size).dtype == np.float32
    assert np.array_equal(volume.crop(start, size, pad_value=7, dtype=np.int16), padded(image.voxels, start, size, 7))
    assert np.array_equal(volume.labels_crop(start, size, 255), padded(labels.voxels, start, size, 255))


def test_a_crop_of_no_size_is_refused(stored):
    with pytest.raises(InputError, match="impossible"):
        stored[0].open(KEY).crop((0, 0, 0), (4, 0, 4))


def test_a_crop_reads_a_part_of_the_file(tmp_path):
    """Everything but the touched chunk may be destroyed."""
    big = VolumeStore(tmp_path)
    rng = np.random.default_rng(0)
    noise = Volume(rng.integers(-900, 900, (128, 128, 128)).astype(np.int16), AFFINE, modality="CT")
    big.put(KEY, noise)
    path = big.place(KEY) / "image.b2nd"
    data = bytearray(path.read_bytes())
    data[len(data) // 2 : len(data) // 2 + 1000] = bytes(1000)
    path.write_bytes(data)
    assert np.array_equal(big.open(KEY).crop((0, 0, 0), (40, 40, 40)), noise.voxels[:40, :40, :40])
    with pytest.raises(InputError, match="damaged"):
        big.verify(KEY)


def test_mr_keeps_its_values_to_a_stated_error(tmp_path):
    rng = np.random.default_rng(1)
    values = rng.gamma(2.0, 0.13, (40, 41, 42)).astype(np.float32)
    values[0, 0, 0] = 90.0  # an outlier, hundreds of ranges away
    volume = VolumeStore(tmp_path).put(KEY, Volume(values, AFFINE, modality="MR"))
    back = volume.crop((0, 0, 0), volume.shape)
    low, high = np.percentile(values, (0.1, 99.9))
    error = np.abs(back - values)
    error[0, 0, 0] = 0
    said = volume.facts["quantisation"]
    assert error.max() <= said["largest_error"] * 1.01 < (high - low) / 4000
    assert said["clipped_voxels"] == 1
    assert volume.crop((-1, 0, 0), (1, 1, 1))[0, 0, 0] == pytest.approx(values.min(), abs=1e-3)


@pytest.mark.parametrize("dtype", [np.uint8, np.int16])
def test_whole_numbers_are_stored_exactly(dtype):
    values = np.arange(200, dtype=dtype).reshape(5, 5, 8)
    found = quantise(values, "MR")
    assert (found.scale, found.offset, found.error, found.clipped) == (1, 0, 0, 0)
    assert np.array_equal(found.stored, values)


def test_ct_beyond_int16_is_clipped_and_said():
    values = np.array([[[-1000.4, 70000.0, 3.0]]], np.float32)
    found = quantise(values, "CT")
    assert found.stored.tolist() == [[[-1000, 32767, 3]]]
    assert found.clipped == 1
    assert found.error == pytest.approx(0.4, abs=1e-3)


def test_statistics_are_those_of_the_volume(stored):
    store, image, labels = stored
    facts = store.open(KEY).facts["statistics"]
    assert facts["mean"] == pytest.approx(image.voxels.mean(), rel=1e-5)
    assert facts["std"] == pytest.approx(image.voxels.std(), rel=1e-5)
    for percent in (0, 1, 50, 99.5, 100):
        assert quantile(facts, percent) == pytest.approx(np.percentile(image.voxels, percent), abs=1)
    assert facts["labels"] == {str(v): int((labels.voxels == v).sum()) for v in (2, 3, 5)}
    assert 0.3 < facts["foreground"]["share"] < 0.6


def test_points_lie_in_what_they_stand_for(stored):
    store, image, labels = stored
    volume = store.open(KEY)
    for value in (2, 3, 5):
        points = volume.points(value)
        assert len(points) == 32
        assert (labels.voxels[tuple(points.T)] == value).all()
    points = volume.points()
    assert len(points) == 256
    assert (image.voxels[tuple(points.T)] > -300).mean() > 0.95
    assert volume.points(77).shape == (0, 3)


def test_wide_labels_and_foreign_grids(tmp_path):
    image, labels = ct((20, 20, 20))
    wide = Volume(labels.voxels.astype(np.uint16) * 300, AFFINE, Kind.LABEL)
    volume = VolumeStore(tmp_path).put(KEY, image, wide)
    assert volume.labels().voxels.dtype == np.uint16
    assert np.array_equal(volume.labels().voxels, wide.voxels)
    with pytest.raises(InputError, match="grid"):
        VolumeStore(tmp_path).put("0" * 64, image, Volume(labels.voxels[1:], AFFINE, Kind.LABEL))
    with pytest.raises(InputError, match="no labels"):
        VolumeStore(tmp_path).put("1" * 64, image).labels_crop((0, 0, 0), (1, 1, 1))
    assert not list(tmp_path.glob("??/.part*"))


@pytest.mark.parametrize("name", ["image.b2nd", "labels.b2nd", "volume.json"])
@pytest.mark.parametrize("keep", [0, 0.5, None])
def test_damage_is_refused_by_a_sentence_and_mended_by_putting_again(tmp_path, name, keep):
    image, labels = ct((20, 20, 20))
    store = VolumeStore(tmp_path)
    store.put(KEY, image, labels)
    path = store.place(KEY) / name
    data = path.read_bytes()
    path.unlink() if keep is None else path.write_bytes(data[: int(len(data) * keep)])
    assert KEY not in store
    with pytest.raises(InputError, match="prepare"):
        store.open(KEY)
    store.put(KEY, image, labels)
    assert path.read_bytes() == data
    store.verify(KEY)


def test_a_flipped_bit_is_found(tmp_path):
    image, _ = ct((20, 20, 20))
    store = VolumeStore(tmp_path)
    store.put(KEY, image)
    path = store.place(KEY) / "image.b2nd"
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    with pytest.raises(InputError, match="its content is another"):
        store.verify(KEY)


def _put(folder):
    image, labels = ct((30, 30, 30))
    for _ in range(5):
        VolumeStore(folder).put(KEY, image, labels)


def test_writers_of_one_key_do_each_other_no_harm(tmp_path):
    processes = [multiprocessing.get_context("fork").Process(target=_put, args=(tmp_path,)) for _ in range(4)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
        assert process.exitcode == 0
    VolumeStore(tmp_path).verify(KEY)
    assert [p.name for p in tmp_path.iterdir()] == [KEY[:2]]
    assert [p.name for p in (tmp_path / KEY[:2]).iterdir()] == [KEY]


def test_halves_of_killed_runs_are_swept(tmp_path):
    """Those of a process that has ended at once, those of unknown origin after a day; see test_parts."""
    (tmp_path / "ab").mkdir()
    code = "import os, sys; from medfm_core.io.parts import part_name; os.mkdir(sys.argv[1] + '/' + part_name())"
    subprocess.run([sys.executable, "-c", code, str(tmp_path / "ab")], check=True)
    unknown = tmp_path / "ab" / ".part-123"
    unknown.mkdir()
    assert len(list((tmp_path / "ab").iterdir())) == 2
    assert VolumeStore(tmp_path).sweep() == 1
    assert list((tmp_path / "ab").iterdir()) == [unknown]
    os.utime(unknown, (0, 0))
    assert VolumeStore(tmp_path).sweep() == 1


def test_an_opened_volume_can_be_sent_to_another_process(stored):
    volume = stored[0].open(KEY)
    before = volume.crop((0, 0, 0), (4, 4, 4))
    assert volume._open
    sent = copy.deepcopy(volume)  # goes through the same state as sending it
    assert not sent._open
    assert np.array_equal(sent.crop((0, 0, 0), (4, 4, 4)), before)


def test_the_key_changes_with_all_that_decides_the_content():
    way = {"name": "body_ct", "version": 1, "modality": "CT", "input": {"spacing_mm": [3, 3, 3]}}
    keys = {
        volume_key("a", way), volume_key("b", way), volume_key("a", way, "labels"),
        volume_key("a", {**way, "version": 2}), volume_key("a", {**way, "input": {"spacing_mm": [2, 3, 3]}}),
    }  # fmt: skip
    assert len(keys) == 5
    assert volume_key("a", way) == volume_key("a", dict(reversed(way.items())))


def test_the_index_survives_a_kill_in_the_middle_of_a_line(tmp_path):
    path = tmp_path / "index.jsonl"
    first = IndexEntry(("s0", "a"), "p", "ok", key="k0")
    StoreIndex(path).add(first)
    with path.open("a") as file:
        file.write('{"identity": ["s1", ')
    StoreIndex(path).add(IndexEntry(("s1", "a"), "p", "failed", ("why",)))
    StoreIndex(path).add(IndexEntry(("s0", "a"), "p", "ok", key="k1"))
    index = StoreIndex(path)
    assert len(index) == 2
    assert index.find("p", ("s0", "a")).key == "k1"
    assert index.find("p", ("s1", "a")).sentences == ("why",)
    assert index.find("other", ("s0", "a")) is None


def test_the_facts_are_plain_json(stored):
    text = (stored[0].place(KEY) / "volume.json").read_text()
    facts = json.loads(text)
    assert facts["key"] == KEY
    assert facts["files"]["image.b2nd"]["dtype"] == "int16"
    assert len(text) < 20_000
