"""Model cards: what a set of weights is, needs and may be used for.

A card is `cards/<id>.json` in the Resources folder. Training, inference, panel and report read everything they need to
know of a model there; keys that are not fields of `ModelCard` are refused.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from medfm_core.anatomy import load_findings, load_vocabulary
from medfm_core.card_body import check_body
from medfm_core.card_inputs import InputSpec
from medfm_core.card_parts import (
    Architecture,
    Calibration,
    InferenceSettings,
    Measured,
    Needs,
    Source,
    WeightFile,
    Wordings,
    choose,
)
from medfm_core.card_sources import fetched_folder, read_record
from medfm_core.errors import InputError, WeightsError
from medfm_core.hashing import file_sha256
from medfm_core.settings import read_hub_settings, read_settings
from medfm_core.strict import to_dict, unknown_name

TASKS = (
    "organ_segmentation",
    "findings",
    "embedding",
    "brain_embedding",
    "whole_body_embedding",
    "text_embedding",
    "text_tokens",
    "report_text",
    "reconstruction",
)
FINDINGS_ROLES = ("weights", "text", "prompts")


@dataclass(frozen=True)
class ModelCard:
    """Everything that is to be known of one set of weights.

    Attributes:
        id: name of the card, e.g. "organ-segmenter-tiny.v2"; what it means never changes.
        task: one of `TASKS`.
        architecture: the network.
        weights: its files; the first of role "weights" is the network's own. None for a program of its own.
        source: where the files come from.
        input: what goes in and how it is prepared.
        licence: SPDX identifier, or the owner's name for it.
        trained_on: data it saw, each with its licence.
        intended_use: what it may be used for.
        title, summary: for lists and reports.
        labels: network channel ("1" upwards) to vocabulary name; a channel without entry is not used, several channels
            may share a name. Empty for models without classes.
        groups: named sets of output classes, e.g. for choosing what to show.
        findings: name of the catalogue to the calibration of its score; what is not here is not assessed.
        asks: names of the catalogue that the model was made to tell and is asked about; empty for all of them.
        wordings: how it is asked about them; None for with the catalogue's sentences.
        inference: how to run it.
        needs: what the machine must have.
        measured: how good it is, and on what.
        limits: where it fails.
        licence_url: the licence's address.
        terms: what the user must accept before the first use; None when there is nothing to accept.
        references: papers and pages.
        default: whether it is what runs when the user names no model for the task.
        folder: where the card was read; None for one that was not read from a file.
    """

    id: str
    task: str
    architecture: Architecture
    weights: tuple[WeightFile, ...]
    source: Source
    input: InputSpec
    licence: str
    trained_on: tuple[str, ...]
    intended_use: str
    title: str = ""
    summary: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)
    groups: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    findings: Mapping[str, Calibration] = field(default_factory=dict)
    asks: tuple[str, ...] = ()
    wordings: Wordings | None = None
    inference: InferenceSettings = field(default_factory=InferenceSettings)
    needs: Needs = field(default_factory=Needs)
    measured: tuple[Measured, ...] = ()
    limits: tuple[str, ...] = ()
    licence_url: str | None = None
    terms: str | None = None
    references: tuple[str, ...] = ()
    default: bool = False
    folder: Path | None = field(default=None, compare=False)

    def __post_init__(self) -> None:
        if not re.fullmatch("[a-z0-9][a-z0-9._-]*", self.id):
            raise ValueError(f"id {self.id!r} must be of lower-case letters, digits, '.', '_' and '-'")
        choose("task", self.task, TASKS)
        for name in ("licence", "trained_on", "intended_use"):
            if not getattr(self, name):
                raise ValueError(f"{name} must not be empty")
        needed = "tokenizer" if self.task == "text_tokens" else "weights"
        if self.source.kind == "package" and self.weights:
            raise ValueError("weights must be empty: a package keeps its own")
        if self.source.kind != "package" and not any(file.role == needed for file in self.weights):
            raise ValueError(f"weights must hold a file of role {needed!r}")
        if len({file.file for file in self.weights}) < len(self.weights):
            raise ValueError("weights must not name a file twice")
        for file in self.weights:
            if self.source.kind != "hub" and (file.sha256 is None or file.converted):
                raise ValueError(f"{file.file} must have sha256 and bytes, and be as it is: it is not of the hub")
        if self.source.gated and not self.source.access:
            raise ValueError("source.access must say how to get access to gated weights")
        self._check_labels()
        self._check_findings()
        if self.task == "whole_body_embedding":
            check_body(self.architecture.options.get("organs"), self.input.body)
        elif self.input.body:
            raise ValueError(f"input.body belongs to a model of whole bodies, not to one of {self.task!r}")

    def _check_labels(self) -> None:
        if self.task != "organ_segmentation":
            return
        if not self.labels:
            raise ValueError("labels must not be empty for an organ segmenter")
        known = load_vocabulary().names().values()
        channels = self.architecture.options.get("out_channels")
        for channel, name in self.labels.items():
            if not re.fullmatch("[1-9][0-9]{0,3}", channel):
                raise ValueError(f"labels: the channel {channel!r} must be a number from 1 (0 is the background)")
            if isinstance(channels, int) and int(channel) >= channels:
                raise ValueError(
                    f"labels: channel {channel} is not among the network's {channels}, 0 to {channels - 1}"
                )
            if name not in known:
                raise ValueError(f"labels: channel {channel}: {unknown_name('organ', name, known)}")
        for group, members in self.groups.items():
            for name in members:
                if name not in self.labels.values():
                    raise ValueError(f"groups.{group}: {unknown_name('class', name, self.labels.values())}")

    def _check_findings(self) -> None:
        if (self.findings or self.asks or self.wordings) and self.task != "findings":
            raise ValueError(f"findings belong to a card of the task 'findings', not of {self.task!r}")
        if self.task != "findings":
            return
        if self.input.organs is None:  # which in turn asks for the size
            raise ValueError("input.organs must say how organs are cut out for a model of findings")
        for role in FINDINGS_ROLES:
            count = sum(file.role == role for file in self.weights)
            if count > 1 or (count == 0 and not (role == "prompts" and self._has_text_encoder)):
                raise ValueError(f"weights must hold one file of role {role!r} for a model of findings")
        known = load_vocabulary().names().values()
        for unit, members in self.input.organs.units.items():
            for name in members:
                if name not in known:
                    raise ValueError(f"input.organs.units.{unit}: {unknown_name('organ', name, known)}")
        catalogue = [kind.name for kind in load_findings()] if self.findings or self.asks else []
        for place, names in (("findings", self.findings), ("asks", self.asks)):
            for name in names:
                if name not in catalogue:
                    raise ValueError(f"{place}: {unknown_name('finding', name, catalogue)}")
                if self.asks and name not in self.asks:
                    raise ValueError(f"findings: {name} is calibrated and not among what the model is asked about")
        self._check_wordings()

    def _check_wordings(self) -> None:
        if self.wordings is None:
            return
        try:
            named = {kind.name for kind in load_findings().benchmark(self.wordings.benchmark).values()}
        except InputError as error:
            raise ValueError(f"wordings: {error.what}") from error
        nameless = [name for name in self.asks if name not in named]
        if nameless or not self.asks:
            what = f"{nameless[0]} has no name in it" if nameless else "asks must name findings of it"
            raise ValueError(f"wordings.benchmark {self.wordings.benchmark!r}: {what}")

    @property
    def _has_text_encoder(self) -> bool:
        """Whether its text encoder comes with it, so that the prompts can be made on this machine."""
        return any(file.role == "text_encoder" for file in self.weights)

    @property
    def channels(self) -> dict[int, str]:
        """Network channel to vocabulary name, in channel order."""
        return {int(channel): self.labels[channel] for channel in sorted(self.labels, key=int)}

    @property
    def classes(self) -> tuple[str, ...]:
        """The vocabulary names that the model can tell, each once, in channel order."""
        return tuple(dict.fromkeys(self.channels.values()))

    @property
    def digest(self) -> str:
        """sha256 of the card's content, for manifests; the layout of the file does not matter."""
        text = json.dumps(to_dict(self), sort_keys=True, ensure_ascii=False)
        return hashlib.sha256(text.encode()).hexdigest()

    def root(self) -> Path:
        """The folder that the files lie in.

        Raises:
            WeightsError: the weights are on the hub and were not fetched, or a package keeps them.
        """
        if self.source.package is not None:
            raise WeightsError(f"{self.id} runs the package {self.source.package}, which keeps its own weights")
        if self.source.kind == "shipped":
            return read_settings().resources / "weights"
        if self.source.path is not None:
            return (self.folder or Path()) / self.source.path
        folder = fetched_folder(read_hub_settings().cache, str(self.source.repo), self.source.revision)
        if folder is None or not folder.is_dir():
            raise not_fetched(self)
        return folder

    def files(self, root: str | Path | None = None) -> dict[WeightFile, Path]:
        """Each file of the card and where it lies.

        Args:
            root: the folder they lie in; by default the one of the source.
        """
        folder = self.root() if root is None else Path(root)
        return {file: folder / file.file for file in self.weights}

    @property
    def weights_path(self) -> Path:
        """Where the network's own weights lie."""
        return next(path for file, path in self.files().items() if file.role == "weights")

    def file_of(self, role: str) -> WeightFile:
        """The first file of a role.

        Raises:
            WeightsError: the card has none.
        """
        for file in self.weights:
            if file.role == role:
                return file
        raise WeightsError(f"the model {self.id} has no file of role {role!r}", "use another model")

    def sha256_of(self, role: str, root: str | Path | None = None) -> str:
        """The sha256 of the first file of a role: the card's, or what was recorded when it was fetched or converted.

        Args:
            role: of the file.
            root: the folder the files lie in, where it is not the card's own.

        Raises:
            WeightsError: the card has none, or it was not fetched.
        """
        file = self.file_of(role)
        return file.sha256 if _is_plain(file) else _identity(file, self.files(root)[file])[0]

    def verify(self, root: str | Path | None = None) -> tuple[Path, ...]:
        """Check that each file is the one that the card means: see `verify_card`."""
        return verify_card(self, root)


