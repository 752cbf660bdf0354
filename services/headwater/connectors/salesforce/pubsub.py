"""The client of Salesforce's Pub/Sub API: one subscription as a stream of changes, with tokens and schemas.

Owns the gRPC channel of a stream. The vendor sends no more than was asked for, and more is asked for when what came is
kept: memory is bounded by the window, and a slow consumer slows the vendor. Opening, and every call beside the stream,
passes the account's gate; events that come do not, they are the vendor's calls.

Source: Pub/Sub API developer guide (Subscribe RPC, authentication, error codes, allocations).
"""

from __future__ import annotations

import asyncio
import re
from collections import OrderedDict
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import urlsplit

import anyio
import grpc

from headwater.connectors.base.errors import CallFailed, ErrorClass, VendorError
from headwater.connectors.base.granting import Grant
from headwater.connectors.base.http import readable
from headwater.connectors.base.oauth import TokenSource
from headwater.connectors.base.port import Account, CallGate, LimitFacts
from headwater.connectors.base.streaming import Heard, Listened, MarkLost
from headwater.connectors.salesforce.auth import OWN_DOMAINS
from headwater.connectors.salesforce.change_events import EventSchema, change_of, heard_of, schema_of
from headwater.eventbus.v1 import pubsub_api_pb2 as pb
from headwater.eventbus.v1 import pubsub_api_pb2_grpc as pb_grpc
from headwater.kernel.errors import InvalidInput

ADDRESS: Final = "api.pubsub.salesforce.com:7443"
"""Salesforce's global endpoint."""
MESSAGE_BYTES_MAX: Final = 64 * 1024 * 1024
"""Largest answer taken: a window of events, each 1 MB at most; usual ones have some kilobytes."""
SILENCE_S_MAX: Final = 330.0
"""A stream that has said nothing for so long is dead: an empty answer comes within 270 s."""
SCHEMAS_MAX: Final = 64
"""Schemas kept in memory: one an object, and another whenever an object's fields change."""
CALL_S_MAX: Final = 15.0
CLOSE_S: Final = 5.0
"""Bound of closing a channel."""
ERROR_CODE: Final = "error-code"
_CODES: Final = "sfdc.platform.eventbus.grpc."
_MARK_LOST: Final = f"{_CODES}subscription.fetch.replayid."
_AUTH: Final = f"{_CODES}service.auth."
_BUSY: Final = f"{_CODES}concurrent.client.limit.exceeded"
_ORG_ID: Final = re.compile(r"(00D[0-9A-Za-z]{12}(?:[0-9A-Za-z]{3})?)!")
_PREFIX: Final = "/eventbus.v1.PubSub/"
_BY_STATUS: Final = {
    grpc.StatusCode.UNAUTHENTICATED: ErrorClass.AUTH,
    grpc.StatusCode.PERMISSION_DENIED: ErrorClass.PERMISSION,
    grpc.StatusCode.RESOURCE_EXHAUSTED: ErrorClass.RATE_LIMIT,
    grpc.StatusCode.DEADLINE_EXCEEDED: ErrorClass.TIMEOUT,
    grpc.StatusCode.UNAVAILABLE: ErrorClass.NETWORK,
    grpc.StatusCode.CANCELLED: ErrorClass.NETWORK,
    grpc.StatusCode.INVALID_ARGUMENT: ErrorClass.FORMAT,
    grpc.StatusCode.NOT_FOUND: ErrorClass.FORMAT,
    grpc.StatusCode.UNIMPLEMENTED: ErrorClass.FORMAT,
}

Metadata = list[tuple[str, str]]
OrgId = Callable[[], Awaitable[str]]
"""Asks the org for its id, where the token does not show it."""


