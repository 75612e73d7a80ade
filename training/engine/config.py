"""A recipe: everything that decides a run, as typed and frozen data.

Recipes are YAML, and every value can be given on the command line too (`--optim.lr 3e-4`), which jsonargparse reads.
Both are checked against the configurations of the parts that the recipe names, so that `--help` knows every key.
"""

from __future__ import annotations

import hashlib
import inspect
import json
import re
from argparse import Namespace
from collections.abc import Mapping, Sequence
from dataclasses import MISSING, dataclass, field, fields, make_dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Literal

import yaml

from medfm_core.errors import InputError
from medfm_core.strict import from_dict, to_dict
from training.engine.monitors.config import MonitorConfig
from training.engine.optimisers import OptimiserConfig
from training.engine.registry import PARTS, find_part

_SECTIONS = ("model", "objective", "data")
# Keys that decide how a run is carried out, not what comes out of it: they may change when a run is resumed.
_DATA_MEANS = ("shards_ahead",)
_MEANS = ("workers", "device", "checkpoint_every", "keep_last", "keep_best", "strategy", "compile", "monitor_samples")


class _RecipeLoader(yaml.SafeLoader):
    """YAML 1.1, but with `1e-3` a number, as people write it."""


_RecipeLoader.add_implicit_resolver(
    "tag:yaml.org,2002:float", re.compile(r"^[-+]?[0-9]+(\.[0-9]*)?[eE][-+]?[0-9]+$"), list("-+0123456789")
)


@dataclass(frozen=True)
class RunConfig:
    """How long a run is, and how it is carried out.

    Attributes:
        steps: optimiser steps.
        batch_size: samples per step, over all processes and accumulated parts.
        accumulate: parts that each process cuts its share of a batch into, to save memory.
        seed: decides every draw.
        precision: `auto` trusts bf16 where it agrees with fp32 on the first batch.
        ema: decay of a running average of the weights, which is then what is exported; None for none.
        checkpoint_every: steps between checkpoints.
        keep_last: newest checkpoints to keep.
        keep_best: best checkpoints to keep.
        best: what makes a checkpoint best: a quantity that the objective logs (its mean since the checkpoint before),
            or what the monitors measure, such as `probe.auroc` (mean over the targets), `probe.TARGET.r2` or
            `health.effective_rank`; then there is a checkpoint at each step where it is measured.
        best_is: `min` or `max`: whether the lowest or the highest is best.
        workers: processes that make samples; 0 makes them between the steps.
        device: `auto`, `cpu` or `cuda`.
        strategy: how several processes share the work: `ddp`, or `fsdp`, which also shares the weights.
        compile: compile the objective with torch.compile.
        activation_checkpointing: compute activations twice and save memory.
        start_from: run folder to take weights from; None starts from random weights.
        monitor_samples: fixed samples on which the representation is watched; 0 for none, else at least 3.
    """

    steps: int = 1000
    batch_size: int = 8
    accumulate: int = 1
    seed: int = 1
    precision: Literal["auto", "fp32", "bf16"] = "auto"
    ema: float | None = None
    checkpoint_every: int = 200
    keep_last: int = 2
    keep_best: int = 1
    best: str = "loss"
    best_is: Literal["min", "max"] = "min"
    workers: int = 1
    device: Literal["auto", "cpu", "cuda"] = "auto"
    strategy: Literal["ddp", "fsdp"] = "ddp"
    compile: bool = False
    activation_checkpointing: bool = False
    start_from: str | None = None
    monitor_samples: int = 64

    def __post_init__(self) -> None:
        """Check what types cannot."""
        for name in ("steps", "batch_size", "accumulate", "checkpoint_every", "keep_last"):
            if getattr(self, name) < 1:
                raise InputError(f"run.{name} is {getattr(self, name)}", "give at least 1")
        if self.keep_best < 0:
            raise InputError(f"run.keep_best is {self.keep_best}", "give 0 (none) or more")
        if self.monitor_samples < 0 or self.monitor_samples in (1, 2):
            raise InputError(f"run.monitor_samples is {self.monitor_samples}", "give 0 (none), or 3 and more")
        if self.ema is not None and not 0 < self.ema < 1:
            raise InputError(f"run.ema is {self.ema}", "give a number between 0 and 1, such as 0.999, or null")


