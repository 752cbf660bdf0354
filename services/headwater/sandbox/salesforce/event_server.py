"""Owns the gRPC side of Salesforce's Pub/Sub API: topics, schemas, subscriptions with flow control, refusals and faults.

Source: Pub/Sub API developer guide; the error codes stand in the trailer `error-code`.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import anyio
import grpc

from headwater.eventbus.v1 import pubsub_api_pb2 as pb
from headwater.eventbus.v1 import pubsub_api_pb2_grpc as pb_grpc
from headwater.sandbox.faults import EVENTS, EXPIRY
from headwater.sandbox.salesforce.auth import ORG_ID
from headwater.sandbox.salesforce.event_bus import EventBus, ReplayLost, overflow_of, replay_id, told_of
from headwater.sandbox.salesforce.event_schemas import kind_of_topic, schema_by_id, schema_of

if TYPE_CHECKING:
    from headwater.sandbox.accounts import Account
    from headwater.sandbox.fleet import Fleet

    Context = grpc.aio.ServicerContext[Any, Any]

LOOK_S = 0.02
"""Pause between two looks at the arrival log."""
WINDOW_MAX = 100
"""Events that may be asked for and not be sent yet."""
BATCH_MAX = 25
"""Events of one answer."""
SUBSCRIBE = "POST /eventbus.v1.PubSub/Subscribe"
_CODE = "sfdc.platform.eventbus.grpc."
_UNSERVED = "The sandbox serves topics, schemas and subscriptions."
_INSTANCE = re.compile(r"^/salesforce/([a-z0-9][a-z0-9_-]{0,62})$")


class _Refused(Exception):
    """A call ends with a status, and a code in its trailers."""

    def __init__(self, status: grpc.StatusCode, code: str, text: str) -> None:
        super().__init__(text)
        self.status, self.code, self.text = status, f"{_CODE}{code}", text


_CUT = _Refused(grpc.StatusCode.UNAVAILABLE, "service.unavailable", "RST_STREAM closed stream.")


@dataclass(slots=True)
class _Wishes:
    """What a subscriber has asked for and was not sent yet."""

    pending: int
    ended: bool = False


class PubSubServicer(pb_grpc.PubSubServicer):
    """The event buses of every Salesforce account of a fleet."""

    def __init__(self, fleet: Fleet) -> None:
        self._fleet = fleet

    async def GetTopic(self, request: pb.TopicRequest, context: Context) -> pb.TopicInfo:  # noqa: N802
        """What a topic is."""
        async with self._refusing(context):
            self._account(context)
            kind = _kind(request.topic_name)
        return pb.TopicInfo(
            topic_name=request.topic_name,
            tenant_guid=ORG_ID,
            can_subscribe=True,
            schema_id=schema_of(kind).schema_id if kind else "",
            rpc_id=self._fleet.new_id(),
        )

    async def GetSchema(self, request: pb.SchemaRequest, context: Context) -> pb.SchemaInfo:  # noqa: N802
        """A schema by its id."""
        async with self._refusing(context):
            self._account(context)
            found = schema_by_id(request.schema_id)
            if found is None:
                raise _Refused(
                    grpc.StatusCode.INVALID_ARGUMENT, "schema.not.found", "There is no such schema."
                )
        return pb.SchemaInfo(schema_id=found.schema_id, schema_json=found.text, rpc_id=self._fleet.new_id())

    async def Subscribe(  # type: ignore[override]  # noqa: N802 - what is told goes out by the context
        self, requests: AsyncIterator[pb.FetchRequest], context: Context
    ) -> None:
        """Events behind a place, as many as were asked for."""
        async with self._refusing(context):
            account = self._account(context)
            first = await anext(aiter(requests))
            only = _kind(first.topic_name)
            if first.num_requested < 1:
                code = "subscription.fetch.requested.events.validation.failed"
                raise _Refused(grpc.StatusCode.INVALID_ARGUMENT, code, "num_requested must be positive.")
            place = self._place(account, first)
            wishes = _Wishes(min(first.num_requested, WINDOW_MAX))
            refused: _Refused | None = None
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(_read, requests, wishes, first.topic_name)
                try:
                    await self._tell(account, only, place, wishes, context)
                except _Refused as error:  # it would leave the group within another
                    refused = error
                tasks.cancel_scope.cancel()
            if refused is not None:
                raise refused

    async def Publish(self, request: pb.PublishRequest, context: Context) -> pb.PublishResponse:  # noqa: N802
        """Nobody publishes here."""
        del request
        await context.abort(grpc.StatusCode.UNIMPLEMENTED, _UNSERVED)

    async def PublishStream(  # type: ignore[override]  # noqa: N802
        self, requests: AsyncIterator[pb.PublishRequest], context: Context
    ) -> None:
        """Nobody publishes here."""
        del requests
        await context.abort(grpc.StatusCode.UNIMPLEMENTED, _UNSERVED)

    async def ManagedSubscribe(  # type: ignore[override]  # noqa: N802
        self, requests: AsyncIterator[pb.ManagedFetchRequest], context: Context
    ) -> None:
        """Marks are kept by whoever subscribes."""
        del requests
        await context.abort(grpc.StatusCode.UNIMPLEMENTED, _UNSERVED)

    async def _tell(self, account: Account, only: str, place: int, wishes: _Wishes, context: Context) -> None:
        bus, silent_since = EventBus(account), anyio.current_time()
        while not wishes.ended:
            wanted = min(wishes.pending, BATCH_MAX)
            lines, place = bus.after(place, only, wanted) if wanted else ([], place)
            if not lines:
                if anyio.current_time() - silent_since >= account.options.event_keepalive_s:
                    silent_since = anyio.current_time()
                    await context.write(self._answer([], place, wishes.pending))
                else:
                    await anyio.sleep(LOOK_S)
                continue
            self._account(context)  # a token that has expired meanwhile is not served
            fired = {fault.kind for fault in account.faults.fire(EVENTS, SUBSCRIBE)}
            if "batch_lost" in fired:
                raise _CUT
            gap = "event_gap" in fired
            told = (
                overflow_of(lines)
                if "event_overflow" in fired
                else [told_of(*line, gap=gap) for line in lines]
            )
            wishes.pending -= len(told)
            silent_since = anyio.current_time()
            await context.write(self._answer(told, place, wishes.pending))
            if "stream_cut" in fired:
                raise _CUT

    def _answer(self, told: list[Any], place: int, pending: int) -> pb.FetchResponse:
        events = [
            pb.ConsumerEvent(
                event=pb.ProducerEvent(
                    id=self._fleet.new_id(), schema_id=schema_of(one.kind).schema_id, payload=one.payload
                ),
                replay_id=one.replay_id,
            )
            for one in told
        ]
        return pb.FetchResponse(
            events=events,
            latest_replay_id=replay_id(place),
            rpc_id=self._fleet.new_id(),
            pending_num_requested=pending,
        )

    def _place(self, account: Account, first: pb.FetchRequest) -> int:
        bus, now_ms = EventBus(account), self._fleet.now_ms()
        if first.replay_preset == pb.LATEST:
            return bus.latest()
        if first.replay_preset == pb.EARLIEST:
            return bus.floor(now_ms)
        try:
            return bus.place_of(first.replay_id, now_ms)
        except ReplayLost:
            text = "The Replay ID validation failed. Ensure that the Replay ID is valid."
            code = "subscription.fetch.replayid.validation.failed"
            raise _Refused(grpc.StatusCode.INVALID_ARGUMENT, code, text) from None

    def _account(self, context: Context) -> Account:
        """The account whose session the metadata shows; else UNAUTHENTICATED."""
        told = {str(name): _text(value) for name, value in context.invocation_metadata() or ()}
        account = self._named(told)
        now_ms = self._fleet.now_ms()
        if account is not None and account.faults.fire(EXPIRY, SUBSCRIBE):
            account.expire_tokens(now_ms)
        expire_ms = None if account is None else account.token_expire_ms(told.get("accesstoken", ""))
        known = expire_ms is not None and expire_ms > now_ms and told.get("tenantid", "")[:15] == ORG_ID
        if account is None or not known:
            text = "An authentication exception occurred. Provide valid authentication via metadata headers."
            raise _Refused(grpc.StatusCode.UNAUTHENTICATED, "service.auth.error", text)
        return account

    def _named(self, told: Mapping[str, str]) -> Account | None:
        found = _INSTANCE.match(urlsplit(told.get("instanceurl", "")).path)
        return self._fleet.find("salesforce", found.group(1)) if found else None

    @asynccontextmanager
    async def _refusing(self, context: Context) -> AsyncIterator[None]:
        """End the call as a refusal in the block says."""
        refused: _Refused | None = None
        try:
            yield
        except _Refused as error:
            refused = error
        if refused is not None:
            rpc_id = self._fleet.new_id()
            trailers = (("error-code", refused.code), ("rpc-id", rpc_id))
            await context.abort(refused.status, f"{refused.text} rpcId: {rpc_id}", trailers)


async def _read(requests: AsyncIterator[pb.FetchRequest], wishes: _Wishes, topic: str) -> None:
    async for request in requests:
        if request.topic_name not in {"", topic}:
            break
        wishes.pending = min(wishes.pending + request.num_requested, WINDOW_MAX)
    wishes.ended = True


def _kind(topic: str) -> str:
    kind = kind_of_topic(topic)
    if kind is None:
        raise _Refused(grpc.StatusCode.NOT_FOUND, "topic.not.found", f"The topic {topic} cannot be found.")
    return kind


def _text(value: str | bytes) -> str:
    return value.decode() if isinstance(value, bytes) else value


@asynccontextmanager
async def serving(fleet: Fleet, address: str) -> AsyncIterator[int]:
    """Serve the Pub/Sub API while the block runs; yields its port."""
    server = grpc.aio.server()
    pb_grpc.add_PubSubServicer_to_server(PubSubServicer(fleet), server)
    port = server.add_insecure_port(address)
    await server.start()
    try:
        yield port
    finally:
        await server.stop(0)
