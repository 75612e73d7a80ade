"""Fetching with the hub's real client from a server on this machine: whole files or none, whatever happens between."""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
import sys
import threading
from dataclasses import replace

import pytest
from bad_files import file_size_limit
from hub_server import COMMIT, Faults, Hub, Repository
from huggingface_hub.utils._http import close_session

from medfm_core.cards import verify_card
from medfm_core.errors import InputError, ResourceError, WeightsError
from medfm_core.hub.present import is_fetched
from medfm_core.hub.problems import HubError, WrongFileError
from medfm_core.hub.pull import pull_card
from medfm_core.hub.removing import remove_card
from medfm_core.progress import CancelledError, Silent
from medfm_core.settings import read_hub_settings

from .conftest import ACCESS, CONFIG, WEIGHTS, card_data


def leftovers(cache):
    """Files of the cache that are neither fetched files, records nor locks."""
    return [path for path in cache.rglob("*") if path.is_file() and ("part" in path.name or ".incomplete" in path.name)]


def test_fresh_then_nothing_is_asked_again(made_up):
    assert not is_fetched(made_up.card)
    with pytest.raises(WeightsError, match=r"medfm models pull made-up\.v1"):
        made_up.card.root()
    root = pull_card(made_up.card)
    assert root == made_up.root == made_up.card.root()
    assert (root / "net" / "w.safetensors").read_bytes() == WEIGHTS
    assert (root / "config.json").read_bytes() == CONFIG
    assert len(verify_card(made_up.card)) == 2
    assert is_fetched(made_up.card)
    assert not leftovers(made_up.cache)
    asked = len(made_up.hub.seen)
    assert pull_card(made_up.card) == root
    assert len(made_up.hub.seen) == asked
    assert not any("harness" in path or "telemetry" in path for _, path, _, _ in made_up.hub.seen)


@pytest.mark.parametrize("cut", [1, 8, 4096, len(WEIGHTS) - 1])
def test_goes_on_after_a_cut_within_one_run(made_up, cut):
    made_up.hub.faults = Faults(cuts=[cut])
    pull_card(made_up.card)
    assert (made_up.root / "net" / "w.safetensors").read_bytes() == WEIGHTS
    ranges = [asked for method, path, asked, _ in made_up.hub.seen if method == "GET" and "w.safe" in path]
    assert ranges == [None, f"bytes={cut}-"]


@pytest.mark.parametrize("cut", [0, 1, 100_000, len(WEIGHTS) - 1])
def test_goes_on_in_a_later_run(made_up, cut):
    made_up.hub.faults = Faults(cuts=[cut] + [0] * 20)
    with pytest.raises(HubError, match="cannot be reached"):
        pull_card(made_up.card)
    assert not list(made_up.root.rglob("*.safetensors"))
    made_up.hub.faults, made_up.hub.seen = Faults(), []
    pull_card(made_up.card)
    ranges = [asked for method, path, asked, _ in made_up.hub.seen if method == "GET" and "w.safe" in path]
    assert ranges == [f"bytes={cut}-" if cut else None]
    assert verify_card(made_up.card)


def test_a_server_without_ranges_begins_anew(made_up):
    made_up.hub.faults = Faults(cuts=[5000], no_ranges=True)
    pull_card(made_up.card)
    assert verify_card(made_up.card)


def test_wrong_content_is_never_placed(made_up):
    changed = bytearray(WEIGHTS)
    changed[-1] ^= 1
    made_up.hub.faults = Faults(swap={"net/w.safetensors": bytes(changed)})
    with pytest.raises(WrongFileError, match="not the file that the card means"):
        pull_card(made_up.card)
    assert not list(made_up.root.rglob("*.safetensors"))
    assert not leftovers(made_up.cache)


