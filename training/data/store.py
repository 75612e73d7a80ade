"""The volume store: preprocessed volumes in compressed chunks, found by what they were made of.

    STORE/ab/abcdef.../image.b2nd    int16 (D, H, W), blosc2
    STORE/ab/abcdef.../labels.b2nd   uint8 or uint16 (D, H, W), where there are labels
    STORE/ab/abcdef.../volume.json   geometry, scale, statistics, origin, sizes and hashes of the files above
    STORE/index.jsonl                which manifest row is which key (`store_index.py`)

The key is a hash of the source files' content and of everything that decides the preparation, so the same work is never
done twice and nothing stale is ever read. A volume's folder is written beside its place and renamed as a whole.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np

from medfm_core.errors import InputError
from medfm_core.io.atomic import write_error
from medfm_core.io.parts import part_name, sweep_parts
from medfm_core.volume import Volume
from training.data.quantise import quantise
from training.data.store_writing import FACTS, FORMAT, IMAGE, LABELS, describe, label_array, write_part, write_synced
from training.data.stored_volume import DAMAGED, FilePart, StoredVolume


def volume_key(content: str, preparation: Mapping[str, Any], labels: str | None = None) -> str:
    """The key of a volume, 64 hexadecimal digits.

    Args:
        content: `content_hash` of the image's files.
        preparation: all that decides how it is prepared (`PreparationPlan.canonical`), and the series if one is named.
        labels: the same of the label map's file and names, where there is one.
    """
    parts = {"format": FORMAT, "content": content, "preparation": preparation, "labels": labels}
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


class VolumeStore:
    """A folder of stored volumes; any number of processes may read and write it at once.

    Args:
        folder: made when the first volume is put.
    """

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)

    def place(self, key: str) -> Path:
        """The folder of a key."""
        return self.folder / key[:2] / key

    def __contains__(self, key: str) -> bool:
        """Whether the volume is there, its files of the right size."""
        try:
            self.open(key)
        except InputError:
            return False
        return True

    def keys(self) -> list[str]:
        """All keys, sorted; damaged volumes too."""
        return sorted(path.parent.name for path in self.folder.glob(f"??/*/{FACTS}"))

    def open(self, key: str) -> StoredVolume:
        """Open a volume; nothing but its facts is read yet.

        Raises:
            InputError: it is not in the store, or a file is missing, cut short or of another version.
        """
        place = self.place(key)
        facts = _read_facts(place / FACTS, self.folder)
        parts = {}
        for name, file in facts["files"].items():
            path = place / name
            size = path.stat().st_size if path.is_file() else 0
            if size != file["bytes"]:
                what = f"has {size:,} bytes instead of {file['bytes']:,}" if size else "is not there"
                raise InputError(f"the stored file {path} {what}", DAMAGED)
            parts[name] = FilePart(path, 0, file["bytes"])
        return StoredVolume(key, facts, parts[IMAGE], parts.get(LABELS))

    def verify(self, key: str) -> None:
        """Read all files of a volume and compare their hashes.

        Raises:
            InputError: a file is missing or is not the one that was written.
        """
        volume = self.open(key)
        for name, file in volume.facts["files"].items():
            path = self.place(key) / name
            if hashlib.sha256(path.read_bytes()).hexdigest() != file["sha256"]:
                raise InputError(f"the stored file {path} is damaged: its content is another", DAMAGED)

    def put(
        self, key: str, image: Volume, labels: Volume | None = None, facts: Mapping[str, Any] | None = None
    ) -> StoredVolume:
        """Store a volume; if it is there already, nothing is written.

        Args:
            key: from `volume_key`.
            image: as the preparation returned it, axes (D, H, W).
            labels: its label map on the same grid, values up to 65535.
            facts: more to keep in `volume.json`: `preparation`, `source`, `label_names`, `cautions`.

        Raises:
            InputError: labels on another grid or too large, or the folder cannot be written.
            ResourceError: the disk is full.
        """
        if key in self:
            return self.open(key)
        quantised = quantise(image.voxels, image.modality)
        arrays = {IMAGE: np.ascontiguousarray(quantised.stored)}
        if labels is not None:
            arrays[LABELS] = label_array(labels, image)
        described = {**describe(image, quantised, arrays), **(facts or {})}
        described.setdefault("label_names", {})
        part = self.place(key).with_name(part_name())
        try:
            part.mkdir(parents=True)
            described["files"] = {name: write_part(part / name, array) for name, array in arrays.items()}
            write_synced(part / FACTS, json.dumps({"version": FORMAT, "key": key, **described}).encode())
            self._move(part, key)
        except OSError as error:
            raise write_error(error, self.place(key)) from error
        finally:
            shutil.rmtree(part, ignore_errors=True)
        return self.open(key)

    def remove(self, key: str) -> None:
        """Take a volume away, whole or damaged; nothing happens if it is not there."""
        away = self.place(key).with_name(part_name())
        with suppress(FileNotFoundError):
            os.rename(self.place(key), away)
        shutil.rmtree(away, ignore_errors=True)

    def sweep(self) -> int:
        """Remove what killed runs left half-written, here and of the index; returns how many that were."""
        return sweep_parts(self.folder, "??") + sweep_parts(self.folder)

    def _move(self, part: Path, key: str) -> None:
        """Rename to the final place; who comes second keeps what is there, unless that is damaged."""
        place = self.place(key)
        try:
            os.rename(part, place)
        except OSError:
            if not place.is_dir():
                raise
            if key in self:
                return
            self.remove(key)
            with suppress(FileExistsError):
                os.rename(part, place)


def _read_facts(path: Path, store: Path) -> dict[str, Any]:
    try:
        facts = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise InputError(f"the store {store} has no volume {path.parent.name[:12]}", "prepare the manifest") from error
    except (OSError, ValueError) as error:
        raise InputError(f"the stored file {path} cannot be read", DAMAGED) from error
    if not isinstance(facts, dict) or facts.get("version") != FORMAT or IMAGE not in facts.get("files", {}):
        raise InputError(f"the stored file {path} is of another version or damaged", DAMAGED)
    return facts
