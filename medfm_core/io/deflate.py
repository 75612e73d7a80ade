"""Deflate, the compression of gzip files, by ISA-L: the format of zlib, several times as fast for volumes."""

from __future__ import annotations

from isal import isal_zlib

Error = isal_zlib.error
_GZIP, _GZIP_OR_ZLIB = 16 + isal_zlib.MAX_WBITS, 32 + isal_zlib.MAX_WBITS
_QUICK = 1


def compressor() -> isal_zlib.Compress:
    """Make what packs one gzip stream, quickly rather than tightly, without name and time."""
    return isal_zlib.compressobj(_QUICK, isal_zlib.DEFLATED, _GZIP)


def decompressor() -> isal_zlib.Decompress:
    """Make what unpacks one stream of gzip or zlib; it raises `Error` where that is damaged."""
    return isal_zlib.decompressobj(_GZIP_OR_ZLIB)