def test_another_file_is_seen_before_it_is_fetched(made_up):
    made_up.hub.faults = Faults(swap={"net/w.safetensors": WEIGHTS[:-1] + b"x"}, lie_etag=True)
    with pytest.raises(WrongFileError, match="its sha256 differs"):
        pull_card(made_up.card)
    assert made_up.hub.counts["net/w.safetensors"] == 0


def test_a_damaged_beginning_is_fetched_anew(made_up):
    part = made_up.cache / "parts" / f"{made_up.card.weights[0].sha256}.part"
    part.parent.mkdir(parents=True)
    part.write_bytes(b"x" * 1000)
    pull_card(made_up.card)
    assert verify_card(made_up.card)
    assert made_up.hub.counts["net/w.safetensors"] == 2


@pytest.mark.parametrize("harm", ["flip", "cut", "link", "gone"])
def test_a_damaged_cache_is_found_and_mended(made_up, harm, tmp_path):
    path = pull_card(made_up.card) / "net" / "w.safetensors"
    if harm == "flip":
        path.write_bytes(WEIGHTS[:-1] + b"x")
    elif harm == "cut":
        path.write_bytes(WEIGHTS[:100])
    else:
        path.unlink()
    if harm == "link":
        (tmp_path / "elsewhere").write_bytes(b"mine")
        path.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(WeightsError, match="medfm models pull"):
        verify_card(made_up.card)
    pull_card(made_up.card)
    assert path.read_bytes() == WEIGHTS
    assert not path.is_symlink()
    if harm == "link":
        assert (tmp_path / "elsewhere").read_bytes() == b"mine"


def test_a_folder_that_leads_out_of_the_cache_is_refused(made_up, tmp_path):
    (tmp_path / "outside").mkdir()
    made_up.root.mkdir(parents=True)
    (made_up.root / "net").symlink_to(tmp_path / "outside")
    with pytest.raises(WeightsError, match="leads out of the cache"):
        pull_card(made_up.card)
    assert not list((tmp_path / "outside").iterdir())


def test_disk_full_while_writing(made_up):
    with file_size_limit(50_000), pytest.raises(ResourceError, match="no space is left"):
        pull_card(made_up.card)
    assert not list(made_up.root.rglob("*.safetensors"))
    pull_card(made_up.card)
    assert verify_card(made_up.card)


def test_too_little_room_is_seen_before(made_up, monkeypatch):
    from medfm_core.hub import places

    usage = type("Usage", (), {"free": 1000})
    monkeypatch.setattr(places.shutil, "disk_usage", lambda _: usage)
    with pytest.raises(ResourceError, match="MEDFM_CACHE"):
        pull_card(made_up.card)
    assert made_up.hub.counts["net/w.safetensors"] == 0


def test_endless_content_is_stopped(made_up):
    made_up.hub.faults = Faults(endless=True)
    with pytest.raises(WeightsError, match="more bytes than the file has"):
        pull_card(made_up.card)
    assert sum(path.stat().st_size for path in leftovers(made_up.cache)) <= len(WEIGHTS)


class _StopAt(Silent):
    """Cancels when so many bytes came."""

    def __init__(self, count):
        self.count, self.is_over = count, False
        super().__init__(lambda: self.is_over)

    def moved(self, stage):
        self.is_over |= stage.name.startswith("Fetch") and stage.done >= self.count


def test_cancelled_leaves_a_beginning_to_go_on_with(made_up):
    with pytest.raises(CancelledError):
        pull_card(made_up.card, _StopAt(1))
    assert not list(made_up.root.rglob("*.safetensors"))
    (part,) = leftovers(made_up.cache)
    have = part.stat().st_size
    assert 0 < have < len(WEIGHTS)
    assert pull_card(made_up.card) == made_up.root
    assert any(asked == f"bytes={have}-" for _, _, asked, _ in made_up.hub.seen)


_TWO = """
import sys
from medfm_core.card_library import load_card
from medfm_core.hub.pull import pull_card
print(pull_card(load_card("made-up.v1")))
"""