@dataclass(frozen=True)
class Recipe:
    """A run as data; `model`, `objective` and `data` hold the configurations of the parts that `names` names."""

    model: Any
    objective: Any
    data: Any
    optim: OptimiserConfig = field(default_factory=OptimiserConfig)
    run: RunConfig = field(default_factory=RunConfig)
    monitor: MonitorConfig = field(default_factory=MonitorConfig)
    names: Mapping[str, str] = field(default_factory=dict)

    @property
    def plain(self) -> dict[str, Any]:
        """All values, defaults filled in, as YAML and JSON can hold them."""
        parts = {name: {"name": self.names[name], **to_dict(getattr(self, name), defaults=True)} for name in _SECTIONS}
        return parts | {name: to_dict(getattr(self, name), defaults=True) for name in ("optim", "run", "monitor")}

    @property
    def digest(self) -> str:
        """Hash of what decides the result, 16 hexadecimal digits; keys that only say how to get there do not count."""
        plain = self.plain
        plain.pop("monitor")
        for name in _MEANS:
            plain["run"].pop(name)
        for name in _DATA_MEANS:
            plain["data"].pop(name, None)
        return hashlib.sha256(json.dumps(plain, sort_keys=True).encode()).hexdigest()[:16]


def recipe_from_data(data: Mapping[str, Any], where: str = "the recipe") -> Recipe:
    """Check nested data, as a YAML file holds it, and make the recipe.

    Args:
        data: sections by name; `model`, `objective` and `data` each with a `name`.
        where: what the data is, for messages.

    Raises:
        InputError: a section, name or key is unknown (the nearest valid one is named), or a value has the wrong type.
    """
    _check_keys(data, where)
    parts, names = {}, {}
    for section in _SECTIONS:
        given = dict(data.get(section) or {})
        name = given.pop("name", None)
        if name is None:
            raise InputError(f"{where} names no {section}", f"add {section}.name, one of {', '.join(PARTS[section])}")
        part = find_part(section, name)
        parts[section] = from_dict(part.config_type(), _sized(part, given, section), f"{where}, section {section}")
        names[section] = name
    shared = {
        section: from_dict(kind, dict(data.get(section) or {}), f"{where}, section {section}")
        for section, kind in (("optim", OptimiserConfig), ("run", RunConfig), ("monitor", MonitorConfig))
    }
    return Recipe(**parts, **shared, names=names)


def read_recipe(files: Sequence[str | Path], overrides: Sequence[str] = ()) -> Recipe:
    """Read a recipe from YAML files, later ones over earlier ones, and `--section.key value` from the command line.

    Raises:
        InputError: a file cannot be read, or does not hold a recipe.
    """
    merged: dict[str, Any] = {}
    for path in files:
        _check_keys(_yaml(path), f"the recipe {path}")
        merged = _merge(merged, _yaml(path))
    where = f"the recipe {files[-1]}" if files else "the command line"
    return recipe_from_data(override(merged, overrides), where)


def override(data: Mapping[str, Any], overrides: Sequence[str]) -> dict[str, Any]:
    """Lay `--section.key value` pairs of a command line over a recipe's data; see `read_recipe`."""
    return _merge(data, _from_command_line(data, list(overrides))) if overrides else dict(data)


def differences(one: Mapping[str, Any], other: Mapping[str, Any], prefix: str = "") -> list[str]:
    """Name the keys, such as `optim.lr`, at which two plain recipes differ."""
    found = []
    for key in sorted(set(one) | set(other)):
        a, b = one.get(key), other.get(key)
        if isinstance(a, Mapping) and isinstance(b, Mapping):
            found += differences(a, b, f"{prefix}{key}.")
        elif a != b and key not in (*_MEANS, *_DATA_MEANS) and not f"{prefix}{key}".startswith("monitor"):
            found.append(f"{prefix}{key}")
    return found


def make_parser(data: Mapping[str, Any]) -> Any:
    """Make the jsonargparse parser of all keys that a recipe with these part names can have."""
    import jsonargparse

    parser = jsonargparse.ArgumentParser(prog="python -m training.pretrain", exit_on_error=False, add_help=False)
    for section in _SECTIONS:
        name = (data.get(section) or {}).get("name")
        if name is not None:
            parser.add_argument(f"--{section}", type=_named(section, name))
    for section, kind in (("optim", OptimiserConfig), ("run", RunConfig), ("monitor", MonitorConfig)):
        parser.add_argument(f"--{section}", type=kind)
    return parser


def describe_keys(recipe: Recipe) -> list[tuple[str, str, str]]:
    """Every key of a recipe with its value and its meaning, for `--help`."""
    rows = []
    for section in (*_SECTIONS, "optim", "run", "monitor"):
        config = getattr(recipe, section)
        meanings = {}
        for kind in reversed(type(config).__mro__):
            meanings |= _meanings(kind.__doc__ or "")
        for f in fields(config):
            value = to_dict(getattr(config, f.name))
            rows.append((f"--{section}.{f.name}", json.dumps(value), meanings.get(f.name, "")))
    return rows