def verify_card(card: ModelCard, root: str | Path | None = None) -> tuple[Path, ...]:
    """Check every file of a card by size and sha256.

    Args:
        card: the card.
        root: the folder the files lie in, where it is not the card's own.

    Returns:
        The files' paths, in the card's order.

    Raises:
        WeightsError: a file is missing or is not the one that the card means.
    """
    if card.source.kind == "package":
        return ()
    fix = {
        "shipped": "install MedFM anew; in a checkout, fetch the weights of this revision",
        "file": "use the weights that belong to this card",
        "hub": f"run medfm models pull {card.id}, which fetches it again",
    }[card.source.kind]
    files = card.files(root)
    for file, path in files.items():
        if not path.is_file():
            raise WeightsError(f"the weights file {path} of {card.id} is missing", fix)
        try:
            size = path.stat().st_size
            sha256, expected = _identity(file, path)
            if size != expected:
                raise WeightsError(f"the weights file {path} has {size:,} bytes, the card says {expected:,}", fix)
            if file_sha256(path) != sha256:
                raise WeightsError(f"the weights file {path} is not the one that the card {card.id} means", fix)
        except OSError as error:
            raise WeightsError(f"cannot read the weights file {path} ({error.strerror})", fix) from error
    return tuple(files.values())


def not_fetched(card: ModelCard) -> WeightsError:
    """The error that says that a card's weights are on the hub alone, how big they are, and how to get them."""
    sizes = [file.bytes for file in card.weights]
    known = None if None in sizes else sum(size for size in sizes if size is not None) / 1e9
    big = known or card.needs.disk_gb
    size = "" if big is None else f", {big:.1f} GB" if big >= 0.1 else f", {big * 1e3:.0f} MB"
    pinned = card.source.revision is not None and None not in sizes  # the others cannot be checked by the card
    offline = f", or medfm models import {card.id} FOLDER without a network" if pinned else ""
    return WeightsError(
        f"the weights of {card.id} are on the hub ({card.source.repo}{size}, licence {card.licence}) and not on this "
        "machine",
        f"run medfm models pull {card.id}{offline}",
    )


def _identity(file: WeightFile, path: Path) -> tuple[str, int]:
    """sha256 and bytes that a file must have: the card's, or for what it does not know those of the fetch's record."""
    if _is_plain(file):
        return file.sha256, file.bytes
    root = path.parents[len(PurePosixPath(file.file).parts) - 1]
    entry = read_record(root).get(file.file)
    if entry is None or (file.converted and not entry.is_made_by(file.converted, file.sha256)):
        raise WeightsError(f"how {path} was made is not recorded as this card says", "fetch it again")
    return entry.sha256, entry.bytes


def _is_plain(file: WeightFile) -> bool:
    """Whether the card's own sha256 and bytes are those of the file."""
    return file.sha256 is not None and file.bytes is not None and file.converted is None