def test_two_processes_at_once_fetch_once(made_up):
    both = [subprocess.Popen([sys.executable, "-c", _TWO], stdout=subprocess.PIPE) for _ in range(2)]
    assert [process.communicate()[0].decode().strip() for process in both] == [str(made_up.root)] * 2
    assert made_up.hub.counts == {"net/w.safetensors": 1, "config.json": 1}
    assert verify_card(made_up.card)


def test_waiting_for_another_process_can_be_cancelled(made_up):
    from filelock import FileLock

    made_up.root.parent.mkdir(parents=True)
    with FileLock(made_up.root.parent.with_name("lab--made-up.lock")):
        calls = iter(range(1000))
        result = []

        def work():
            try:
                pull_card(made_up.card, Silent(lambda: next(calls) > 2))
            except CancelledError as error:
                result.append(error)

        thread = threading.Thread(target=work)
        thread.start()
        thread.join(20)
    assert len(result) == 1


@pytest.mark.parametrize(
    ("token", "says"),
    [
        (None, f"is gated and no token is set; {ACCESS}"),
        ("hf_stranger", "has not given access"),
        ("hf_unknown", "does not accept the token"),
        ("hf_good", None),
    ],
)
def test_gated(made_up, write_card, monkeypatch, token, says):
    repository = made_up.hub.repositories["lab/made-up"]
    repository.gated, repository.allowed = True, {"hf_good"}
    source = {"kind": "hub", "repo": "lab/made-up", "revision": COMMIT, "gated": True, "access": ACCESS}
    card = write_card(card_data({"net/w.safetensors": (WEIGHTS, "weights")}, source=source))
    if token:
        monkeypatch.setenv("HF_TOKEN", token)
    if says is None:
        assert pull_card(card) == made_up.root
        assert {path.split("/")[1] for _, path, _, has in made_up.hub.seen if has} <= {"lab", "cdn"}
        return
    with pytest.raises(HubError, match=says) as caught:
        pull_card(card)
    assert token is None or token not in str(caught.value)


def test_the_token_is_for_the_hub_alone(made_up, monkeypatch):
    other = Hub()
    other.repositories = dict(made_up.hub.repositories)
    monkeypatch.setenv("HF_TOKEN", "hf_good")
    with other.running():
        made_up.hub.faults = Faults(redirect_to=f"{other.url}/cdn/lab/made-up//")
        pull_card(made_up.card)
        assert other.counts["net/w.safetensors"] == 1
        assert not any(has for *_, has in other.seen)
        assert any(has for *_, has in made_up.hub.seen)


def test_no_way_to_an_address_without_encryption(made_up):
    made_up.hub.faults = Faults(redirect_to="http://files.example.org/")
    with pytest.raises(HubError, match="without encryption"):
        pull_card(made_up.card)


@pytest.mark.parametrize(
    ("statuses", "says"),
    [
        ([500, 503], None),
        ([429, 429], None),
        ([500] * 3, "has trouble"),
        ([429] * 3, "too many requests"),
        ([404], "shows no repository"),
        ([403], "refuses"),
        ([407], "proxy asks for a name"),
    ],
)
def test_status_codes(made_up, statuses, says):
    made_up.hub.faults = Faults(statuses=list(statuses), retry_after="1" if statuses[0] == 429 else None)
    if says is None:
        assert pull_card(made_up.card)
        return
    with pytest.raises(HubError, match=says):
        pull_card(made_up.card)


def test_what_is_not_there(made_up):
    for change, says in (
        ({"repo": "lab/gone"}, "shows no repository lab/gone"),
        ({"revision": "f" * 40}, "has no revision ffffffffffff"),
    ):
        source = replace(made_up.card.source, **change)
        with pytest.raises(HubError, match=says):
            pull_card(replace(made_up.card, source=source))
    made_up.hub.repositories["lab/made-up"].files.pop("config.json")
    with pytest.raises(HubError, match=r"has no file config\.json"):
        pull_card(made_up.card)


