"""Weights files: headers that lie are refused before anything is mapped."""

from __future__ import annotations

import json
import struct
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from medfm_core.errors import WeightsError
from medfm_core.weights import DTYPE_BYTES, HEADER_LIMIT, check_safetensors, load_weights


def packed(header, body: bytes = b"", length: int | None = None) -> bytes:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text) if length is None else length) + text + body


def entry(dtype="F32", shape=(2,), offsets=(0, 8)):
    return {"dtype": dtype, "shape": list(shape), "data_offsets": list(offsets)}


@pytest.fixture
def write(tmp_path):
    def write(content: bytes):
        path = tmp_path / "w.safetensors"
        path.write_bytes(content)
        return path

    return write


@pytest.fixture
def good(tmp_path):
    from safetensors.numpy import save_file

    path = tmp_path / "good.safetensors"
    tensors = {"a.weight": np.arange(6, dtype=np.float32).reshape(2, 3), "a.bias": np.zeros(3, np.float16)}
    save_file(tensors | {"empty": np.zeros((0, 4), np.int64)}, path, metadata={"made_by": "a test"})
    return path


def test_reads_a_real_header(good):
    info = check_safetensors(good)
    assert {name: tensor.shape for name, tensor in info.tensors.items()} == {
        "a.weight": (2, 3),
        "a.bias": (3,),
        "empty": (0, 4),
    }
    assert info.metadata == {"made_by": "a test"}
    assert info.parameters == 9
    assert info.bytes == good.stat().st_size == 8 + info.header_bytes + 24 + 6


def test_agrees_with_the_library_on_every_type(tmp_path):
    torch = pytest.importorskip("torch")
    from safetensors.torch import save_file

    names = "bool uint8 int8 uint16 int16 uint32 int32 uint64 int64 float16 bfloat16 float32 float64"
    kinds = [*names.split(), "float8_e4m3fn", "float8_e5m2"]
    path = tmp_path / "all.safetensors"
    save_file({name: torch.zeros(3, dtype=getattr(torch, name)) for name in kinds}, path)
    info = check_safetensors(path)
    assert {tensor.dtype for tensor in info.tensors.values()} == set(DTYPE_BYTES)
    assert set(load_weights(path)) == set(kinds)


def test_loads_strictly(good):
    torch = pytest.importorskip("torch")
    shapes = {"a.weight": (2, 3), "a.bias": (3,), "empty": (0, 4)}
    loaded = load_weights(good, shapes)
    assert torch.equal(loaded["a.weight"], torch.arange(6.0).reshape(2, 3))
    assert loaded["a.bias"].dtype == torch.float16
    with pytest.raises(WeightsError, match=r"1 missing \('a.scale'\); 1 not expected \('empty'\); 1 of another shape"):
        load_weights(good, {"a.weight": (3, 2), "a.bias": (3,), "a.scale": (1,)})


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "only 0 bytes"),
        (b"\x01\x00", "only 2 bytes"),
        (packed({}, length=1000), "claims a header of 1,000 bytes but has 10"),
        (packed({}, length=HEADER_LIMIT + 1), "more than 100,000,000"),
        (packed({}, length=(1 << 64) - 1), "more than 100,000,000"),
        (packed(b"[]"), "not JSON"),
        (packed(b"  {}"), "not JSON"),
        (packed(b"{" * 50_000), "not JSON"),
        (packed(b'{"a":' + b"[" * 200_000), "not JSON|nested too deeply"),
        (packed(b'{"\xff": 1}'), "not UTF-8"),
        (packed(b'{"a": 1, "a": 2}'), "names something twice"),
        (packed({"a": [1]}), "not described by dtype, shape and data_offsets"),
        (packed({"a": entry() | {"more": 1}}, b"\0" * 8), "not described by"),
        (packed({"a": entry("F128")}, b"\0" * 8), "unknown type"),
        (packed({"a": entry(["F32"])}, b"\0" * 8), "unknown type"),
        (packed({"a": entry(shape=[-2])}, b"\0" * 8), "no sane shape"),
        (packed({"a": entry(shape=[True, 2])}, b"\0" * 8), "no sane shape"),
        (packed({"a": entry(shape=[1] * 99)}, b"\0" * 8), "no sane shape"),
        (packed({"a": entry(shape=["2"])}, b"\0" * 8), "no sane shape"),
        (packed({"a": entry(shape=[1 << 40, 1 << 40])}, b"\0" * 8), "does not fit its 8 bytes"),
        (packed({"a": entry(offsets=[0, 8, 9])}, b"\0" * 8), "no sane byte range"),
        (packed({"a": entry(offsets=[8, 0])}, b"\0" * 8), "does not fit its -8 bytes"),
        (packed({"a": entry(offsets=[0, 1 << 63])}, b"\0" * 8), "no sane byte range"),
        (packed(b'{"a": {"dtype": "F32", "shape": [2.0], "data_offsets": [0, 8]}}', b"\0" * 8), "a fraction"),
        (packed(b'{"a": {"dtype": "F32", "shape": [%s], "data_offsets": [0, 8]}}' % (b"9" * 9999)), "damaged"),
        (packed({"a": entry(offsets=[4, 12])}, b"\0" * 12), "do not follow those before"),
        (packed({"a": entry(), "b": entry()}, b"\0" * 8), "do not follow those before"),
        (packed({"a": entry(), "b": entry(offsets=[12, 20])}, b"\0" * 20), "do not follow those before"),
        (packed({"a": entry()}, b"\0" * 7), "its tensors need 8 bytes, it holds 7"),
        (packed({"a": entry()}, b"\0" * 9), "its tensors need 8 bytes, it holds 9"),
        (packed({"__metadata__": {"k": 1}}), "metadata are not texts"),
        (packed({"__metadata__": []}), "metadata are not texts"),
    ],
)
def test_lies_are_refused(write, content, says):
    path = write(content)
    with pytest.raises(WeightsError, match=says) as caught:
        check_safetensors(path)
    assert str(path) in str(caught.value)
    with pytest.raises(WeightsError):
        load_weights(path)


