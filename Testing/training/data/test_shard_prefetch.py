"""Shards over the network, fetched before they are needed: a local server, slow or broken on demand."""

from __future__ import annotations

import logging
import subprocess
import sys
import threading
import time
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from fake_cohort import INPUT, body, write_manifest, write_nifti

from medfm_core.errors import MedFMError, ResourceError
from medfm_core.strict import from_dict
from training.data.shard_prefetch import ShardPrefetcher, StoppedError
from training.data.shard_store import ShardOrder, ShardStore
from training.data.store import VolumeStore
from training.data.volumes import Volumes, VolumesConfig
from training.engine.draw import DrawKey
from training.engine.objective import Objective
from training.engine.order import Place, SamplesByPosition, batches_of, make_loader
from training.prepare import main

pytest.importorskip("webdataset")
pytest.importorskip("aiohttp")
SUBJECTS = 8
SPEC = {"modality": ["CT"], "spacing_mm": [6.0, 6.0, 6.0],
        "intensity": {"kind": "clip_scale", "hu": [-1000.0, 1000.0], "to": [-1.0, 1.0]}}  # fmt: skip


class _Handler(SimpleHTTPRequestHandler):
    """Serves files, notes which, and does what the server's `moods` say of a name."""

    def do_GET(self):
        name = self.path.rsplit("/", 1)[-1]
        self.server.asked.append(name)
        mood = self.server.moods.get(name)
        if mood == "missing":
            self.send_error(404)
        elif mood in ("slow", "cut"):
            self._drip(name, mood)
        else:
            super().do_GET()

    def _drip(self, name, mood):
        data = Path(self.directory, name).read_bytes()
        self.send_response(200)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data[: len(data) // 2])
        self.wfile.flush()
        if mood == "slow":
            self.server.released.wait(60)
            self.wfile.write(data[len(data) // 2 :])
        else:
            self.connection.close()

    def log_message(self, *_):
        pass


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, *_):
        pass


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Eight subjects in one shard each."""
    folder = tmp_path_factory.mktemp("remote")
    rows = []
    for number in range(SUBJECTS):
        write_nifti(folder / f"{number}.nii", body(number, (30, 26, 24))[0], 8.0)
        rows.append({"subject": f"s{number}", "study": "a", "path": f"{number}.nii", "modality": "CT",
                     "split": "train"})  # fmt: skip
    write_manifest(folder / "manifest.csv", rows)
    (folder / "input.yaml").write_text(INPUT)
    options = {"manifest": "manifest.csv", "store": "store", "input": "input.yaml", "shards": "shards"}
    command = [part for name, value in options.items() for part in (f"--{name}", str(folder / value))]
    assert main([*command, "--shard-mb", "0.01"]) == 0
    assert len(list((folder / "shards").glob("*.tar"))) == SUBJECTS
    return folder


@pytest.fixture
def server(made):
    handler = partial(_Handler, directory=str(made / "shards"))
    server = _Server(("127.0.0.1", 0), handler)
    server.asked, server.moods, server.released = [], {}, threading.Event()
    server.url = f"http://127.0.0.1:{server.server_port}"
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server
    server.released.set()
    server.shutdown()
    server.server_close()


def tars(server) -> list[str]:
    return [name for name in server.asked if name.endswith(".tar")]


def config(server, folder, **more):
    given = {"manifest": "", "store": server.url, "cache": str(folder / "cache"), "input": SPEC, "crop": [8, 8, 8]}
    return from_dict(VolumesConfig, {**given, "shards_together": 2, **more}, "the test")


def test_shards_come_in_the_order_asked_and_each_once(server, tmp_path):
    store = ShardStore(server.url, tmp_path / "cache")
    wanted = [5, 2, 7, 0]
    store.prefetch(wanted)
    assert store._ahead.wait(60)
    assert tars(server) == [store.shards[number]["file"] for number in wanted]
    store.prefetch([2, 7, 0, 1])
    assert store._ahead.wait(60)
    assert tars(server)[4:] == [store.shards[1]["file"]]
    for sample in store.samples:
        if sample.shard in wanted:
            store.open(sample.entry.key)
    assert len(tars(server)) == 5
    store.close()


def test_no_more_is_fetched_ahead_than_the_cache_holds(server, tmp_path):
    sizes = [shard["bytes"] for shard in ShardStore(server.url, tmp_path / "x").shards]
    store = ShardStore(server.url, tmp_path / "cache", cache_gb=3.5 * max(sizes) / 1e9)
    store.prefetch(range(SUBJECTS))
    assert store._ahead.wait(60)
    assert 3 <= len(tars(server)) < SUBJECTS
    kept = {path.name.split("-", 1)[1] for path in (tmp_path / "cache").glob("*.tar")}
    assert kept == set(tars(server))  # none had to go for another
    store.close()


def test_a_run_finds_its_shards_fetched_and_only_some_ahead(server, tmp_path):
    volumes = Volumes(config(server, tmp_path, shards_ahead=2))
    store, order = volumes._found.store, volumes._order
    first = order.shards_from(DrawKey(3, 0), 2)
    assert len(first) == 4
    volumes.item_at(DrawKey(3, 0))
    assert store._ahead.wait(60)
    assert tars(server) == [store.shards[number]["file"] for number in first]
    volumes.sample(volumes.item_at(DrawKey(3, 1)), DrawKey(3, 1))
    assert len(tars(server)) == 4
    volumes.item_at(DrawKey(3, 2))  # the next two shards come into use, and two more come after them
    assert store._ahead.wait(60)
    assert len(tars(server)) == 6
    store.close()
    quiet = Volumes(config(server, tmp_path / "b", shards_ahead=0))
    quiet.item_at(DrawKey(3, 0))
    assert quiet._found.store._ahead is None


def test_what_comes_next_is_what_the_order_needs():
    counts = (4, 3, 5, 2, 6)
    order = ShardOrder(counts, 2)
    total, shard_of = sum(counts), [s for s, n in enumerate(counts) for _ in range(n)]
    for position in range(2 * total):
        needed = []
        for later in range(position, position + total):
            shard = shard_of[order.item_at(DrawKey(9, later))]
            needed += [shard] * (shard not in needed)
        told = order.shards_from(DrawKey(9, position), 1)
        assert shard_of[order.item_at(DrawKey(9, position))] in told
        assert set(needed[:1]) <= set(told)
        assert 2 <= len(told) <= 3
        assert set(order.shards_from(DrawKey(9, position), 99)) == set(range(5))


@pytest.mark.parametrize("mood", ["missing", "cut"])
def test_a_shard_that_fails_is_named_in_one_sentence_when_it_is_needed(server, tmp_path, caplog, mood):
    store = ShardStore(server.url, tmp_path / "cache")
    name = store.shards[1]["file"]
    server.moods[name] = mood
    with caplog.at_level(logging.WARNING):
        store.prefetch([0, 1, 2])
        assert store._ahead.wait(60)
    told = [record.getMessage() for record in caplog.records if name in record.getMessage()]
    assert len(told) == 1
    assert "\n" not in told[0]
    assert store.shards[2]["file"] in tars(server), "one bad shard must not stop the others"
    key = next(sample.entry.key for sample in store.samples if sample.shard == 1)
    with pytest.raises(MedFMError, match=name) as problem:
        store.open(key)
    assert str(problem.value).count("\n") == 0
    server.moods.clear()
    store.open(key)  # it is tried again
    assert not list((tmp_path / "cache").glob(".part-*"))
    store.close()


def test_closing_ends_a_download_and_removes_what_there_is_of_it(server, tmp_path):
    store = ShardStore(server.url, tmp_path / "cache")
    server.moods[store.shards[0]["file"]] = "slow"
    store.prefetch([0, 1])
    for _ in range(200):
        if list((tmp_path / "cache").glob(".part-*")):
            break
        time.sleep(0.05)
    thread = store._ahead._thread
    threading.Timer(0.2, server.released.set).start()  # the next piece arrives after the request to stop
    store.close()
    thread.join(30)
    assert not thread.is_alive()
    assert not list((tmp_path / "cache").glob(".part-*"))
    assert not list((tmp_path / "cache").glob("*.tar"))
    assert tars(server) == [store.shards[0]["file"]]


def test_a_process_ends_although_a_server_never_answers(server, tmp_path):
    server.moods["train-000000.tar"] = "slow"
    code = (
        "import sys, time; from training.data.shard_store import ShardStore\n"
        f"store = ShardStore({server.url!r}, {str(tmp_path / 'cache')!r}); store.prefetch([0]); time.sleep(1)"
    )
    begun = subprocess.run([sys.executable, "-c", code], timeout=120, capture_output=True, text=True)
    assert begun.returncode == 0, begun.stderr
    assert "Traceback" not in begun.stderr
    ShardStore(server.url, tmp_path / "cache")  # the next start clears what was half fetched
    assert not list((tmp_path / "cache").glob(".part-*"))


class _Nothing(Objective):
    """Needs nothing of a sample."""


@pytest.mark.parametrize("workers", [0, 2])
def test_batches_are_those_of_the_store_and_errors_stay_sentences_through_workers(made, server, tmp_path, workers):
    remote = Volumes(config(server, tmp_path))
    samples = SamplesByPosition(remote, _Nothing(), seed=1)
    near = VolumeStore(made / "store")
    seen = 0
    for step, batch in enumerate(batches_of(make_loader(samples, Place(2), (0, 8), workers, False))):
        assert batch["image"].shape == (2, 1, 8, 8, 8)
        for place in range(2):
            key = remote._keys[remote._order.item_at(DrawKey(1, 2 * step + place))]
            assert batch["spacing_mm"][place].tolist() == list(near.open(key).spacing)
        seen += 1
    assert seen == 8
    server.moods = {f"train-{number:06d}.tar": "missing" for number in range(SUBJECTS)}
    broken = SamplesByPosition(Volumes(config(server, tmp_path / "other")), _Nothing(), seed=1)
    with pytest.raises(ResourceError, match=r"train-00000\d\.tar cannot be read") as problem:
        list(batches_of(make_loader(broken, Place(2), (0, 4), workers, False)))
    assert "Traceback" not in str(problem.value)
    assert problem.value.exit_code == 3


def test_a_thread_that_stops_does_not_go_on_with_the_rest():
    begun, go, got = threading.Event(), threading.Event(), []

    def fetch(number, stop):
        got.append(number)
        begun.set()
        go.wait(30)
        if stop():
            raise StoppedError

    prefetcher = ShardPrefetcher(fetch)
    prefetcher.want([3, 1, 2])
    assert begun.wait(30)
    threading.Timer(0.1, go.set).start()
    prefetcher.close()
    assert got == [3]
    prefetcher.want([4])
    assert got == [3]


def test_a_new_wish_replaces_the_old_one():
    begun, go, got = threading.Event(), threading.Event(), []

    def fetch(number, stop):
        got.append(number)
        begun.set()
        go.wait(30)

    prefetcher = ShardPrefetcher(fetch)
    prefetcher.want([0, 1, 2])
    assert begun.wait(30)
    prefetcher.want([5, 6])
    go.set()
    assert prefetcher.wait(30)
    assert got == [0, 5, 6]
    prefetcher.close()
