"""A channel with TLS and a credential, which takes up new certificates and tokens without a restart.

Owns the making anew: a channel of grpc.aio has its certificates for life, so that calls made after a change go over
another one; those under way end on theirs. The credential travels as metadata of each call: an interceptor of grpc.aio
costs 20-40 us a call, this a look-up. Must not send a token in the clear beyond loopback.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from typing import Any, Final, Self

import grpc

from headwater.kernel.errors import StartRefused
from headwater.kernel.security.calling import ChannelSecurity
from headwater.kernel.security.places import host_of, is_loopback

LOOK_S: Final = 1.0
"""Least time between two looks at the files."""
RETIRED_MAX: Final = 4
"""Channels of older certificates whose calls may still be under way; the oldest is let go."""

Open = Callable[[grpc.ChannelCredentials | None], grpc.aio.Channel]


class SecuredChannel:
    """What generated stubs and callers take for a `grpc.aio.Channel`."""

    def __init__(
        self,
        address: str,
        security: ChannelSecurity,
        opened: Open,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        security.check()
        if security.brings_token and not security.ca and not is_loopback(host_of(address)):
            message = f"refusing to send a token to {address} in the clear: set HEADWATER_TLS_CA"
            raise StartRefused(message, reason="TOKEN_IN_THE_CLEAR")
        self._security = security
        self._open = opened
        self._monotonic = monotonic
        self._retired: deque[grpc.aio.Channel] = deque(maxlen=RETIRED_MAX)
        self._stamps, self._token_stamp = security.stamps(), security.token_stamp()
        self.channel = opened(_credentials(security))
        self._metadata = _metadata(security)
        self._look_s = monotonic() + LOOK_S

    @property
    def metadata(self) -> tuple[tuple[str, str], ...]:
        """The credential of the next call; looks at the files first when that is due."""
        now = self._monotonic()
        if now >= self._look_s:
            self._look_s = now + LOOK_S
            self._take_up()
        return self._metadata

    def _take_up(self) -> None:
        security = self._security
        stamps, token_stamp = security.stamps(), security.token_stamp()
        try:
            if token_stamp != self._token_stamp:
                self._metadata, self._token_stamp = _metadata(security), token_stamp
            if stamps != self._stamps and None not in stamps:
                fresh = self._open(_credentials(security))
                self._retired.append(self.channel)
                self.channel, self._stamps = fresh, stamps
        except StartRefused:
            return  # half written: looked at again

    def unary_unary(self, method: str, *arguments: Any, **named: Any) -> Any:
        """Return the callable of a unary method."""
        return _Method(self, "unary_unary", (method, *arguments), named)

    def unary_stream(self, method: str, *arguments: Any, **named: Any) -> Any:
        """Return the callable of a method that answers with a stream."""
        return _Method(self, "unary_stream", (method, *arguments), named)

    def stream_unary(self, method: str, *arguments: Any, **named: Any) -> Any:
        """Return the callable of a method that takes a stream."""
        return _Method(self, "stream_unary", (method, *arguments), named)

    def stream_stream(self, method: str, *arguments: Any, **named: Any) -> Any:
        """Return the callable of a method of streams both ways."""
        return _Method(self, "stream_stream", (method, *arguments), named)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self, grace: float | None = None) -> None:
        """Close it with all that it was."""
        for channel in (*self._retired, self.channel):
            await channel.close(grace)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.channel, name)


class _Method:
    """One method of a channel; bound to whichever channel is the present one."""

    __slots__ = ("_arguments", "_bound", "_channel", "_kind", "_named", "_of")

    def __init__(
        self, channel: SecuredChannel, kind: str, arguments: tuple[Any, ...], named: dict[str, Any]
    ) -> None:
        self._channel = channel
        self._kind = kind
        self._arguments = arguments
        self._named = named
        self._of: grpc.aio.Channel | None = None
        self._bound: Any = None

    def __call__(self, *arguments: Any, metadata: Any = None, **named: Any) -> Any:
        own = self._channel.metadata
        present = self._channel.channel
        if self._of is not present:
            self._bound = getattr(present, self._kind)(*self._arguments, **self._named)
            self._of = present
        return self._bound(*arguments, metadata=(*metadata, *own) if metadata else own, **named)


def _credentials(security: ChannelSecurity) -> grpc.ChannelCredentials | None:
    return grpc.ssl_channel_credentials(*security.material()) if security.ca else None


def _metadata(security: ChannelSecurity) -> tuple[tuple[str, str], ...]:
    token = security.token_now()
    return (("authorization", f"Bearer {token}"),) if token else ()
