"""Files taken from a folder, a zip or a file: the card's own or none."""

from __future__ import annotations

import os

import bad_checkpoints as bad
import pytest

from medfm_core.cards import verify_card
from medfm_core.errors import InputError, WeightsError
from medfm_core.hub.importing import import_card

from .conftest import CONFIG, WEIGHTS, card_data

FILES = {"net/w.safetensors": WEIGHTS, "config.json": CONFIG}


@pytest.fixture
def folder(tmp_path):
    made = tmp_path / "usb"
    (made / "net").mkdir(parents=True)
    for name, content in FILES.items():
        (made / name).write_bytes(content)
    return made


@pytest.mark.parametrize("layout", ["folders", "flat", "zip", "zip in a folder", "snapshot"])
def test_every_layout(made_up, folder, tmp_path, layout, monkeypatch):
    monkeypatch.setenv("MEDFM_OFFLINE", "1")
    given = folder
    if layout == "flat":
        (folder / "net" / "w.safetensors").rename(folder / "w.safetensors")
    elif layout.startswith("zip"):
        before = "made-up-main/" if "folder" in layout else ""
        given = bad.plain_zip(tmp_path / "m.zip", {before + name: content for name, content in FILES.items()})
    elif layout == "snapshot":
        given, blobs = tmp_path / "models--x" / "snapshots" / "0", tmp_path / "models--x" / "blobs"
        (given / "net").mkdir(parents=True)
        blobs.mkdir()
        for name, content in FILES.items():
            (blobs / name.replace("/", "-")).write_bytes(content)
            os.symlink(blobs / name.replace("/", "-"), given / name)
    root = import_card(made_up.card, given)
    assert root == made_up.root
    assert verify_card(made_up.card)
    assert not (root / "net" / "w.safetensors").is_symlink()
    assert not made_up.hub.seen


def test_files_one_by_one_under_any_name(made_up, tmp_path):
    (tmp_path / "download (1)").write_bytes(WEIGHTS)
    (tmp_path / "c").write_bytes(CONFIG)
    with pytest.raises(InputError, match=r"still missing: config\.json"):
        import_card(made_up.card, tmp_path / "download (1)")
    import_card(made_up.card, tmp_path / "c")
    assert verify_card(made_up.card)


def test_what_is_refused(made_up, write_card, folder, tmp_path):
    (folder / "net" / "w.safetensors").write_bytes(WEIGHTS[:-1] + b"x")
    with pytest.raises(WeightsError, match="its sha256 differs"):
        import_card(made_up.card, folder)
    (folder / "net" / "w.safetensors").write_bytes(WEIGHTS[:-1])
    with pytest.raises(WeightsError, match="bytes instead of"):
        import_card(made_up.card, folder)
    (tmp_path / "secret").write_bytes(WEIGHTS)
    (folder / "net" / "w.safetensors").unlink()
    (folder / "net" / "w.safetensors").symlink_to(tmp_path / "secret")
    with pytest.raises(WeightsError, match="leads out of its folder"):
        import_card(made_up.card, folder)
    with pytest.raises(InputError, match="there is no file or folder"):
        import_card(made_up.card, tmp_path / "nothing")
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="no files of"):
        import_card(made_up.card, tmp_path / "empty")
    unpinned = card_data({"net/w.safetensors": (WEIGHTS, "weights")}, id="unpinned.v1")
    del unpinned["source"]["revision"]
    with pytest.raises(InputError, match="states no revision"):
        import_card(write_card(unpinned), folder)
    assert not list(made_up.cache.rglob("*.safetensors"))
    assert not list(made_up.cache.rglob("*.part"))


@pytest.mark.parametrize(
    ("add", "link", "says"),
    [
        ({"../../../evil": b"x"}, None, "outside its folder"),
        ({"a\\..\\..\\evil": b"x"}, None, "outside its folder"),
        ({"C:/evil": b"x"}, None, "outside its folder"),
        ({"CONFIG.json": b"x"}, None, "is there twice"),
        ({}, "net/link", "link or a device"),
    ],
)
def test_zip_files_with_tricks(made_up, tmp_path, add, link, says):
    given = bad.rezipped(bad.plain_zip(tmp_path / "good.zip", FILES), tmp_path / "bad.zip", add, link)
    with pytest.raises(WeightsError, match=says):
        import_card(made_up.card, given)
    assert not list(made_up.cache.rglob("*.safetensors"))


def test_a_zip_with_a_wrong_checksum(made_up, tmp_path):
    given = bad.plain_zip(tmp_path / "good.zip", FILES)
    data = bytearray(given.read_bytes())
    data[data.index(WEIGHTS[1000:2000]) + 50] ^= 1
    given.write_bytes(data)
    with pytest.raises(WeightsError, match="not the one that the card means"):
        import_card(made_up.card, given)
    assert not list(made_up.cache.rglob("*.part"))
