"""Typed dataclasses from plain data (JSON, YAML), where nothing unknown passes.

An unknown key is an error that names the nearest valid one; a value of the wrong kind is an error that names its place.
A field with `metadata={"rest": True}` collects the keys that no other field has. One with `{"sparse": True}` is written
only where it differs from its default, so that a field added later leaves the digests of earlier data as they were.
"""

from __future__ import annotations

import dataclasses
import difflib
import math
import types
import typing
from collections.abc import Collection, Mapping
from typing import Any, TypeVar

from medfm_core.errors import InputError, MedFMError

T = TypeVar("T")
_KINDS = {str: "a text", bool: "true or false", int: "a whole number", float: "a finite number"}


def from_dict(cls: type[T], data: Any, where: str, error: type[MedFMError] = InputError) -> T:
    """Build a dataclass from plain data, its nested dataclasses included.

    Args:
        cls: the dataclass; its `__post_init__` may raise ValueError with a clause that says what is wrong.
        data: what json or yaml read.
        where: what it is and where it comes from, to begin every message with.
        error: the kind of error to raise.

    Raises:
        MedFMError: of kind `error`, when a key is unknown or missing or a value is not of its kind.
    """
    try:
        return _dataclass(cls, data, "")
    except ValueError as problem:
        raise error(f"{where}: {problem}", "correct that entry") from problem


def to_dict(value: Any, defaults: bool = False) -> Any:
    """The plain data from which `from_dict` makes an equal dataclass.

    Args:
        value: a dataclass, or data with dataclasses in it.
        defaults: keep what equals its default too.
    """
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        plain: dict[str, Any] = {}
        for field in dataclasses.fields(value):
            item = getattr(value, field.name)
            always = defaults and not field.metadata.get("sparse")
            if not field.compare or (not always and item == _default(field)):
                continue
            inner = to_dict(item, defaults)
            plain.update(inner if field.metadata.get("rest") else {field.name: inner})
        return plain
    if isinstance(value, Mapping):
        return {key: to_dict(item, defaults) for key, item in value.items()}
    return [to_dict(item, defaults) for item in value] if isinstance(value, (tuple, list)) else value


def unknown_name(what: str, name: object, known: Collection[str]) -> str:
    """The clause that refuses a name and gives the nearest known ones.

    Args:
        what: the kind of thing, e.g. "organ".
        name: what was asked for.
        known: the names there are.
    """
    return f"there is no {what} named {str(name)!r}{nearest(name, known)}"


def nearest(name: object, known: Collection[str]) -> str:
    """The names most like `name` as the end of a clause, or the first known ones; empty when none are known."""
    near = difflib.get_close_matches(str(name).lower(), list(known), n=3, cutoff=0.5)
    if near:
        return f" (nearest: {', '.join(near)})"
    some = sorted(known)
    return f" (known: {', '.join(some[:10])}{', ...' if len(some) > 10 else ''})" if some else ""


def _default(field: dataclasses.Field) -> Any:
    return field.default if field.default_factory is dataclasses.MISSING else field.default_factory()


def _dataclass(cls: type, data: Any, place: str) -> Any:
    if not isinstance(data, Mapping):
        raise ValueError(f"{place or 'it'} must be an object of named entries, not {_short(data)}")
    kinds = typing.get_type_hints(cls)
    fields = {field.name: field for field in dataclasses.fields(cls) if field.init and field.compare}
    rest = next((name for name, field in fields.items() if field.metadata.get("rest")), None)
    given, extra = {}, {}
    for key, value in data.items():
        inner = f"{place}.{key}" if place else str(key)
        if key in fields and key != rest:
            given[key] = _value(kinds[key], value, inner)
        elif rest:
            extra[str(key)] = value
        else:
            raise ValueError(f"the entry {inner!r} is not known{nearest(key, fields)}")
    if rest:
        given[rest] = _value(kinds[rest], extra, place)
    missing = [name for name, field in fields.items() if name not in given and _default(field) is dataclasses.MISSING]
    if missing:
        raise ValueError(f"{place or 'it'} lacks the entry {missing[0]!r}")
    try:
        return cls(**given)
    except ValueError as problem:
        raise ValueError(f"{place}: {problem}" if place else str(problem)) from problem


def _value(kind: Any, value: Any, place: str) -> Any:
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if origin in (typing.Union, types.UnionType):
        return _union(arguments, value, place)
    if dataclasses.is_dataclass(kind):
        return _dataclass(kind, value, place)
    if origin is tuple:
        return _tuple(arguments, value, place)
    if origin is typing.Literal:
        if value not in arguments:
            raise ValueError(f"{place} must be one of {', '.join(map(str, arguments))}, not {_short(value)}")
        return value
    if kind is Any or kind is object:
        return value
    if origin is not None and issubclass(origin, Mapping):
        if not isinstance(value, Mapping) or not all(isinstance(key, str) for key in value):
            raise ValueError(f"{place} must be an object of named entries, not {_short(value)}")
        return {key: _value(arguments[1], item, f"{place}.{key}") for key, item in value.items()}
    return _scalar(kind, value, place)


def _scalar(kind: type, value: Any, place: str) -> Any:
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    if kind is float and is_number and abs(value) < 1e300 and math.isfinite(value):
        return float(value)
    if type(value) is kind and kind is not float:
        return value
    raise ValueError(f"{place} must be {_KINDS.get(kind, kind.__name__)}, not {_short(value)}")


def _union(kinds: tuple, value: Any, place: str) -> Any:
    if value is None and type(None) in kinds:
        return None
    problems = []
    for kind in kinds:
        if kind is not type(None):
            try:
                return _value(kind, value, place)
            except ValueError as problem:
                problems.append(problem)
    raise problems[0]


def _tuple(kinds: tuple, value: Any, place: str) -> tuple:
    if not isinstance(value, (list, tuple)):
        raise ValueError(f"{place} must be a list, not {_short(value)}")
    if len(kinds) == 2 and kinds[1] is Ellipsis:
        kinds = (kinds[0],) * len(value)
    if len(kinds) != len(value):
        raise ValueError(f"{place} must have {len(kinds)} values, not {len(value)}")
    return tuple(_value(kind, item, f"{place}[{i}]") for i, (kind, item) in enumerate(zip(kinds, value, strict=True)))


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."
