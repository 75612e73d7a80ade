"""Features on disk: a safetensors file with a CSV index of its items beside it, named after what they came from."""

from __future__ import annotations

import csv
import hashlib
import io
from collections.abc import Sequence
from pathlib import Path

from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from medfm_core.errors import InputError, WeightsError
from medfm_core.io.atomic import atomic_text, atomic_write, write_error
from medfm_core.weights import check_safetensors


class FeatureCache:
    """Keeps features under a key; what is damaged or does not fit counts as not there.

    Args:
        folder: made if missing.
        index: columns for the index, by name, one value per item; `item` numbers come first.
    """

    def __init__(self, folder: Path, index: dict[str, Sequence[str]] | None = None) -> None:
        self.folder, self.index = Path(folder), index or {}

    def key(self, *identity: str) -> str:
        """The key of features that come from these: hashes of weights and source, and how they were computed."""
        return hashlib.sha256("\n".join(identity).encode()).hexdigest()[:32]

    def paths(self, key: str) -> tuple[Path, Path]:
        """The features' file and its index."""
        return self.folder / f"features-{key}.safetensors", self.folder / f"features-{key}.csv"

    def read(self, key: str, items: int) -> Tensor | None:
        """The features of a key, `(items, ...)`; None where they are not there, damaged, or do not fit the index."""
        path, listed = self.paths(key)
        try:
            check_safetensors(path)
            with safe_open(path, "pt") as file:
                features = file.get_tensor("features")
                index = file.metadata()["index_sha256"]
            same = hashlib.sha256(listed.read_bytes()).hexdigest() == index
        except (WeightsError, SafetensorError, OSError, KeyError, TypeError):
            return None
        return features if same and len(features) == items and listed.read_text("utf-8") == self._rows(items) else None

    def write(self, key: str, features: Tensor) -> None:
        """Keep features; the index is written first, so that features without it are never found.

        Raises:
            InputError: the folder cannot be written, or the index has another length.
            ResourceError: the disk is full.
        """
        if any(len(values) != len(features) for values in self.index.values()):
            raise InputError("the index of the features has another length", "give one value per item")
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise write_error(error, self.folder) from error
        path, listed = self.paths(key)
        rows = self._rows(len(features))
        atomic_text(listed, rows)
        with atomic_write(path) as temporary:
            metadata = {"index_sha256": hashlib.sha256(rows.encode()).hexdigest()}
            save_file({"features": features.contiguous()}, temporary, metadata=metadata)

    def _rows(self, items: int) -> str:
        out = io.StringIO()
        writer = csv.writer(out, lineterminator="\n")
        writer.writerow(["item", *self.index])
        writer.writerows(zip(range(items), *self.index.values(), strict=False))
        return out.getvalue()