@dataclass(slots=True)
class PubSub:
    """Listens for one account.

    Args:
        schemas: by id, those used last kept; a schema of an id never changes.
    """

    account: Account
    gate: CallGate
    tokens: TokenSource
    ask_org_id: OrgId
    schemas: OrderedDict[str, EventSchema] = field(default_factory=OrderedDict)

    @asynccontextmanager
    async def listen(self, listened: Listened, mark: str) -> AsyncIterator[Subscription]:
        """Open a stream for the block; see the port."""
        async with self._channel(listened.address) as channel:
            subscription = Subscription(self, pb_grpc.PubSubStub(channel), listened)
            await subscription.open(mark)
            yield subscription

    async def metadata(self, grant: Grant) -> Metadata:
        """Return what authenticates a call."""
        shown = _ORG_ID.match(grant.access_token)
        org_id = self.account.credentials.get("org_id") or (
            shown.group(1) if shown else await self.ask_org_id()
        )
        return [
            ("accesstoken", grant.access_token),
            ("instanceurl", grant.base_url or self.account.base_url),
            ("tenantid", org_id),
        ]

    async def call(self, method: str, send: Callable[[Metadata], Awaitable[Any]]) -> Any:
        """Return the answer of *send*, given metadata; a refused token is renewed once. Raises: CallFailed."""
        grant = await self.tokens.current()
        try:
            return await self._try(method, grant, send)
        except CallFailed as failed:
            if failed.error.error_class is not ErrorClass.AUTH:
                raise
        grant = await self.tokens.renew(grant.access_token)
        try:
            return await self._try(method, grant, send, resend_count=1)
        except CallFailed as failed:
            if failed.error.error_class is ErrorClass.AUTH:
                self.tokens.condemn(grant.access_token)
            raise

    async def schema(self, stub: pb_grpc.PubSubAsyncStub, schema_id: str) -> EventSchema:
        """Return a schema, asked for once. Raises: CallFailed."""
        if schema_id not in self.schemas:
            request = pb.SchemaRequest(schema_id=schema_id)
            answer = await self.call(
                "GetSchema", lambda told: stub.GetSchema(request, metadata=told, timeout=CALL_S_MAX)
            )
            self.schemas[schema_id] = schema_of(answer.schema_json)
            if len(self.schemas) > SCHEMAS_MAX:
                self.schemas.popitem(last=False)
        self.schemas.move_to_end(schema_id)
        return self.schemas[schema_id]

    async def _try(
        self,
        method: str,
        grant: Grant,
        send: Callable[[Metadata], Awaitable[Any]],
        *,
        resend_count: int = 0,
    ) -> Any:
        path = f"{_PREFIX}{method}"
        metadata = await self.metadata(grant)
        async with self.gate.call("POST", path, endpoint_class="read", resend_count=resend_count) as ticket:
            traced = [
                (name, value)
                for name, value in ticket.headers.items()
                if name in {"traceparent", "tracestate"}
            ]
            try:
                answer = await send([*metadata, *traced])
            except grpc.aio.AioRpcError as error:
                raise failure_of(error) from error
            ticket.answered(200, LimitFacts())
            return answer

    @asynccontextmanager
    async def _channel(self, address: str) -> AsyncIterator[grpc.aio.Channel]:
        place, secure = endpoint_of(self.account, address)
        options: list[tuple[str, Any]] = [
            ("grpc.max_receive_message_length", MESSAGE_BYTES_MAX),
            ("grpc.keepalive_time_ms", 60_000),
            ("grpc.keepalive_timeout_ms", 20_000),
            ("grpc.enable_retries", 0),
        ]
        if secure:
            channel = grpc.aio.secure_channel(place, grpc.ssl_channel_credentials(), options=options)
        else:
            channel = grpc.aio.insecure_channel(place, options=options)
        try:
            yield channel
        finally:
            with anyio.move_on_after(CLOSE_S, shield=True):
                await channel.close()


def endpoint_of(account: Account, address: str) -> tuple[str, bool]:
    """Return host and port to listen at, and whether by TLS.

    Raises: InvalidInput for a host that is neither Salesforce's nor the account's own: a token is sent nowhere else.
    """
    base = urlsplit(account.base_url)
    place = address or ADDRESS
    host = urlsplit(f"//{place}").hostname or ""
    if host == base.hostname:
        return place, base.scheme == "https"
    if not host.endswith(OWN_DOMAINS):
        message = f"events.pubsub.address of connector {account.name!r} is {place!r}: neither Salesforce's nor the account's host"
        raise InvalidInput(message, reason="PUBSUB_ADDRESS_NOT_TRUSTED")
    return place, True