def test_missing_file_and_folder(tmp_path):
    for path in (tmp_path / "none.safetensors", tmp_path):
        with pytest.raises(WeightsError, match="cannot read the weights file"):
            check_safetensors(path)


def test_terminal_codes_in_names_are_shown_escaped(write):
    with pytest.raises(WeightsError) as caught:
        check_safetensors(write(packed({"\x1b[2J": [1]})))
    assert "\x1b" not in str(caught.value)


def test_every_cut_is_refused(good):
    content = good.read_bytes()
    cut = good.with_name("cut.safetensors")
    for length in range(len(content)):
        cut.write_bytes(content[:length])
        with pytest.raises(WeightsError):
            check_safetensors(cut)


names = st.text(max_size=8) | st.sampled_from(["a", "b", "__metadata__"])
numbers = st.integers(-2, 40) | st.integers() | st.booleans() | st.floats() | st.none()
entries = st.fixed_dictionaries(
    {
        "dtype": st.sampled_from([*DTYPE_BYTES, "F4", ""]) | st.none(),
        "shape": st.lists(numbers, max_size=4) | st.text(max_size=3),
        "data_offsets": st.lists(numbers, max_size=3),
    }
)
headers = st.dictionaries(names, entries | st.lists(numbers, max_size=2) | st.dictionaries(names, st.text(max_size=3)))


def judge(path) -> None:
    """A file is refused with our error, or is one that the library itself accepts."""
    try:
        info = check_safetensors(path)
    except WeightsError:
        return
    from safetensors import safe_open

    with safe_open(path, "np") as opened:
        assert set(opened.keys()) == set(info.tensors)


@settings(max_examples=300, deadline=None)
@given(header=headers, body=st.binary(max_size=40), padding=st.integers(0, 3))
def test_fuzzed_headers(tmp_path_factory, header, body, padding):
    path = tmp_path_factory.getbasetemp() / "fuzz.safetensors"
    path.write_bytes(packed(json.dumps(header).encode() + b" " * padding, body))
    judge(path)


@settings(max_examples=300, deadline=None)
@given(data=st.data())
def test_fuzzed_bytes(tmp_path_factory, data):
    path = tmp_path_factory.getbasetemp() / "fuzz.safetensors"
    content = bytearray(packed({"a": entry(), "b": entry("U8", (3, 1), (8, 11))}, b"\0" * 11))
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    path.write_bytes(content)
    judge(path)


def test_import_is_light():
    code = "import sys, medfm_core.weights; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert not {"torch", "numpy", "safetensors"} & set(loaded)
