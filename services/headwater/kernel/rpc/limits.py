"""What a server takes from its callers before it says no, and how that is told to gRPC. Pure.

A limit of gRPC's own is an argument of the channel; its names are in gRPC's `channel_arg_names.h`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from headwater.kernel.rpc.calls import CallSettings

NEVER_MS: Final = 2**31 - 1
"""gRPC's "no such limit"."""


@dataclass(frozen=True, slots=True)
class ConnectionSettings:
    """Bounds of connections.

    Args:
        connections_max: connections at once in this process; further ones are closed as they come.
        streams_max: calls at once on one connection; the client holds back further ones.
        metadata_bytes_max: headers of one call.
        handshake_s: longest time from the connection to the client's settings frame.
        ping_s: a connection on which nothing came for so long is asked whether its peer lives.
        ping_timeout_s: and is closed when there is no answer for so long.
        client_ping_s: pings of an idle client that come faster end its connection (GOAWAY, too_many_pings).
        idle_s: a connection without a call for so long is closed gently; 0: never.
        age_s: a connection so old is closed gently, so that clients spread over the processes again; 0: never.
        age_grace_s: how long calls on a connection that grew too old may still take.
    """

    connections_max: int = 4_096
    streams_max: int = 1_024
    metadata_bytes_max: int = 16 * 1024
    handshake_s: float = 5.0
    ping_s: float = 30.0
    ping_timeout_s: float = 10.0
    client_ping_s: float = 10.0
    idle_s: float = 600.0
    age_s: float = 3_600.0
    age_grace_s: float = 60.0


@dataclass(frozen=True, slots=True)
class ServerSettings:
    """How a server listens.

    Args:
        address: host:port; port 0 lets the system choose. Loopback unless TLS is configured.
        message_bytes_max: largest message received or sent.
        drain_s: how long calls under way may take after the end was asked for.
        reflection: answer reflection calls; off in production.
        share_port: let other processes of this service listen on the same port.
    """

    address: str = "127.0.0.1:0"
    message_bytes_max: int = 16 * 1024 * 1024
    drain_s: float = 10.0
    reflection: bool = False
    share_port: bool = False
    calls: CallSettings = field(default_factory=CallSettings)
    connections: ConnectionSettings = field(default_factory=ConnectionSettings)


def channel_options(settings: ServerSettings) -> list[tuple[str, int]]:
    """Return the arguments of a server's channels."""
    bounds = settings.connections
    return [
        ("grpc.so_reuseport", int(settings.share_port)),
        ("grpc.max_receive_message_length", settings.message_bytes_max),
        ("grpc.max_send_message_length", settings.message_bytes_max),
        ("grpc.max_metadata_size", bounds.metadata_bytes_max),
        ("grpc.absolute_max_metadata_size", bounds.metadata_bytes_max),
        ("grpc.max_concurrent_streams", bounds.streams_max),
        ("grpc.max_allowed_incoming_connections", bounds.connections_max),
        ("grpc.server_handshake_timeout_ms", _ms(bounds.handshake_s)),
        ("grpc.keepalive_time_ms", _ms(bounds.ping_s)),
        ("grpc.keepalive_timeout_ms", _ms(bounds.ping_timeout_s)),
        ("grpc.http2.ping_timeout_ms", _ms(bounds.ping_timeout_s)),
        ("grpc.keepalive_permit_without_calls", 1),
        ("grpc.http2.max_pings_without_data", 0),
        ("grpc.http2.min_recv_ping_interval_without_data_ms", _ms(bounds.client_ping_s)),
        ("grpc.http2.max_ping_strikes", 2),
        ("grpc.max_connection_idle_ms", _ms(bounds.idle_s)),
        ("grpc.max_connection_age_ms", _ms(bounds.age_s)),
        ("grpc.max_connection_age_grace_ms", _ms(bounds.age_grace_s)),
    ]


def _ms(seconds: float) -> int:
    return round(seconds * 1000) or NEVER_MS
