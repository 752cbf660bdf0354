"""Parts of records on disk: written once by a worker, read by record number from any process."""

from __future__ import annotations

import mmap
from array import array
from collections.abc import Iterable, Sequence
from functools import lru_cache
from itertools import accumulate
from pathlib import Path
from typing import Any, Final

import msgspec

from headwater.identity.domain.scoring.parts import Parts, Told

_encode: Final = msgspec.msgpack.Encoder().encode
_decode: Final = msgspec.msgpack.Decoder(tuple[str, Parts]).decode

FILES_OPEN_MAX: Final = 256
"""Chunks whose files a process keeps open."""


def write_whole(path: Path, content: bytes) -> None:
    """Write a file that is there in full or not at all."""
    half = path.with_suffix(".half")
    half.write_bytes(content)
    half.replace(path)


def write_lines(path: Path, rows: Iterable[tuple[Any, ...]]) -> None:
    """Write rows as lines of JSON arrays."""
    write_whole(path, b"".join([msgspec.json.encode(row) + b"\n" for row in rows]))


def stored_form(name: str, record: Told) -> bytes:
    """Return a record's id and parts as they are stored."""
    return _encode((name, record))


def write_parts(scratch: Path, chunk: int, stored: Sequence[bytes]) -> None:
    """Write a chunk's records, each in its stored form, and where each begins."""
    starts = array("q", accumulate(map(len, stored), initial=0))
    write_whole(scratch / f"parts-{chunk:05}.bin", b"".join(stored))
    write_whole(scratch / f"parts-{chunk:05}.at", starts.tobytes())


class PartsReader:
    """Reads records by number.

    Args:
        chunk_records: records of a chunk, the last one excepted.
    """

    def __init__(self, scratch: Path, chunk_records: int) -> None:
        self._scratch, self._chunk_records = scratch, chunk_records
        self._open = lru_cache(FILES_OPEN_MAX)(self._mapped)

    def read(self, numbers: Iterable[int]) -> dict[int, tuple[str, Parts]]:
        """Return id and parts of records, by number."""
        return {number: self._one(number) for number in sorted(numbers)}

    def _one(self, number: int) -> tuple[str, Parts]:
        chunk, place = divmod(number, self._chunk_records)
        content, starts = self._open(chunk)
        return _decode(content[starts[place] : starts[place + 1]])

    def _mapped(self, chunk: int) -> tuple[mmap.mmap, array[int]]:
        starts: array[int] = array("q")
        starts.frombytes((self._scratch / f"parts-{chunk:05}.at").read_bytes())
        with (self._scratch / f"parts-{chunk:05}.bin").open("rb") as file:
            return mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ), starts
