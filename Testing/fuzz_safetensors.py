"""Random safetensors files against the header's reader, which must take or refuse each, and never fail otherwise.

    python Testing/fuzz_safetensors.py --count 1000000

What it takes and the safetensors library does not, loading must refuse. Every file is a function of the seed and its
number.
"""

from __future__ import annotations

import argparse
import json
import random
import struct
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from medfm_core.errors import WeightsError
from medfm_core.weights import DTYPE_BYTES, check_safetensors, load_weights

NUMBERS = (0, 1, 2, 3, 4, 8, 255, 2**31, 2**62, 2**63, 2**64, 2**100, -1, 0.5, 1e308, True, None, "8", [], {})
TEXTS = ("", "a", "__metadata__", "\x00", "\u202e", "a" * 100, "dtype", "shape", "data_offsets", "\ud800")
BYTES = (b"{", b"}", b"[", b"]", b'"', b",", b":", b"\\u0000", b"\\ud800", b"\xff", b"NaN", b"1e999", b"-", b"[" * 3000)


def honest(draw: random.Random) -> tuple[dict, bytes]:
    """A header and body that are as they should be."""
    header: dict[str, object] = {}
    end = 0
    for index in range(draw.randrange(4)):
        dtype = draw.choice(list(DTYPE_BYTES))
        shape = [draw.randrange(4) for _ in range(draw.randrange(4))]
        size = DTYPE_BYTES[dtype]
        for side in shape:
            size *= side
        header[f"t{index}"] = {"dtype": dtype, "shape": shape, "data_offsets": [end, end + size]}
        end += size
    if draw.random() < 0.3:
        header["__metadata__"] = {"format": "pt"}
    return header, bytes(end)


def harmed(header: dict, draw: random.Random) -> dict:
    """A header with one value replaced, added or taken away."""
    value = draw.choice((draw.choice(NUMBERS), draw.choice(TEXTS), {draw.choice(TEXTS): draw.choice(NUMBERS)}))
    names = list(header)
    if not names or draw.random() < 0.2:
        header[draw.choice(TEXTS)] = value
        return header
    name = draw.choice(names)
    entry = header[name]
    if not isinstance(entry, dict) or not entry or draw.random() < 0.2:
        header[name] = value
        return header
    key = draw.choice(list(entry))
    inner = entry[key]
    if isinstance(inner, list) and inner and draw.random() < 0.7:
        inner[draw.randrange(len(inner))] = value if draw.random() < 0.5 else draw.randrange(64)
    elif draw.random() < 0.2:
        del entry[key]
    else:
        entry[key] = value
    return header


def made(seed: int, number: int) -> bytes:
    """The file of this number."""
    draw = random.Random(seed * 1_000_000_007 + number)
    header, body = honest(draw)
    for _ in range(draw.randrange(3)):
        header = harmed(header, draw)
    text = bytearray(json.dumps(header, ensure_ascii=draw.random() < 0.8).encode("utf-8", "surrogatepass"))
    for _ in range(draw.choice((0, 0, 0, 1, 2))):
        at = draw.randrange(len(text))
        text[at : at + draw.randrange(3)] = draw.choice(BYTES)
    length = len(text) if draw.random() < 0.9 else draw.choice((0, 1, len(text) + 1, 2**32, 2**63, 2**64 - 1))
    whole = struct.pack("<Q", length) + bytes(text) + body
    if draw.random() < 0.1:
        whole = whole[: draw.randrange(len(whole) + 1)] + bytes(draw.randrange(9))
    return whole


def run(count: int, seed: int, folder: Path) -> Counter[str]:
    """Try so many files.

    Args:
        count: how many.
        seed: of the draw.
        folder: for the one file that is written again and again.

    Returns:
        How many were taken, and how many refused.

    Raises:
        AssertionError: something else than taking or refusing happened; the file's number is given.
    """
    from safetensors import SafetensorError, safe_open

    path = folder / "fuzz.safetensors"
    found: Counter[str] = Counter()
    for number in range(count):
        path.write_bytes(made(seed, number))
        try:
            check_safetensors(path)
        except WeightsError:
            found["refused"] += 1
            continue
        except BaseException as error:
            raise AssertionError(f"file {number} of seed {seed}: {type(error).__name__}: {error}") from error
        found["taken"] += 1
        try:
            with safe_open(path, "numpy") as opened:
                opened.keys()
        except SafetensorError as error:  # e.g. a size written as -0
            found["refused by the library alone"] += 1
            _check_loading(path, f"file {number} of seed {seed} is taken, the library says {error}")
    return found


def _check_loading(path: Path, what: str) -> None:
    """Loading must refuse what the library refuses, as it refuses everything."""
    try:
        load_weights(path)
    except WeightsError:
        return
    except BaseException as error:
        raise AssertionError(f"{what}: {type(error).__name__}") from error
    raise AssertionError(what)


def main() -> int:
    """Run the command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=1_000_000)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    begin = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        found = run(options.count, options.seed, Path(folder))
    print(json.dumps({**found, "seconds": round(time.perf_counter() - begin, 1)}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
