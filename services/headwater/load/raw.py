"""Channels and methods of ingest that take and give bytes as they are: no message is built or parsed on the way.

Each channel has connections of its own (a local subchannel pool), so that several spread over the processes of a
server that share a port. No retry, no keep-alive: what the service does is to be seen, not smoothed over.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any, Final

import grpc

from headwater.kernel.rpc.client import IN_THE_CLEAR, MESSAGE_BYTES_MAX, open_with
from headwater.kernel.security.calling import ChannelSecurity

_SERVICE: Final = "/headwater.ingest.v1.IngestService"
Metadata = tuple[tuple[str, str], ...]
StreamCall = grpc.aio.StreamStreamCall[bytes, bytes]
Method = Callable[..., Awaitable[bytes]]


class RawIngest:
    """The recording methods of one channel, bytes in and bytes out."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        self.channel = channel
        self.record: Method = channel.unary_unary(f"{_SERVICE}/RecordEvent")
        self.record_batch: Method = channel.unary_unary(f"{_SERVICE}/BatchRecordEvents")
        self._stream: Callable[..., StreamCall] = channel.stream_stream(f"{_SERVICE}/StreamEvents")

    def stream(self, *, timeout_s: float, metadata: Metadata = ()) -> StreamCall:
        """Open a stream; write with `write` and `done_writing`, read with `read` (`grpc.aio.EOF` at its end).

        Args:
            timeout_s: deadline of the whole stream.
        """
        return self._stream(timeout=timeout_s, metadata=metadata)


def raw_channel(address: str, security: ChannelSecurity = IN_THE_CLEAR) -> grpc.aio.Channel:
    """Return a channel with connections of its own."""
    options: list[tuple[str, Any]] = [
        ("grpc.use_local_subchannel_pool", 1),
        ("grpc.enable_retries", 0),
        ("grpc.max_receive_message_length", MESSAGE_BYTES_MAX),
        ("grpc.max_send_message_length", MESSAGE_BYTES_MAX),
        ("grpc.initial_reconnect_backoff_ms", 100),
        ("grpc.min_reconnect_backoff_ms", 100),
        ("grpc.max_reconnect_backoff_ms", 1_000),
    ]
    return open_with(address, options, security=security)


@asynccontextmanager
async def open_raw(
    address: str, channels: int, security: ChannelSecurity = IN_THE_CLEAR
) -> AsyncIterator[Sequence[RawIngest]]:
    """Open *channels* channels, 1..256, for the block."""
    opened = [raw_channel(address, security) for _ in range(channels)]
    try:
        yield [RawIngest(channel) for channel in opened]
    finally:
        for channel in opened:
            await channel.close(grace=0)
