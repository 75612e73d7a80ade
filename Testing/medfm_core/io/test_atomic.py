"""Files are there whole or not at all."""

from __future__ import annotations

import errno
from pathlib import Path

import pytest
from bad_files import file_size_limit

from medfm_core.errors import InputError, ResourceError
from medfm_core.io.atomic import atomic_bytes, atomic_text, atomic_write, write_error


def test_replaces_only_at_the_end(tmp_path: Path) -> None:
    path = tmp_path / "a.nii.gz"
    path.write_text("old")
    with atomic_write(path) as temporary:
        assert temporary.parent == tmp_path
        assert temporary.name.endswith("a.nii.gz")
        temporary.write_text("new")
        assert path.read_text() == "old"
    assert path.read_text() == "new"
    assert list(tmp_path.iterdir()) == [path]


def test_nothing_stays_after_an_error(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text("old")

    def fail() -> None:
        with atomic_write(path) as temporary:
            temporary.write_text("half")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fail()
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_full_disk(tmp_path: Path) -> None:
    path = tmp_path / "a.bin"
    path.write_bytes(b"old")
    with file_size_limit(1000), pytest.raises(ResourceError, match="no space is left"):
        atomic_bytes(path, bytes(100_000))
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_text_is_utf8_with_unix_line_ends(tmp_path: Path) -> None:
    atomic_text(tmp_path / "a.txt", "Größe\n")
    assert (tmp_path / "a.txt").read_bytes() == "Größe\n".encode()


@pytest.mark.parametrize("place", ["no/folder/a.txt", "file/a.txt", "folder"])
def test_impossible_places(tmp_path: Path, place: str) -> None:
    (tmp_path / "file").write_text("")
    (tmp_path / "folder").mkdir()
    with pytest.raises(InputError, match="cannot write"):
        atomic_text(tmp_path / place, "text")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "folder"]


def test_very_long_names(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="name too long"):
        atomic_text(tmp_path / ("x" * 300), "text")
    atomic_text(tmp_path / ("x" * 250), "text")


@pytest.mark.parametrize(
    ("number", "kind"), [(errno.ENOSPC, ResourceError), (errno.EDQUOT, ResourceError), (errno.EACCES, InputError)]
)
def test_reasons(number: int, kind: type) -> None:
    assert isinstance(write_error(OSError(number, "x"), "a.txt"), kind)
