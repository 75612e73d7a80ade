import csv
import io
import json
import tarfile

import numpy as np
import pytest
from fake_cohort import INPUT, body, write_manifest, write_nifti

from medfm_core.errors import InputError, ResourceError
from training.data.shard_store import ShardOrder, ShardStore
from training.data.store import VolumeStore
from training.engine.draw import DrawKey
from training.prepare import main

pytest.importorskip("webdataset")
SUBJECTS = 9


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Nine subjects, the first with two studies, in shards of one subject or two."""
    folder = tmp_path_factory.mktemp("shards")
    rows = []
    for number in range(SUBJECTS + 1):
        write_nifti(folder / f"{number}.nii", body(number, (30, 26, 24))[0], 8.0)
        subject = max(0, number - 1)
        split = ("train", "train", "val")[subject % 3]
        rows.append({"subject": f"s{subject}", "study": f"{number}", "path": f"{number}.nii", "modality": "CT",
                     "split": split, "target.number": number, "text": "a, b"})  # fmt: skip
    write_manifest(folder / "manifest.csv", rows)
    (folder / "input.yaml").write_text(INPUT)
    assert shard(folder, "shards") == 0
    return folder


def shard(folder, name, megabytes="0.05"):
    command = ["--manifest", "manifest.csv", "--store", "store", "--input", "input.yaml", "--shards", name]
    command = [str(folder / part) if "." in part or part in ("store", name) else part for part in command]
    parser_needs_int = ["--shard-mb", megabytes]
    return main([*command, *parser_needs_int])


def test_shards_are_tars_that_anybody_can_read(made):
    index = json.loads((made / "shards" / "shards.json").read_text())
    names = []
    for entry in index["shards"]:
        data = (made / "shards" / entry["file"]).read_bytes()
        assert len(data) == entry["bytes"]
        with tarfile.open(fileobj=io.BytesIO(data)) as tar:
            names += [member.name.split(".", 1)[1] for member in tar]
    assert sorted(set(names)) == ["image.b2nd", "volume.json"]
    assert len(names) == 2 * (SUBJECTS + 1) == 2 * index["volumes"]


def test_webdataset_itself_reads_them(made):
    import blosc2
    import webdataset

    samples = list(webdataset.WebDataset(str(made / "shards" / "train-000000.tar"), shardshuffle=False))
    assert blosc2.ndarray_from_cframe(samples[0]["image.b2nd"])[:].dtype == np.int16


def test_no_subject_is_divided_and_no_shard_mixes_splits(made):
    shards = ShardStore(made / "shards")
    where = {}
    for sample in shards.samples:
        where.setdefault(sample.entry.identity[0], set()).add(sample.shard)
    assert all(len(numbers) == 1 for numbers in where.values())
    assert len(where) == SUBJECTS
    with shards.manifest_path().open(newline="") as file:
        rows = list(csv.DictReader(file))
    for row, sample in zip(rows, shards.samples, strict=True):
        assert row["split"] == shards.shards[sample.shard]["split"]
        assert row["subject"] == sample.entry.identity[0]
    assert sum(shards.counts("train")) + sum(shards.counts("val")) == SUBJECTS + 1
    assert len(shards.shards) > 3


def test_the_same_store_gives_the_same_bytes(made):
    assert shard(made, "again") == 0
    ours, theirs = ({p.name: p.read_bytes() for p in (made / name).iterdir()} for name in ("shards", "again"))
    assert ours == theirs


def test_larger_shards_replace_smaller_ones(made):
    shard(made, "replaced")
    before = set((made / "replaced").glob("*.tar"))
    shard(made, "replaced", "100")
    after = {path.name for path in (made / "replaced").glob("*.tar")}
    assert after == {"train-000000.tar", "val-000000.tar"}
    assert len(before) > 2


def test_crops_from_shards_are_those_of_the_store(made):
    shards, store = ShardStore(made / "shards"), VolumeStore(made / "store")
    for sample in shards.samples:
        ours, theirs = shards.open(sample.entry.key), store.open(sample.entry.key)
        assert ours.facts == theirs.facts
        assert np.array_equal(ours.crop((-2, 5, 6), (9, 9, 9)), theirs.crop((-2, 5, 6), (9, 9, 9)))


def test_shards_from_elsewhere_come_through_a_cache_that_makes_room(made, tmp_path):
    address = (made / "shards").as_uri()
    sizes = [entry["bytes"] for entry in json.loads((made / "shards" / "shards.json").read_text())["shards"]]
    shards = ShardStore(address, tmp_path / "cache", cache_gb=2.5 * max(sizes) / 1e9)
    first = shards.open(shards.samples[0].entry.key)
    for sample in shards.samples:
        shards.open(sample.entry.key)
    kept = [path.stat().st_size for path in (tmp_path / "cache").glob("*.tar")]
    assert 1 <= len(kept) < len(sizes)
    assert sum(kept) <= 2.5 * max(sizes)
    store = VolumeStore(made / "store")
    assert np.array_equal(first.crop((0, 0, 0), (5, 5, 5)), store.open(first.key).crop((0, 0, 0), (5, 5, 5)))
    with pytest.raises(InputError, match="need a folder to be kept in"):
        ShardStore(address)


def test_damaged_or_missing_shards_are_refused(made, tmp_path):
    import shutil

    shutil.copytree(made / "shards", tmp_path / "copy")
    path = tmp_path / "copy" / "train-000000.tar"
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2] + bytes(100) + data[len(data) // 2 + 100 :])
    remote = ShardStore((tmp_path / "copy").as_uri(), tmp_path / "cache")
    with pytest.raises(InputError, match=r"train-000000\.tar .* is damaged"):
        remote.open(remote.samples[0].entry.key)
    path.unlink()
    with pytest.raises(ResourceError, match="cannot be read"):
        remote.open(remote.samples[0].entry.key)
    with pytest.raises(InputError, match="no shards in"):
        ShardStore(tmp_path)


@pytest.mark.parametrize("together", [1, 2, 10])
def test_the_order_visits_every_item_once_an_epoch_and_few_shards_at_a_time(together):
    counts = (4, 3, 5, 2)
    order = ShardOrder(counts, together)
    shard_of = np.repeat(np.arange(4), counts)
    epochs = [[order.item_at(DrawKey(7, position)) for position in range(e * 14, e * 14 + 14)] for e in range(2)]
    assert sorted(epochs[0]) == sorted(epochs[1]) == list(range(14))
    assert epochs[0] != epochs[1]
    seen = [shard_of[item] for item in epochs[0]]
    for shard_number in range(4):
        places = [place for place, number in enumerate(seen) if number == shard_number]
        others = {seen[place] for place in range(places[0], places[-1] + 1)}
        assert len(others) <= together
