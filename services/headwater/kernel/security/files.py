"""Files that hold secrets or decide who is believed: written whole and private, read again only when changed."""

from __future__ import annotations

import os
import secrets
from pathlib import Path
from typing import Final

from headwater.kernel.errors import StartRefused

PRIVATE_MODE: Final = 0o600
PUBLIC_MODE: Final = 0o644
BYTES_MAX: Final = 4 * 1024 * 1024
"""No file of ours comes near it."""
_OTHERS: Final = 0o007

Stamp = tuple[int, int, int]


def write_whole(path: Path, content: bytes, mode: int = PRIVATE_MODE) -> None:
    """Write a file beside its place, flush it and rename it: readers see the old or the new, never half."""
    partial = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    with os.fdopen(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "wb") as file:
        os.fchmod(file.fileno(), mode)
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    partial.replace(path)


def stamp_of(path: Path) -> Stamp | None:
    """Return what changes whenever the file is replaced or written; None when there is none."""
    try:
        found = path.stat()
    except OSError:
        return None
    return (found.st_ctime_ns, found.st_size, found.st_ino)


def read_file(path: Path, variable: str) -> bytes:
    """Return a file's content.

    Raises:
        StartRefused: it cannot be read, or is too large; names the variable that points to it.
    """
    try:
        with path.open("rb") as file:
            content = file.read(BYTES_MAX + 1)
    except OSError as error:
        raise StartRefused(f"{variable}={str(path)!r}: {error.strerror}", reason="SECURITY") from error
    if len(content) > BYTES_MAX:
        raise StartRefused(f"{variable}={str(path)!r}: larger than {BYTES_MAX} bytes", reason="SECURITY")
    return content


def read_private(path: Path, variable: str) -> bytes:
    """Return the content of a file that only its owner and group may read.

    Raises:
        StartRefused: as `read_file`, or others may read it.
    """
    content = read_file(path, variable)
    if path.stat().st_mode & _OTHERS:
        message = f"{variable}={str(path)!r}: everybody may read it; run: chmod 600 {path}"
        raise StartRefused(message, reason="SECRET_EXPOSED")
    return content


class WatchedFile:
    """A file whose changes are to be noticed."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._stamp = stamp_of(path)

    def changed(self) -> bool:
        """Return whether it is another than when last asked; a file that is gone is no change."""
        found = stamp_of(self.path)
        if found is None or found == self._stamp:
            return False
        self._stamp = found
        return True