def test_a_login_page_is_no_hub(made_up):
    made_up.hub.faults = Faults(portal=True)
    with pytest.raises(WrongFileError, match="login page"):
        pull_card(made_up.card)


def test_nobody_answers(made_up, monkeypatch):
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(HubError, match=r"127\.0\.0\.1:9 cannot be reached"):
        pull_card(made_up.card)


def test_a_mirror_of_the_environment_must_be_safe(monkeypatch):
    monkeypatch.setenv("HF_ENDPOINT", "http://mirror.example.org")
    with pytest.raises(InputError, match="https address"):
        read_hub_settings()
    monkeypatch.setenv("HF_ENDPOINT", "https://mirror.example.org/")
    assert read_hub_settings().endpoint == "https://mirror.example.org"


def test_a_mirror_of_the_card_helps_and_gets_no_token(made_up, monkeypatch):
    mirror = Hub()
    mirror.repositories = {"lab/made-up": made_up.hub.repositories["lab/made-up"]}
    monkeypatch.setenv("HF_TOKEN", "hf_good")
    with mirror.running():
        source = replace(made_up.card.source)
        object.__setattr__(source, "mirrors", (mirror.url,))  # a card takes https only
        made_up.hub.faults = Faults(statuses=[500] * 100)
        pull_card(replace(made_up.card, source=source))
        assert mirror.counts["net/w.safetensors"] == 1
        assert not any(has for *_, has in mirror.seen)


def test_through_a_proxy(made_up, monkeypatch):
    """The proxy here is the server itself: it is asked for the whole address of a host that does not exist."""
    monkeypatch.setenv("HTTP_PROXY", made_up.hub.url)
    monkeypatch.setenv("http_proxy", made_up.hub.url)
    monkeypatch.setenv("HF_ENDPOINT", "http://localhost:1")
    pull_card(made_up.card)
    assert verify_card(made_up.card)


def test_authorities_that_cannot_be_read(made_up, monkeypatch, tmp_path):
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "none.pem"))
    with pytest.raises(ResourceError, match="SSL_CERT_FILE"):
        pull_card(made_up.card)


@pytest.mark.skipif(shutil.which("openssl") is None, reason="needs openssl to make a certificate")
def test_the_institutions_own_authorities(made_up, monkeypatch, tmp_path):
    key, certificate, both = (tmp_path / name for name in ("key.pem", "certificate.pem", "both.pem"))
    names = "subjectAltName=IP:127.0.0.1"
    command = f"openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=hospital -addext {names}"
    subprocess.run([*command.split(), "-keyout", key, "-out", certificate], check=True, capture_output=True)
    both.write_bytes(key.read_bytes() + certificate.read_bytes())
    for name in ("SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"):
        monkeypatch.delenv(name, raising=False)
    secure = Hub()
    secure.repositories = made_up.hub.repositories
    with secure.running(both):
        monkeypatch.setenv("HF_ENDPOINT", secure.url)
        with pytest.raises(HubError, match=r"certificate of .* is not trusted here; set SSL_CERT_FILE"):
            pull_card(made_up.card)
        close_session()
        monkeypatch.setenv("SSL_CERT_FILE", "")  # taken back after the test
        monkeypatch.delenv("SSL_CERT_FILE")
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(certificate))
        pull_card(made_up.card)
        assert secure.counts["net/w.safetensors"] == 1
        assert verify_card(made_up.card)


_OFFLINE = """
import socket
def refuse(*args, **settings):
    raise AssertionError("a socket")
socket.socket = refuse
socket.getaddrinfo = refuse
socket.create_connection = refuse
from medfm_core.cli import main
import sys
sys.exit(main(sys.argv[1:]))
"""


