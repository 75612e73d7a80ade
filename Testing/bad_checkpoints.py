"""Checkpoints and archives as an attacker would make them; each leaves a mark on the disk when it has its way."""

from __future__ import annotations

import io
import os
import pickle
import stat
import zipfile
from pathlib import Path

import torch


class Payload:
    """Unpickled, it makes a file."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple:
        return os.system, (f"touch '{self.mark}'",)


def state(scale: float = 1.0) -> dict[str, torch.Tensor]:
    """A small network's tensors under foreign names."""
    return {
        "module.encoder.weight": torch.arange(12, dtype=torch.float32).reshape(3, 4) * scale,
        "module.encoder.bias": torch.ones(3, dtype=torch.float16),
        "module.head.running": torch.tensor(7),
    }


def saved(content: object, path: Path, **settings: object) -> Path:
    """What torch.save makes."""
    torch.save(content, path, **settings)
    return path


def with_pickle(path: Path, mark: Path) -> Path:
    """A checkpoint whose pickle runs a command, beside honest tensors."""
    return saved({"state_dict": state(), "hyper": Payload(mark)}, path)


def bare_pickle(path: Path, mark: Path) -> Path:
    """A pickle under a checkpoint's name."""
    path.write_bytes(pickle.dumps(Payload(mark)))
    return path


def rezipped(source: Path, path: Path, add: dict[str, bytes] | None = None, link: str | None = None) -> Path:
    """A zip file's entries, and some more.

    Args:
        source: the zip file.
        path: where to write.
        add: names to contents.
        link: the name of a link to /etc/passwd.
    """
    with zipfile.ZipFile(source) as old, zipfile.ZipFile(path, "w") as new:
        for entry in old.infolist():
            new.writestr(entry, old.read(entry))
        for name, content in (add or {}).items():
            entry = zipfile.ZipInfo("x")
            entry.filename = entry.orig_filename = name
            new.writestr(entry, content)
        if link:
            entry = zipfile.ZipInfo(link)
            entry.external_attr = (stat.S_IFLNK | 0o777) << 16
            new.writestr(entry, "/etc/passwd")
    return path


def bomb(path: Path) -> Path:
    """A zip file of 10 MB of zeros."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("archive/data.pkl", bytes(10_000_000))
    return path


def cut(source: Path, path: Path, keep: int) -> Path:
    """The beginning of a file."""
    path.write_bytes(source.read_bytes()[:keep])
    return path


def plain_zip(path: Path, files: dict[str, bytes]) -> Path:
    """A zip file of these."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    path.write_bytes(buffer.getvalue())
    return path
