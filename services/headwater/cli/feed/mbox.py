"""Cuts an mbox file into messages, one at a time, in bounded memory. Source: RFC 4155, mboxrd quoting undone."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import IO, Final

MESSAGE_BYTES_MAX: Final = 256 * 1024
"""Bytes of a message that are kept; headers and the first text are all that is read of it."""

_ENVELOPE: Final = re.compile(rb"From \S+.*\d{4}\s*$")
"""`From address date`, as mail programs write it; a body line that only begins with From has no year at its end."""
_QUOTED: Final = re.compile(rb">+From ")


@dataclass(frozen=True, slots=True)
class RawMessage:
    """One message as it lies in the file; *envelope* is its From_ line."""

    number: int
    envelope: bytes
    content: bytes


def cut_mbox(file: IO[bytes], message_bytes_max: int = MESSAGE_BYTES_MAX) -> Iterator[RawMessage]:
    """Yield the messages in order; what stands before the first From_ line is no message."""
    number, envelope, lines, size = 0, b"", list[bytes](), 0
    after_blank = True
    for line in file:
        if after_blank and _ENVELOPE.match(line):
            if number:
                yield RawMessage(number, envelope, b"".join(lines))
            number, envelope, lines, size = number + 1, line, [], 0
        elif number and size < message_bytes_max:
            kept = line[1:] if _QUOTED.match(line) else line
            lines.append(kept[: message_bytes_max - size])
            size += len(kept)
        after_blank = line in {b"\n", b"\r\n"}
    if number:
        yield RawMessage(number, envelope, b"".join(lines))
