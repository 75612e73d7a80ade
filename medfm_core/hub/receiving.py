"""The bytes of one answer, written as they come."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import BinaryIO

from medfm_core.hub.problems import HubError, WrongFileError
from medfm_core.io.atomic import write_error
from medfm_core.progress import Stage


class Sink:
    """Where a body goes: counts, stops when cancelled, and takes not a byte more than the file has."""

    def __init__(self, stream: BinaryIO, expected_bytes: int, stage: Stage) -> None:
        self._stream, self._stage, self.expected = stream, stage, expected_bytes
        self.have = stream.tell()

    def write(self, data: bytes) -> None:
        """Write a piece, unless it is too much."""
        self.have += len(data)
        if self.have > self.expected:
            raise WrongFileError("the hub sends more bytes than the file has", "report it, and use no such mirror")
        self._stream.write(data)
        self._stage.advance(len(data))

    def begin_anew(self) -> None:
        """Forget what is there: the answer begins at the first byte."""
        self._stream.seek(0)
        self._stream.truncate()
        self._stage.advance(-self.have)
        self.have = 0


def receive(url: str, headers: Mapping[str, str], sink: Sink) -> None:
    """Bring what is missing; every piece is written as it comes, so that a cut loses none of it.

    The library's own `http_get` gathers 10 MB before it writes, and where a line breaks more often it never ends.

    Args:
        url: of the bytes.
        headers: of the request.
        sink: what is there already, and where the rest goes.

    Raises:
        HubError: other bytes, or fewer, came than were asked for.
        WrongFileError: more came than the file has.
        CancelledError: no more is wanted.
    """
    from huggingface_hub import constants, get_session, hf_raise_for_status

    asked = {**headers, "Accept-Encoding": "identity"}  # a range of a packed body would be no range of the file
    if sink.have:
        asked["Range"] = f"bytes={sink.have}-"
    with get_session().stream("GET", url, headers=asked, timeout=constants.HF_HUB_DOWNLOAD_TIMEOUT) as response:
        hf_raise_for_status(response)
        begins = re.match(r"bytes (\d+)-", response.headers.get("Content-Range", ""))
        if sink.have and (response.status_code != 206 or not begins or int(begins[1]) != sink.have):
            if response.status_code == 206:
                raise HubError("the hub sends another part of the file than was asked for", "use another HF_ENDPOINT")
            sink.begin_anew()
        for piece in response.iter_raw():
            sink.write(piece)
    if sink.have < sink.expected:
        raise HubError("the hub sends fewer bytes than the file has", "try again later")


def open_part(part: Path) -> BinaryIO:
    """Open a file for going on at its end, and never through a link.

    Raises:
        InputError, ResourceError: it cannot be written.
    """
    if part.is_symlink():
        part.unlink()
    try:
        stream = part.open("r+b" if part.exists() else "x+b")
    except OSError as error:
        raise write_error(error, part) from error
    stream.seek(0, 2)
    return stream
