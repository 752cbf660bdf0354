"""A day's facts as a file: gzip of one JSON object a line, beside it a manifest. Owns the format and the hook.

Written beside its name and renamed when it is on disk and has been read back, so that what has the name is
whole. Must not decide when a day is archived.
"""

from __future__ import annotations

import base64
import datetime as dt
import gzip
import hashlib
import os
import shlex
import subprocess
from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path
from typing import Any, Final

import anyio
import anyio.to_thread
import msgspec

from headwater.ingest.domain.event import RecordedEvent
from headwater.ingest.domain.keys import key_text
from headwater.ingest.domain.minting import moment
from headwater.ingest.ports import Archived, ArchiveFailed

FORMAT: Final = "headwater/log/v1"
_CHUNK_BYTES: Final = 1024 * 1024
_encode = msgspec.json.Encoder().encode


class FileArchive:
    """Archives to a directory; keeps `ports.Archive`.

    Args:
        command: run with the archive's path as its last argument; empty: nothing is run.
        command_timeout_s: longest run of it.
    """

    def __init__(self, directory: Path, *, command: str = "", command_timeout_s: float = 3600.0) -> None:
        self._directory = directory
        self._command = tuple(shlex.split(command))
        self._command_timeout_s = command_timeout_s

    async def write(
        self, day: dt.date, pages: AsyncIterator[list[RecordedEvent]], tenant_id: str = ""
    ) -> Archived:
        """Write, read back, hand over; see the port.

        Cancellation: a partial file may stay beside; it is written anew next time.
        """
        whose = f".{tenant_id}" if tenant_id else ""
        path = self._directory / f"event_{day:%Y%m%d}{whose}.jsonl.gz"
        try:
            return await self._write(day, path, pages)
        except (OSError, EOFError, TimeoutError) as error:
            raise ArchiveFailed(f"{path}: {type(error).__name__} {error}") from error

    async def _write(self, day: dt.date, path: Path, pages: AsyncIterator[list[RecordedEvent]]) -> Archived:
        await anyio.to_thread.run_sync(partial(path.parent.mkdir, parents=True, exist_ok=True))
        partial_path = path.with_name(path.name + f".{os.getpid()}.partial")
        rows, lines_sha256 = 0, hashlib.sha256()
        with partial_path.open("wb") as file:
            with gzip.GzipFile(fileobj=file, mode="wb", compresslevel=6, mtime=0) as packed:
                async for page in pages:
                    rows += len(page)
                    await anyio.to_thread.run_sync(_add, page, packed, lines_sha256)
            file.flush()
            await anyio.to_thread.run_sync(os.fsync, file.fileno())
        found_rows, found_sha256, file_sha256 = await anyio.to_thread.run_sync(_read_back, partial_path)
        if (found_rows, found_sha256) != (rows, lines_sha256.hexdigest()):
            raise ArchiveFailed(f"{partial_path} does not read back as it was written")
        partial_path.replace(path)
        archived = Archived(str(path), file_sha256, rows)
        await anyio.to_thread.run_sync(_write_manifest, day, archived, found_sha256)
        await self._hand_over(path)
        return archived

    async def _hand_over(self, path: Path) -> None:
        if not self._command:
            return
        with anyio.fail_after(self._command_timeout_s):
            done = await anyio.run_process(
                [*self._command, str(path)], check=False, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
            )
        if done.returncode != 0:
            said = (done.stderr or b"").decode(errors="replace").strip()[-500:]
            raise ArchiveFailed(f"{self._command[0]} ended with {done.returncode}: {said}")


def read_archive(path: Path) -> list[dict[str, Any]]:
    """Return the facts of an archive that fits in memory: for tests and for people."""
    with gzip.open(path, "rb") as lines:
        return [msgspec.json.decode(line) for line in lines]


def _add(page: list[RecordedEvent], packed: gzip.GzipFile, lines_sha256: Any) -> None:
    text = b"".join(_encode(_fact(item)) + b"\n" for item in page)
    lines_sha256.update(text)
    packed.write(text)


def _read_back(path: Path) -> tuple[int, str, str]:
    rows, lines_sha256, file_sha256 = 0, hashlib.sha256(), hashlib.sha256()
    with gzip.open(path, "rb") as lines:
        while chunk := lines.read(_CHUNK_BYTES):
            rows += chunk.count(b"\n")
            lines_sha256.update(chunk)
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK_BYTES):
            file_sha256.update(chunk)
    return rows, lines_sha256.hexdigest(), file_sha256.hexdigest()


def _write_manifest(day: dt.date, archived: Archived, lines_sha256: str) -> None:
    manifest = {
        "format": FORMAT,
        "day": day.isoformat(),
        "file": Path(archived.path).name,
        "rows": archived.rows,
        "sha256": archived.sha256,
        "lines_sha256": lines_sha256,
    }
    path = Path(archived.path.removesuffix(".jsonl.gz") + ".manifest.json")
    with path.open("wb") as file:
        file.write(msgspec.json.format(_encode(manifest)) + b"\n")
        file.flush()
        os.fsync(file.fileno())
    directory = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)


def _fact(item: RecordedEvent) -> dict[str, Any]:
    event = item.event
    fact = {name: getattr(event, name) for name in _PLAIN}
    return {
        **fact,
        "event_key": key_text(event.event_key),
        "content_hash": event.content_hash.hex(),
        "event_time": moment(event.event_time_us),
        "record_time": item.record_time,
        "disposition": int(item.disposition),
        "xid": item.xid,
        "seq": item.seq,
        "actor": {"type": event.actor.kind, "id": event.actor.actor_id, "display_name": event.actor.name},
        "payload_base64": base64.b64encode(event.payload).decode(),
        "traceparent": event.trace.traceparent if event.trace else "",
        "tracestate": event.trace.tracestate if event.trace else "",
        "released_from": key_text(event.released_from) if event.released_from else None,
    }


_PLAIN: Final = (
    "tenant_id",
    "source",
    "object",
    "external_id",
    "source_version",
    "operation",
    "request_id",
    "record_hash",
)
"""Fields that are written as they are."""
