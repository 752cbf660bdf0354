"""How a call's bytes go to a vendor and come back: one connection pool per account, one write per request.

Owns connections. Must not know what a request means, nor what a failure proves: it tells failures in the client
library's words. It stands where that library's own transport would, without redirects, cookies and sessions.
"""

from __future__ import annotations

import ssl
import urllib.request
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any, Final
from urllib.parse import urlsplit

import httpcore
import httpx

from headwater.kernel.net import NameUnknown, Reach, checked_addresses
from headwater.kernel.net.resolving import Resolve, system_resolve

CONNECTIONS_MAX: Final = 16
"""Connections per account; above what an actor keeps in flight."""
KEEP_S: Final = 5.0
"""Seconds that an idle connection is kept; shorter than any known vendor keeps it."""
HELD_BYTES_MAX: Final = 65_536
"""Bytes of a request that are held back to go in one write."""

_SAME_NAME: Final = (
    "ConnectError",
    "ConnectTimeout",
    "LocalProtocolError",
    "PoolTimeout",
    "ReadError",
    "ReadTimeout",
    "RemoteProtocolError",
    "UnsupportedProtocol",
    "WriteError",
    "WriteTimeout",
)
_TOLD_AS: Final[Mapping[type[Exception], type[httpx.TransportError]]] = {
    getattr(httpcore, name): getattr(httpx, name) for name in _SAME_NAME
}
"""Failures of a connection, and what the client library calls them."""


def transport_to(base_url: str, tls: ssl.SSLContext, *, trust_env: bool) -> httpx.AsyncBaseTransport:
    """Return the transport to a vendor: through the environment's proxy where it names one, else straight."""
    proxy = _proxy_of(base_url) if trust_env else None
    if proxy is None:
        return PooledTransport(tls)
    limits = httpx.Limits(max_connections=CONNECTIONS_MAX, max_keepalive_connections=CONNECTIONS_MAX)
    return httpx.AsyncHTTPTransport(verify=tls, limits=limits, proxy=proxy)


class PooledTransport(httpx.AsyncBaseTransport):
    """Sends requests over kept connections."""

    def __init__(self, tls: ssl.SSLContext, backend: httpcore.AsyncNetworkBackend | None = None) -> None:
        self._pool = httpcore.AsyncConnectionPool(
            ssl_context=tls,
            max_connections=CONNECTIONS_MAX,
            max_keepalive_connections=CONNECTIONS_MAX,
            keepalive_expiry=KEEP_S,
            network_backend=backend or _OneWriteBackend(),
        )

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send *request* and return its answer as soon as its headers are here; the answer is to be closed.

        Raises: httpx.TransportError.
        Cancellation: the connection is closed; the request may have been applied.
        """
        url = request.url
        sent = httpcore.Request(
            method=request.method,
            url=httpcore.URL(scheme=url.raw_scheme, host=url.raw_host, port=url.port, target=url.raw_path),
            headers=request.headers.raw,
            content=request.content,
            extensions=request.extensions,
        )
        with _told():
            answer = await self._pool.handle_async_request(sent)
        return httpx.Response(answer.status, headers=answer.headers, stream=_Body(answer))

    async def aclose(self) -> None:
        """Close connections."""
        await self._pool.aclose()


class CheckedTransport(PooledTransport):
    """Sends requests to a URL that somebody else named: only to checked addresses, never through a proxy.

    Answers come as they were sent, not unpacked: a small one could unpack to a very large one.
    Raises: AddressRefused besides what any transport raises.
    """

    def __init__(self, tls: ssl.SSLContext, reach: Reach, *, resolve: Resolve = system_resolve) -> None:
        super().__init__(tls, _CheckedBackend(reach, resolve))

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send *request*; see `PooledTransport`."""
        answer = await super().handle_async_request(request)
        answer.headers.pop("content-encoding", None)
        return answer


class _Body(httpx.AsyncByteStream):
    """The body of an answer, read once."""

    def __init__(self, answer: httpcore.Response) -> None:
        self._answer = answer

    async def __aiter__(self) -> AsyncIterator[bytes]:
        with _told():
            async for part in self._answer.aiter_stream():
                yield part

    async def aclose(self) -> None:
        await self._answer.aclose()


class _OneWriteStream(httpcore.AsyncNetworkStream):
    """A connection that holds a request's parts back until its answer is waited for.

    Head and body then go in one packet and wake the vendor once. That a request may have gone is told when its
    first part is handed over: early, never late.
    """

    def __init__(self, stream: httpcore.AsyncNetworkStream) -> None:
        self._stream = stream
        self._held = bytearray()

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:  # noqa: ASYNC109 - the port's
        with suppress(
            httpcore.WriteError
        ):  # a vendor may answer and close before it has read all: that counts
            await self._flush(timeout)
        return await self._stream.read(max_bytes, timeout)

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:  # noqa: ASYNC109 - the port's
        self._held += buffer
        if len(self._held) > HELD_BYTES_MAX:
            await self._flush(timeout)

    async def _flush(self, timeout: float | None) -> None:  # noqa: ASYNC109 - the port's
        if self._held:
            whole, self._held = bytes(self._held), bytearray()
            await self._stream.write(whole, timeout)

    async def aclose(self) -> None:
        await self._stream.aclose()

    async def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,  # noqa: ASYNC109 - the port's
    ) -> httpcore.AsyncNetworkStream:
        return _OneWriteStream(await self._stream.start_tls(ssl_context, server_hostname, timeout))

    def get_extra_info(self, info: str) -> Any:
        return self._stream.get_extra_info(info)


class _OneWriteBackend(httpcore.AnyIOBackend):
    """Opens connections that write once."""

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ASYNC109 - the port's
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        return _OneWriteStream(await super().connect_tcp(host, port, timeout, local_address, socket_options))


class _CheckedBackend(_OneWriteBackend):
    """Connects to the very addresses that were checked; the name is asked for once a connection."""

    def __init__(self, reach: Reach, resolve: Resolve) -> None:
        super().__init__()
        self._reach = reach
        self._resolve = resolve

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ASYNC109 - the port's
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        try:
            addresses = await checked_addresses(host, port, self._reach, resolve=self._resolve)
        except NameUnknown as error:
            raise httpcore.ConnectError(error.message) from error
        *others, last = addresses
        for address in others:
            with suppress(httpcore.ConnectError, httpcore.ConnectTimeout):
                return await super().connect_tcp(str(address), port, timeout, local_address, socket_options)
        return await super().connect_tcp(str(last), port, timeout, local_address, socket_options)


@contextmanager
def _told() -> Iterator[None]:
    """Tell a connection's failure in the client library's words."""
    try:
        yield
    except tuple(_TOLD_AS) as error:
        raise _TOLD_AS[type(error)](str(error)) from error


def _proxy_of(base_url: str) -> str | None:
    parts = urlsplit(base_url)
    proxies = urllib.request.getproxies()
    if urllib.request.proxy_bypass(parts.netloc):
        return None
    return proxies.get(parts.scheme) or proxies.get("all")
