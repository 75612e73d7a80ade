"""Lines in and out: what is no request gets one clear error, and nothing breaks."""

from __future__ import annotations

import io
import json
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from medfm_core.worker import protocol
from medfm_core.worker.protocol import LONGEST_LINE_BYTES, Outlet, ProtocolError, parse_request, read_lines
from medfm_core.worker.requests import KINDS, arguments_of, kind_of

GOOD = {"version": 1, "id": "7", "request": "plan", "arguments": {"source": "ct.nii.gz"}}


def line(**changes):
    return json.dumps({**GOOD, **changes}).encode()


def test_a_request_is_read():
    request = parse_request(line())
    assert (request.id, request.name, dict(request.arguments)) == ("7", "plan", {"source": "ct.nii.gz"})
    assert arguments_of(request).source == "ct.nii.gz"
    assert parse_request(request.line()) == request


@pytest.mark.parametrize(
    ("data", "words", "request_id"),
    [
        (b"hello", "no JSON", None),
        (b"\xff\xfe\x00", "no JSON", None),
        (b"[1]", "no JSON object", None),
        (b"[" * 100_000, "no JSON", None),
        (b"1" * 5000, "no JSON", None),
        (line(version=2), "version 2 came, and this worker speaks version 1", "7"),
        (line(version="1"), "use the worker and the panel of one release", "7"),
        (line(id=7), "the id 7 is none", None),
        (line(id="a b"), "the id 'a b' is none", None),
        (line(id=""), "the id '' is none", None),
        (line(request=None), 'lacks "request"', "7"),
        (line(arguments=[]), 'lacks "request" or "arguments"', "7"),
        (line(more=1), "unknown key 'more'", "7"),
    ],
)
def test_what_is_no_request_is_refused_in_a_sentence(data, words, request_id):
    with pytest.raises(ProtocolError) as error:
        parse_request(data)
    assert words in str(error.value)
    assert error.value.request_id == request_id
    assert len(str(error.value)) < 300


@given(st.binary(max_size=200))
def test_any_bytes_are_a_request_or_an_error(data):
    for item in read_lines(io.BytesIO(data)):
        with suppress(ProtocolError):
            parse_request(item)


def test_a_line_that_is_too_long_is_passed_over_as_a_whole():
    long = b"x" * (3 * LONGEST_LINE_BYTES) + b"\n"
    exact = b"y" * (LONGEST_LINE_BYTES - 1) + b"\n"
    items = list(read_lines(io.BytesIO(b"a\n" + long + exact + b"\n  \nb")))
    assert [type(item) for item in items] == [bytes, ProtocolError, bytes, bytes]
    assert "more than 1,048,576 bytes" in str(items[1])
    assert (items[0], len(items[2]), items[3]) == (b"a\n", LONGEST_LINE_BYTES, b"b")


def test_paths_that_are_no_text_survive():
    path = b"/data/\xff\xe4\xf6 \xe8\x82\x9d.nii".decode("utf-8", "surrogateescape")
    request = protocol.Request("1", "plan", {"source": path})
    assert parse_request(request.line()).arguments["source"] == path


def test_an_unknown_request_names_the_nearest():
    with pytest.raises(ProtocolError, match="nearest: analyze"):
        kind_of(protocol.Request("1", "analyse", {}))


def test_every_kind_of_request_has_a_function():
    assert all(callable(kind.function()) for kind in KINDS.values())


def test_an_outlet_that_nobody_reads_says_so():
    class Broken(io.RawIOBase):
        def write(self, data):
            raise BrokenPipeError

    outlet = Outlet(Broken())
    outlet.event("hello")
    assert not outlet.is_open


def test_an_outlet_writes_whole_lines_through_short_writes():
    class Slow(io.RawIOBase):
        written = b""

        def write(self, data):
            self.written += bytes(data[:7])
            return min(7, len(data))

    stream = Slow()
    Outlet(stream).event("log", "7", text="für die Leber 肝")
    assert json.loads(stream.written) == {"version": 1, "event": "log", "id": "7", "text": "für die Leber 肝"}