def failure_of(error: grpc.aio.AioRpcError) -> CallFailed:
    """Return what a gRPC error proves."""
    trailers = dict(error.trailing_metadata() or ())
    told = trailers.get(ERROR_CODE) or ""
    code = told.decode() if isinstance(told, bytes) else told
    status: grpc.StatusCode = error.code()
    error_class = _BY_STATUS.get(status, ErrorClass.SERVER)
    if code.startswith(_AUTH):
        error_class = ErrorClass.AUTH
    elif code == _BUSY:
        error_class = ErrorClass.RATE_LIMIT
    message = readable(error.details() or f"gRPC status {status.name}")
    vendor = VendorError(error_class, code.removeprefix(_CODES) or status.name, message)
    return MarkLost(vendor) if code.startswith(_MARK_LOST) else CallFailed(vendor)


class Subscription:
    """One open subscription."""

    def __init__(self, owner: PubSub, stub: pb_grpc.PubSubAsyncStub, listened: Listened) -> None:
        self._owner = owner
        self._stub = stub
        self._listened = listened
        self._pending = listened.window
        self._token = ""
        self._call: grpc.aio.StreamStreamCall[pb.FetchRequest, pb.FetchResponse]

    async def open(self, mark: str) -> None:
        """Ask for the stream; whether it is let in shows with what comes first. Raises: CallFailed."""
        topic = pb.TopicRequest(topic_name=self._listened.topic)
        info = await self._owner.call(
            "GetTopic", lambda told: self._stub.GetTopic(topic, metadata=told, timeout=CALL_S_MAX)
        )
        if not info.can_subscribe:
            message = f"the connected user may not subscribe to {self._listened.topic}"
            raise CallFailed(VendorError(ErrorClass.PERMISSION, "CANNOT_SUBSCRIBE", message))
        first = self._request(self._listened.window)
        if mark:
            first.replay_preset, first.replay_id = pb.CUSTOM, bytes.fromhex(mark)

        async def begin(metadata: Metadata) -> None:
            self._token = dict(metadata)["accesstoken"]
            self._call = self._stub.Subscribe(metadata=metadata)
            try:
                await self._call.write(first)
            except asyncio.InvalidStateError:  # refused before it could be asked
                raise await self._ended() from None

        await self._owner.call("Subscribe", begin)

    async def next(self) -> Heard:
        """Return what comes next; see the port."""
        try:
            await self._make_room()
            with anyio.fail_after(SILENCE_S_MAX):
                answer = await self._call.read()
        except TimeoutError:
            message = f"nothing came for {SILENCE_S_MAX:g} s"
            raise CallFailed(VendorError(ErrorClass.TIMEOUT, "STREAM_SILENT", message)) from None
        except asyncio.InvalidStateError:  # it ended between two reads
            raise await self._ended() from None
        except grpc.aio.AioRpcError as error:
            raise await self._failed(error) from error
        if not isinstance(answer, pb.FetchResponse):
            raise await self._ended()
        self._pending -= len(
            answer.events
        )  # not what the vendor counts: our next wish may be on its way to it
        return await self._heard(answer)

    async def _heard(self, answer: pb.FetchResponse) -> Heard:
        changes, unreadable = [], 0
        for item in answer.events:
            schema = await self._owner.schema(self._stub, item.event.schema_id)
            try:
                changes.append((change_of(item.event.payload, schema), schema))
            except CallFailed:
                unreadable += 1
        mark = answer.events[-1].replay_id if answer.events else answer.latest_replay_id
        return heard_of(changes, self._listened, mark.hex(), unreadable)

    async def _ended(self) -> CallFailed:
        """Return why a stream has ended."""
        status = await self._call.code()
        if status is grpc.StatusCode.OK:
            return CallFailed(
                VendorError(ErrorClass.NETWORK, "STREAM_ENDED", "the vendor has ended the stream")
            )
        trailers, details = await self._call.trailing_metadata(), await self._call.details()
        return await self._failed(grpc.aio.AioRpcError(status, grpc.aio.Metadata(), trailers, details))

    async def _failed(self, error: grpc.aio.AioRpcError) -> CallFailed:
        failed = failure_of(error)
        if failed.error.error_class is ErrorClass.AUTH:
            await self._owner.tokens.renew(self._token)  # the next stream begins with another
        return failed

    async def _make_room(self) -> None:
        """Ask for what the window has room for, once half of it is free."""
        room = self._listened.window - self._pending
        if room * 2 >= self._listened.window and room > 0:
            await self._call.write(self._request(room))
            self._pending += room

    def _request(self, events: int) -> pb.FetchRequest:
        return pb.FetchRequest(topic_name=self._listened.topic, num_requested=events)
