"""Strict building of dataclasses: unknown keys, wrong kinds, places in messages, the way back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from medfm_core.errors import InputError, WeightsError
from medfm_core.strict import from_dict, nearest, to_dict


@dataclass(frozen=True)
class Inner:
    width: int
    options: Mapping[str, object] = field(default_factory=dict, metadata={"rest": True})


@dataclass(frozen=True)
class Outer:
    name: str
    rate: float = 0.5
    is_on: bool = False
    inner: Inner | None = None
    many: tuple[Inner, ...] = ()
    pair: tuple[float, float] = (0.0, 1.0)
    table: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    hidden: int = field(default=7, compare=False)

    def __post_init__(self) -> None:
        if self.rate < 0:
            raise ValueError("rate must not be negative")


def build(data):
    return from_dict(Outer, data, "the recipe r.yaml")


def test_builds_and_goes_back():
    data = {
        "name": "a",
        "rate": 1,
        "inner": {"width": 3, "depth": 2, "kinds": ["x"]},
        "many": [{"width": 1}],
        "pair": [1, 2.5],
        "table": {"k": [1, 2]},
    }
    built = build(data)
    assert built.rate == 1.0
    assert isinstance(built.rate, float)
    assert built.inner == Inner(3, {"depth": 2, "kinds": ["x"]})
    assert built.many == (Inner(1),)
    assert built.table == {"k": (1, 2)}
    assert to_dict(built) == data
    assert build(to_dict(built)) == built


@pytest.mark.parametrize(
    ("data", "says"),
    [
        ({"name": "a", "rat": 1}, r"the recipe r\.yaml: the entry 'rat' is not known \(nearest: rate\)"),
        ({"name": "a", "hidden": 1}, "'hidden' is not known"),
        ({"name": "a", "many": [{"width": 1}, {}]}, r"many\[1\] lacks the entry 'width'"),
        ({}, "lacks the entry 'name'"),
        ({"name": 3}, "name must be a text, not 3"),
        ({"name": "a", "rate": "fast"}, "rate must be a finite number"),
        ({"name": "a", "rate": True}, "rate must be a finite number, not True"),
        ({"name": "a", "rate": float("nan")}, "rate must be a finite number"),
        ({"name": "a", "rate": 10**400}, "rate must be a finite number"),
        ({"name": "a", "is_on": 1}, "is_on must be true or false"),
        ({"name": "a", "inner": {"width": True}}, r"inner\.width must be a whole number"),
        ({"name": "a", "inner": {"width": 1.0}}, r"inner\.width must be a whole number"),
        ({"name": "a", "inner": [1]}, "inner must be an object"),
        ({"name": "a", "pair": [1]}, "pair must have 2 values, not 1"),
        ({"name": "a", "pair": "12"}, "pair must be a list"),
        ({"name": "a", "table": {"k": [1, "2"]}}, r"table\.k\[1\] must be a whole number"),
        ({"name": "a", "table": [1]}, "table must be an object"),
        ({"name": "a", "rate": -1}, "rate must not be negative"),
        ([], "it must be an object"),
    ],
)
def test_refuses(data, says):
    with pytest.raises(InputError, match=says):
        build(data)


def test_error_kind_is_the_callers():
    with pytest.raises(WeightsError):
        from_dict(Outer, {}, "x", WeightsError)


def test_nearest():
    assert nearest("livr", ["liver", "spleen"]) == " (nearest: liver)"
    assert nearest("qqq", ["b", "a"]) == " (known: a, b)"
    assert nearest("x", []) == ""
    assert nearest("qq", [str(i) for i in range(20)]).endswith(", ...)")


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text() | st.sampled_from(["name", "rate", "inner"]), inner),
    max_leaves=12,
)


@given(json_values)
def test_any_data_builds_or_is_refused(data):
    try:
        built = build(data)
    except InputError as error:
        assert str(error).startswith("the recipe r.yaml")  # noqa: PT017
    else:
        assert isinstance(built, Outer)
