"""The second place as files: one per tenant, a checkpoint a line, only ever added to; and the keys beside them.

Made to stand on another disk, a share that only this service may write to, or a directory that something else carries
away. Another second place (an object store, a log of another company) is another class behind the same port.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final, TypeVar

import msgspec
from anyio import to_thread

from headwater.audit.checkpoints import Checkpoint, PublicKey, read_checkpoint, read_key, write_line
from headwater.sync.auditing.ports import SecondPlaceFailed

KEYS_FILE: Final = "keys.jsonl"
TAIL_BYTES: Final = 8_192
"""Read from the end to find the last line; a line has about 400."""
_FILE_MODE: Final = 0o644
_DIRECTORY_MODE: Final = 0o755
_Found = TypeVar("_Found")


class FilePlace:
    """Port `SecondPlace` on a directory."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._told: set[bytes] = set()

    async def last(self, tenant_id: str) -> Checkpoint | None:
        """Return the last whole line of the tenant's file."""
        return await _in_thread(lambda: _last(checkpoint_file(self._directory, tenant_id)))

    async def tell(self, checkpoints: Sequence[Checkpoint]) -> None:
        """Add lines and bring them to the disk."""
        path = checkpoint_file(self._directory, checkpoints[0].tenant_id)
        await _in_thread(lambda: _add(path, [write_line(item) for item in checkpoints]))

    async def tell_key(self, key: PublicKey) -> None:
        """Add the key unless it stands there."""
        if key.key_id in self._told:
            return
        path = self._directory / KEYS_FILE

        def add() -> None:
            if key.key_id not in {held.key_id for held in read_lines(path, read_key)}:
                _add(path, [write_line(key)])

        await _in_thread(add)
        self._told.add(key.key_id)


class NoPlace:
    """Port `SecondPlace` where there is none: checkpoints stand in the database alone, and prove less."""

    def __init__(self) -> None:
        self._last: dict[str, Checkpoint] = {}

    async def last(self, tenant_id: str) -> Checkpoint | None:
        """Return what this process told last."""
        return self._last.get(tenant_id)

    async def tell(self, checkpoints: Sequence[Checkpoint]) -> None:
        """Remember the last one, and keep none."""
        self._last[checkpoints[-1].tenant_id] = checkpoints[-1]

    async def tell_key(self, key: PublicKey) -> None:
        """Do nothing."""


def checkpoint_file(directory: Path, tenant_id: str) -> Path:
    """Return the file of a tenant's checkpoints; a tenant's id is [a-z0-9_-]."""
    return directory / f"checkpoints-{tenant_id}.jsonl"


def read_lines(path: Path, read: Callable[[bytes], _Found]) -> list[_Found]:
    """Return what the whole lines of a file say; one that a crash has cut off says nothing. Raises: OSError."""
    if not path.exists():
        return []
    return [item for line in path.read_bytes().splitlines() if (item := _read(line, read)) is not None]


def _read(line: bytes, read: Callable[[bytes], _Found]) -> _Found | None:
    try:
        return read(line)
    except msgspec.DecodeError:
        return None


def _last(path: Path) -> Checkpoint | None:
    if not path.exists():
        return None
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - TAIL_BYTES))
        lines = file.read().splitlines()
    return next((item for line in reversed(lines) if (item := _read(line, read_checkpoint))), None)


def _add(path: Path, lines: Sequence[bytes]) -> None:
    """Append whole lines, on a line of their own whatever a crash has left, and wait for the disk."""
    fresh = not path.exists()
    path.parent.mkdir(mode=_DIRECTORY_MODE, parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT, _FILE_MODE)
    try:
        size = os.fstat(descriptor).st_size
        torn = size > 0 and os.pread(descriptor, 1, size - 1) != b"\n"
        os.write(descriptor, (b"\n" if torn else b"") + b"".join(line + b"\n" for line in lines))
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    if fresh:
        _sync_directory(path.parent)


def _sync_directory(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


async def _in_thread(work: Callable[[], _Found]) -> _Found:
    try:
        return await to_thread.run_sync(work)
    except OSError as error:
        raise SecondPlaceFailed(f"second place of checkpoints: {error}") from error
