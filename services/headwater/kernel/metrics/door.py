"""The door at which Prometheus reads a process's numbers: GET /metrics on loopback, one answer a connection.

Bounded in connections, bytes and time; it shares the process's event loop, so an answer proves that this turns.
Writes the file by which Prometheus finds it (file_sd), and takes it away at an orderly end: what a killed process
leaves behind is a target that does not answer, as it should be.
"""

from __future__ import annotations

import json
import logging
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import anyio
from anyio.abc import SocketAttribute, SocketStream

from headwater.kernel.errors import StartRefused
from headwater.kernel.metrics.book import Metrics, Reader

LOOPBACK: Final = frozenset({"127.0.0.1", "::1", "localhost"})
CONNECTIONS_MAX: Final = 8
"""Answers under way at once; Prometheus needs one, and one more is closed as it comes."""
HEAD_BYTES_MAX: Final = 8 * 1024
CONNECTION_S: Final = 10.0
"""Longest life of a connection, what is read from the database included."""
PATH: Final = "/metrics"
READ_S: Final = 5.0
"""Longest wait for what is read when the page is asked for; without it the page tells the older numbers."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class DoorSettings:
    """Where the door is.

    Args:
        address: host:port of the first process; port 0 lets the system choose; empty: no door.
        targets_dir: directory of the file that tells Prometheus of it; empty: none is written.
        service: the process's service.
        replica: which of several processes it is, from 1; the second one listens one port higher; 0 for one alone.
    """

    address: str
    targets_dir: str
    service: str
    replica: int = 0


async def page_of(metrics: Metrics, accept: str) -> tuple[bytes, str]:
    """Return the page and its content type, with what is read for it."""
    for reader in metrics.readers:
        await _read(reader)
    return metrics.written(accept)


async def _read(reader: Reader) -> None:
    """Run a reader; one that fails or takes too long leaves the older numbers, whose age is told beside them."""
    try:
        with anyio.move_on_after(READ_S) as waited:
            await reader()
    except Exception as error:  # noqa: BLE001 - the page's edge: the other numbers are told all the same
        _log.warning("numbers of the page are not read: %s", error)
    else:
        if waited.cancelled_caught:
            _log.warning("numbers of the page are not read within %g s", READ_S)


@asynccontextmanager
async def serving_metrics(settings: DoorSettings, metrics: Metrics) -> AsyncIterator[int]:
    """Answer GET /metrics while the block runs; yield the port, 0 where there is no door.

    Raises:
        StartRefused: the address is not loopback, or is taken.
    """
    if not settings.address:
        yield 0
        return
    listener = await _listen(settings)
    port = int(listener.extra(SocketAttribute.local_port))  # noqa: S610 - no query
    target = _write_target(settings, port)
    slots = anyio.CapacityLimiter(CONNECTIONS_MAX)

    async def answer(stream: SocketStream) -> None:
        async with stream:
            if slots.available_tokens:
                async with slots:
                    await _converse(stream, metrics)

    async with listener, anyio.create_task_group() as tasks:
        tasks.start_soon(listener.serve, answer)
        try:
            yield port
        finally:
            if target is not None:
                target.unlink(missing_ok=True)
            tasks.cancel_scope.cancel()


async def _listen(settings: DoorSettings) -> anyio.abc.SocketListener:
    host, _, port_text = settings.address.rpartition(":")
    host = host.strip("[]")
    if host not in LOOPBACK:
        message = f"refusing to tell metrics at {settings.address!r} without TLS: use a loopback address"
        raise StartRefused(message, reason="INSECURE_BIND")
    port = int(port_text)
    port += max(0, settings.replica - 1) if port else 0
    try:
        made = await anyio.create_tcp_listener(local_host=host, local_port=port, backlog=64)
    except OSError as error:
        raise StartRefused(f"cannot tell metrics at {host}:{port}: {error}") from error
    (listener,) = made.listeners
    assert isinstance(listener, anyio.abc.SocketListener)  # noqa: S101 - of TCP it is
    return listener


def _write_target(settings: DoorSettings, port: int) -> Path | None:
    """Tell Prometheus where the door is, in one step."""
    if not settings.targets_dir:
        return None
    replica = str(settings.replica or 1)
    folder = Path(settings.targets_dir)
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / f"{settings.service}-{replica}.json"
    host = settings.address.rpartition(":")[0]
    labels = {"service": settings.service, "replica": replica}
    partial = file.with_suffix(f".{os.getpid()}.partial")
    partial.write_text(
        json.dumps([{"targets": [f"{host}:{port}"], "labels": labels}]) + "\n", encoding="utf-8"
    )
    partial.replace(file)
    return file


async def _converse(stream: SocketStream, metrics: Metrics) -> None:
    """Read one request and answer it; whoever is slow or says too much is left."""
    try:
        with anyio.move_on_after(CONNECTION_S):
            head = await _head(stream)
            if head is not None:
                await stream.send(await _answer(head, metrics))
    except (anyio.BrokenResourceError, anyio.ClosedResourceError, anyio.EndOfStream) as error:
        _log.debug("a reader of metrics left: %s", error)


async def _head(stream: SocketStream) -> list[str] | None:
    """Return the lines of a request's head; None where it is too long."""
    said = b""
    while b"\r\n\r\n" not in said:
        if len(said) > HEAD_BYTES_MAX:
            return None
        said += await stream.receive(HEAD_BYTES_MAX)
    return said.partition(b"\r\n\r\n")[0].decode("latin-1").split("\r\n")


async def _answer(head: list[str], metrics: Metrics) -> bytes:
    method, _, rest = head[0].partition(" ")
    path = rest.partition(" ")[0].partition("?")[0]
    if path != PATH:
        return _response("404 Not Found", b"the numbers are at /metrics\n")
    if method not in {"GET", "HEAD"}:
        return _response("405 Method Not Allowed", b"GET /metrics\n")
    fields = (line.partition(":") for line in head[1:])
    accept = ",".join(value for name, _, value in fields if name.strip().lower() == "accept")
    body, content_type = await page_of(metrics, accept)
    answered = _response("200 OK", body, content_type)
    return answered if method == "GET" else answered.removesuffix(body)


def _response(status: str, body: bytes, content_type: str = "text/plain; charset=utf-8") -> bytes:
    head = (
        f"HTTP/1.1 {status}\r\nContent-Type: {content_type}\r\nContent-Length: {len(body)}\r\n"
        "Cache-Control: no-store\r\nConnection: close\r\n\r\n"
    )
    return head.encode("latin-1") + body
