"""How many processes share a port, and the port kept for them: bound by the supervisor, which never listens.

A bound socket that does not listen gets no connections, and holds the port against every program that does not
share it; other users' programs are kept out even if they do (SO_REUSEPORT asks for the same user).
"""

from __future__ import annotations

import logging
import os
import socket
import sys
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import Final

from headwater.kernel.errors import StartRefused

PROCESSES_MAX: Final = 8
"""Most processes that are chosen by the number of cores; more are for who asks for them."""

_log = logging.getLogger(__name__)


def process_count(asked: int, *, cores: int | None = None, platform: str = sys.platform) -> int:
    """Return how many processes to run; 0 asked is one for each core that this process may use."""
    if asked > 0:
        return asked
    if platform != "linux":
        _log.info("one process: %s does not spread connections over processes that share a port", platform)
        return 1
    return min(cores or len(os.sched_getaffinity(0)), PROCESSES_MAX)


@contextmanager
def reserve(addresses: Mapping[str, str]) -> Iterator[dict[str, str]]:
    """Hold the ports of *addresses* (host:port by name) while the block runs; yields them with ports resolved.

    Raises:
        StartRefused: a host is unknown, or a port is another program's.
    """
    with ExitStack() as held:
        yield {name: _reserve_one(address, held) for name, address in addresses.items()}


def _reserve_one(address: str, held: ExitStack) -> str:
    host, _, port_text = address.rpartition(":")
    port = int(port_text)
    try:
        found = socket.getaddrinfo(host.strip("[]"), port, type=socket.SOCK_STREAM)
        for family, kind, protocol, _, place in found:
            holder = held.enter_context(socket.socket(family, kind, protocol))
            holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            holder.bind((place[0], port, *place[2:]))
            port = int(holder.getsockname()[1])
    except OSError as error:
        raise StartRefused(f"cannot listen on {address!r}: {error}") from error
    return f"{host}:{port}"
