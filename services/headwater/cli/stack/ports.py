"""Ports of a data directory: chosen free once, then kept, so that addresses stay what they were."""

from __future__ import annotations

import socket
from collections.abc import Iterable
from contextlib import ExitStack
from pathlib import Path
from typing import Final

import msgspec

from headwater.cli.stack.state import write_whole

PURPOSES: Final = ("ingest", "ingest_http", "identity", "sync", "sandbox", "console", "otlp")


def keep_ports(path: Path, purposes: Iterable[str] = PURPOSES) -> dict[str, int]:
    """Return a free port per purpose: the one kept on file unless another program took it meanwhile."""
    kept = _read(path)
    ports = {purpose: kept[purpose] for purpose in purposes if purpose in kept and _is_free(kept[purpose])}
    missing = [purpose for purpose in purposes if purpose not in ports]
    ports |= zip(missing, _free_ports(len(missing)), strict=True)
    if ports != kept:
        write_whole(path, msgspec.json.encode(ports))
    return ports


def _read(path: Path) -> dict[str, int]:
    try:
        return msgspec.json.decode(path.read_bytes(), type=dict[str, int])
    except (FileNotFoundError, msgspec.DecodeError):
        return {}


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def _free_ports(count: int) -> list[int]:
    with ExitStack() as stack:
        probes = [stack.enter_context(socket.socket()) for _ in range(count)]
        for probe in probes:
            probe.bind(("127.0.0.1", 0))
        return [probe.getsockname()[1] for probe in probes]