def _meanings(docstring: str) -> dict[str, str]:
    """Read the `Attributes:` part of a docstring."""
    found: dict[str, str] = {}
    name, inside = "", False
    for line in inspect.cleandoc(docstring).splitlines():
        if not line.startswith(" "):
            inside = line.strip() == "Attributes:"
        elif inside and (start := re.match(r" {4}([a-z_, ]+): (.*)", line)):
            name = start[1]
            found |= dict.fromkeys(name.split(", "), start[2])
        elif inside and name:
            found |= {key: f"{found[key]} {line.strip()}" for key in name.split(", ")}
    return found


def _named(section: str, name: str) -> type:
    """Configuration of a part with `name`, and `size` where it comes in sizes, as keys of their own."""
    part = find_part(section, name)
    extra: list[Any] = [("name", str, field(default=name))]
    if part.sizes:
        extra.append(("size", Literal[tuple(part.size_table())] | None, field(default=None)))
    base = part.config_type()
    needed = [f for f in fields(base) if f.default is MISSING and f.default_factory is MISSING]
    extra += [(f.name, f.type, field(default=None)) for f in needed]  # the file may give them
    made = make_dataclass(base.__name__, extra, bases=(base,), frozen=True, kw_only=True)
    made.__doc__, made.__module__ = base.__doc__, base.__module__
    return made


def _from_command_line(merged: Mapping[str, Any], overrides: list[str]) -> dict[str, Any]:
    """Let jsonargparse read `--section.key value` pairs, and keep just the keys that were given."""
    given = [argument[2:].split("=")[0] for argument in overrides if argument.startswith("--")]
    for number, argument in enumerate(overrides):
        for section in _SECTIONS:  # another part brings other keys: its name must be known first
            if argument.split("=")[0] == f"--{section}.name":
                value = argument.split("=", 1)[1] if "=" in argument else overrides[number + 1]
                merged = _merge(merged, {section: {"name": value}})
    parser = make_parser(merged)
    known = list(parser.get_defaults().keys())
    for key in given:
        if key not in known:
            raise InputError(f"no key of this recipe is called {key!r}", _hint(key, known))
    try:
        read = parser.parse_args(overrides).as_dict()
    except Exception as problem:  # jsonargparse raises several kinds, all of them about what the user gave
        says = " ".join(str(problem).split())
        raise InputError(f"the command line cannot be read: {says}", "see --help") from problem
    values: dict[str, Any] = {}
    for key in given:
        section, *path = key.split(".")
        target, source = values.setdefault(section, {}), read[section]
        for step in path[:-1]:
            target, source = target.setdefault(step, {}), source[step]
        target[path[-1]] = _plain(to_dict(source[path[-1]]))
    return values


def _plain(value: Any) -> Any:
    """Lists and mappings, of which jsonargparse leaves namespaces where a list holds dataclasses."""
    if isinstance(value, list):
        return [_plain(item) for item in value]
    if isinstance(value, Namespace):
        value = vars(value)
    return {name: _plain(item) for name, item in value.items()} if isinstance(value, Mapping) else value


def _sized(part: Any, given: dict[str, Any], section: str) -> dict[str, Any]:
    """Fill in the values of a size below those given one by one."""
    size = given.pop("size", None)
    if size is None:
        return given
    table = part.size_table()
    if size not in table:
        raise InputError(f"{section}.size is {size!r}", _hint(str(size), list(table)))
    return _merge(dict(table[size]), given)


def _check_keys(data: Mapping[str, Any], where: str) -> None:
    known = [f.name for f in fields(Recipe) if f.name != "names"]
    for key in data:
        if key not in known:
            raise InputError(f"{where} has the unknown section {key!r}", _hint(str(key), known))


def _hint(key: str, known: Sequence[str]) -> str:
    near = get_close_matches(key, known, 1, cutoff=0.5)
    return f"did you mean {near[0]!r}?" if near else f"choose one of {', '.join(sorted(known))}"


def _merge(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(below)
    for key, value in above.items():
        both = isinstance(value, Mapping) and isinstance(merged.get(key), Mapping)
        merged[key] = _merge(merged[key], value) if both else value
    return merged


def _yaml(path: str | Path) -> dict[str, Any]:
    try:
        data = yaml.load(Path(path).read_text(encoding="utf-8"), _RecipeLoader)  # noqa: S506 (a SafeLoader)
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as problem:
        raise InputError(f"the recipe {path} cannot be read", "check its name and that it is YAML") from problem
    if not isinstance(data, Mapping):
        raise InputError(f"the recipe {path} does not hold sections", "start from a file of training/recipes")
    return dict(data)