@pytest.mark.parametrize("variable", ["MEDFM_OFFLINE", "HF_HUB_OFFLINE"])
def test_offline_opens_no_socket(made_up, monkeypatch, variable):
    monkeypatch.setenv(variable, "1")
    command = [sys.executable, "-c", _OFFLINE, "models", "pull", "made-up.v1", "--quiet"]
    before = subprocess.run(command, capture_output=True, text=True)
    assert (before.returncode, "stay offline" in before.stderr) == (3, True), before.stderr
    assert not made_up.hub.seen


def test_what_was_fetched_needs_no_socket(made_up, monkeypatch):
    pull_card(made_up.card)
    monkeypatch.setenv("MEDFM_OFFLINE", "1")
    for name in ("socket", "getaddrinfo", "create_connection"):
        monkeypatch.setattr(socket, name, None)
    assert pull_card(made_up.card) == made_up.root
    assert verify_card(made_up.card)


def test_a_card_without_hashes_is_pinned_at_the_first_fetch(made_up, write_card):
    data = card_data({"net/w.safetensors": (WEIGHTS, "weights"), "config.json": (CONFIG, "config")})
    data["source"].pop("revision")
    for file in data["weights"]:
        del file["sha256"], file["bytes"]
    card = write_card(data)
    root = pull_card(card)
    assert root == made_up.root
    assert verify_card(card)
    newer = Repository({"net/w.safetensors": b"other", "config.json": CONFIG}, commit="f" * 40)
    made_up.hub.repositories["lab/made-up"] = newer
    assert pull_card(card) == root  # stays what it was
    (root / "config.json").write_bytes(b"changed")
    with pytest.raises(WeightsError, match="bytes"):
        verify_card(card)
    with pytest.raises(HubError, match="has no revision"):
        pull_card(card)
    assert remove_card(card) > 0
    assert not root.exists()


def test_a_changed_small_file_is_refused_without_a_hash_of_the_card(made_up, write_card):
    data = card_data({"net/w.safetensors": (WEIGHTS, "weights"), "config.json": (CONFIG, "config")})
    for file in data["weights"]:
        del file["sha256"], file["bytes"]
    repository = made_up.hub.repositories["lab/made-up"]
    repository.small.clear()
    made_up.hub.faults = Faults(swap={"config.json": CONFIG[::-1]})
    with pytest.raises(WrongFileError):
        pull_card(write_card(data))


def test_a_file_that_is_no_safetensors_is_refused_even_with_the_right_hash(made_up, write_card):
    lies = (10**15).to_bytes(8, "little") + b"{}"
    made_up.hub.repositories["lab/made-up"].files["net/w.safetensors"] = lies
    card = write_card(card_data({"net/w.safetensors": (lies, "weights")}))
    with pytest.raises(WeightsError, match="claims a header"):
        pull_card(card)
    assert not list(made_up.root.rglob("*.safetensors"))


@pytest.mark.parametrize("name", ["../w.safetensors", "/w.safetensors", "a/../../w.safetensors", "c:w.safetensors"])
def test_names_that_lead_out_are_refused_in_the_card(write_card, name):
    with pytest.raises(WeightsError, match="relative name"):
        write_card(card_data({name: (WEIGHTS, "weights")}))


def test_remove_keeps_what_another_card_needs(made_up, write_card):
    other = write_card(card_data({"net/w.safetensors": (WEIGHTS, "weights")}, id="other.v1"))
    root = pull_card(made_up.card)
    assert remove_card(made_up.card, (made_up.card, other)) == len(CONFIG)
    assert verify_card(other)
    assert remove_card(other, (other,)) == len(WEIGHTS)
    assert not root.exists()
    assert remove_card(other) == 0


def test_record_survives_nonsense(made_up):
    root = pull_card(made_up.card)
    for text in ("", "[]", "{" * 5000, json.dumps({"files": {"config.json": 3}})):
        (root / "medfm-record.json").write_text(text)
        assert pull_card(made_up.card) == root
