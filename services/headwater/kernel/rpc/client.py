"""Channels to other services of Headwater: bounded, kept alive, retried only where it is safe."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, Final, cast

import grpc

from headwater.kernel.rpc.secured import SecuredChannel
from headwater.kernel.security.calling import ChannelSecurity

MESSAGE_BYTES_MAX: Final = 16 * 1024 * 1024
"""Same as the servers' default."""

IN_THE_CLEAR: Final = ChannelSecurity()
"""No TLS and no credential: what loopback needs."""

_SERVICE_CONFIG: Final = json.dumps(
    {
        "methodConfig": [
            {
                "name": [{}],
                "retryPolicy": {
                    "maxAttempts": 5,
                    "initialBackoff": "0.1s",
                    "maxBackoff": "2s",
                    "backoffMultiplier": 2,
                    "retryableStatusCodes": ["UNAVAILABLE"],
                },
            }
        ]
    }
)
"""Every rpc of ours is idempotent, so UNAVAILABLE may always be tried again."""


def open_channel(
    address: str,
    interceptors: Sequence[grpc.aio.ClientInterceptor] = (),
    *,
    retries: bool = True,
    security: ChannelSecurity = IN_THE_CLEAR,
) -> grpc.aio.Channel:
    """Return a channel to *address* (host:port) that reconnects by itself, at most 2 s apart.

    Args:
        retries: try UNAVAILABLE again inside the channel; False for callers who do so themselves, as both multiply.
        security: TLS and credential; by default neither.

    Raises:
        StartRefused: a file of *security* cannot be read, or a token would go beyond loopback in the clear.
    """
    options: list[tuple[str, Any]] = [
        ("grpc.max_receive_message_length", MESSAGE_BYTES_MAX),
        ("grpc.max_send_message_length", MESSAGE_BYTES_MAX),
        ("grpc.initial_reconnect_backoff_ms", 100),
        ("grpc.min_reconnect_backoff_ms", 100),
        ("grpc.max_reconnect_backoff_ms", 2_000),
        ("grpc.keepalive_time_ms", 20_000),
        ("grpc.keepalive_timeout_ms", 10_000),
    ]
    options += [("grpc.service_config", _SERVICE_CONFIG)] if retries else [("grpc.enable_retries", 0)]
    return open_with(address, options, interceptors, security)


def open_with(
    address: str,
    options: list[tuple[str, Any]],
    interceptors: Sequence[grpc.aio.ClientInterceptor] = (),
    security: ChannelSecurity = IN_THE_CLEAR,
) -> grpc.aio.Channel:
    """Return a channel with options of the caller's own; raises as `open_channel`."""
    named = [("grpc.ssl_target_name_override", security.server_name)] if security.server_name else []

    def opened(credentials: grpc.ChannelCredentials | None) -> grpc.aio.Channel:
        given: dict[str, Any] = {"options": [*options, *named], "interceptors": list(interceptors)}
        if credentials is None:
            return grpc.aio.insecure_channel(address, **given)
        return grpc.aio.secure_channel(address, credentials, **given)

    if security == IN_THE_CLEAR:
        return opened(None)
    return cast("grpc.aio.Channel", SecuredChannel(address, security, opened))
