"""Names of spans and attributes: the one place where they are written down.

Owns every attribute name that Headwater emits, with its stability in the OpenTelemetry semantic conventions
(release 1.44, package `opentelemetry-semantic-conventions` 0.66b2), and the rules that form span names. The
table is an allow-list: a span carries registered names only, so a value nobody thought about (a person's email,
a token) has no name to travel under. Must not import the SDK or know any service.
"""

import re
from collections.abc import Iterable, Mapping
from enum import StrEnum
from types import MappingProxyType
from typing import Final, NewType

AttributeName = NewType("AttributeName", str)
"""A name out of `ATTRIBUTES`; the type checker keeps loose strings off spans."""


class Stability(StrEnum):
    """How far a name may be relied upon not to change."""

    STABLE = "stable"
    RELEASE_CANDIDATE = "release_candidate"
    DEVELOPMENT = "development"
    HEADWATER = "headwater"
    """Our own name, under our own prefix."""


def _name(text: str) -> AttributeName:
    return AttributeName(text)


# rpc: see docs/rpc/grpc of the conventions
RPC_SYSTEM_NAME: Final = _name("rpc.system.name")
RPC_METHOD: Final = _name("rpc.method")
RPC_RESPONSE_STATUS_CODE: Final = _name("rpc.response.status_code")

# messaging: see docs/messaging/messaging-spans of the conventions
MESSAGING_SYSTEM: Final = _name("messaging.system")
MESSAGING_DESTINATION_NAME: Final = _name("messaging.destination.name")
MESSAGING_OPERATION_NAME: Final = _name("messaging.operation.name")
MESSAGING_OPERATION_TYPE: Final = _name("messaging.operation.type")
MESSAGING_BATCH_MESSAGE_COUNT: Final = _name("messaging.batch.message_count")
MESSAGING_MESSAGE_ID: Final = _name("messaging.message.id")

# database: see docs/db/postgresql of the conventions
DB_SYSTEM_NAME: Final = _name("db.system.name")
DB_COLLECTION_NAME: Final = _name("db.collection.name")
DB_OPERATION_NAME: Final = _name("db.operation.name")
DB_OPERATION_BATCH_SIZE: Final = _name("db.operation.batch.size")
DB_QUERY_SUMMARY: Final = _name("db.query.summary")
DB_RESPONSE_STATUS_CODE: Final = _name("db.response.status_code")

# http, server, url: see docs/http/http-spans of the conventions
HTTP_REQUEST_METHOD: Final = _name("http.request.method")
HTTP_REQUEST_RESEND_COUNT: Final = _name("http.request.resend_count")
HTTP_RESPONSE_STATUS_CODE: Final = _name("http.response.status_code")
HTTP_ROUTE: Final = _name("http.route")
SERVER_ADDRESS: Final = _name("server.address")
SERVER_PORT: Final = _name("server.port")
URL_PATH: Final = _name("url.path")
URL_SCHEME: Final = _name("url.scheme")
URL_FULL: Final = _name("url.full")
URL_TEMPLATE: Final = _name("url.template")

# errors: see docs/general/recording-errors of the conventions
ERROR_TYPE: Final = _name("error.type")

# ours
TENANT: Final = _name("headwater.tenant")
EVENT_KEY: Final = _name("headwater.event_key")
SOURCE: Final = _name("headwater.source")
OBJECT: Final = _name("headwater.object")
CONNECTOR: Final = _name("headwater.connector")
ACCOUNT: Final = _name("headwater.account")
ENTITY_ID: Final = _name("headwater.entity_id")
ATTEMPT: Final = _name("headwater.attempt")
OUTCOME: Final = _name("headwater.outcome")
POLICY_VERSION: Final = _name("headwater.policy_version")
LANE: Final = _name("headwater.lane")
RELATION: Final = _name("headwater.relation")
"""How an attempt hangs on its event: `child`, `retry` or `late`."""
LINKS_LEFT_OUT: Final = _name("headwater.links_left_out")
"""Count of sampled members a batch span does not link to, because the bound on links was reached."""
SAMPLING: Final = _name("headwater.sampling")
"""Hint to the sampler, given at start: `keep` makes a root span sampled whatever the ratio."""
LINK_ROLE: Final = _name("headwater.link_role")
"""On a link: `creation`, `previous_attempt` or `member`."""

SAMPLING_KEEP: Final = "keep"
LINK_CREATION: Final = "creation"
LINK_PREVIOUS_ATTEMPT: Final = "previous_attempt"
LINK_MEMBER: Final = "member"

RPC_SYSTEM_GRPC: Final = "grpc"
DB_SYSTEM_POSTGRESQL: Final = "postgresql"
MESSAGING_SYSTEM_HEADWATER: Final = "headwater"

ATTRIBUTES: Final[Mapping[str, Stability]] = MappingProxyType(
    {
        RPC_SYSTEM_NAME: Stability.RELEASE_CANDIDATE,
        RPC_METHOD: Stability.RELEASE_CANDIDATE,
        RPC_RESPONSE_STATUS_CODE: Stability.RELEASE_CANDIDATE,
        MESSAGING_SYSTEM: Stability.DEVELOPMENT,
        MESSAGING_DESTINATION_NAME: Stability.DEVELOPMENT,
        MESSAGING_OPERATION_NAME: Stability.DEVELOPMENT,
        MESSAGING_OPERATION_TYPE: Stability.DEVELOPMENT,
        MESSAGING_BATCH_MESSAGE_COUNT: Stability.DEVELOPMENT,
        MESSAGING_MESSAGE_ID: Stability.DEVELOPMENT,
        DB_SYSTEM_NAME: Stability.STABLE,
        DB_COLLECTION_NAME: Stability.STABLE,
        DB_OPERATION_NAME: Stability.STABLE,
        DB_OPERATION_BATCH_SIZE: Stability.STABLE,
        DB_QUERY_SUMMARY: Stability.STABLE,
        DB_RESPONSE_STATUS_CODE: Stability.STABLE,
        HTTP_REQUEST_METHOD: Stability.STABLE,
        HTTP_REQUEST_RESEND_COUNT: Stability.STABLE,
        HTTP_RESPONSE_STATUS_CODE: Stability.STABLE,
        HTTP_ROUTE: Stability.STABLE,
        SERVER_ADDRESS: Stability.STABLE,
        SERVER_PORT: Stability.STABLE,
        URL_PATH: Stability.STABLE,
        URL_SCHEME: Stability.STABLE,
        URL_FULL: Stability.STABLE,
        URL_TEMPLATE: Stability.DEVELOPMENT,
        ERROR_TYPE: Stability.STABLE,
        TENANT: Stability.HEADWATER,
        EVENT_KEY: Stability.HEADWATER,
        SOURCE: Stability.HEADWATER,
        OBJECT: Stability.HEADWATER,
        CONNECTOR: Stability.HEADWATER,
        ACCOUNT: Stability.HEADWATER,
        ENTITY_ID: Stability.HEADWATER,
        ATTEMPT: Stability.HEADWATER,
        OUTCOME: Stability.HEADWATER,
        POLICY_VERSION: Stability.HEADWATER,
        LANE: Stability.HEADWATER,
        RELATION: Stability.HEADWATER,
        LINKS_LEFT_OUT: Stability.HEADWATER,
        SAMPLING: Stability.HEADWATER,
        LINK_ROLE: Stability.HEADWATER,
    },
)
"""Every attribute a span or link may carry."""


class Operation(StrEnum):
    """What is done with a queue, in the words of the messaging convention."""

    SEND = "send"
    RECEIVE = "receive"
    PROCESS = "process"
    SETTLE = "settle"


def queue_span_name(operation: Operation, queue: str) -> str:
    """Name a queue span: `send event_log`."""
    return f"{operation.value} {queue}"


def db_span_name(operation: str, table: str) -> str:
    """Name a database span by its query summary: `COPY event`."""
    return f"{operation} {table}"


def http_span_name(method: str, template: str | None) -> str:
    """Name an HTTP span by method and path template or route, or by method alone where none is known."""
    return f"{method} {template}" if template else method


def rpc_method(path: str) -> str:
    """Turn a gRPC path (`/pkg.Service/Method`) into the convention's method and span name."""
    return path.removeprefix("/")


QUEUES: Final = ("event_log", "headwater.events", "headwater.deliveries")
"""Every queue that a span is named after."""

OWN_SPANS: Final = ("breaker open", "import row")
"""Names of spans around work of ours that no convention names."""


def _span_shapes() -> dict[str, re.Pattern[str]]:
    place = r"(?:/(?:\{\w+\}|v\d+(?:\.\d+)?|oauth2|[A-Za-z_][A-Za-z_.-]*))+/?"
    queues = f"(?:{'|'.join(map(re.escape, QUEUES))})"
    method, request = r"[a-z_.]+\.v\d+\.\w+/\w+", rf"[A-Z]+(?: {place})?"
    shapes = {
        "SERVER": (method, request),
        "CLIENT": (method, request, r"[A-Z]+ (?:[a-z_]+\.)?[a-z_]+", f"(?:receive|settle) {queues}"),
        "PRODUCER": (f"send {queues}",),
        "CONSUMER": (f"process {queues}",),
        "INTERNAL": tuple(map(re.escape, OWN_SPANS)),
    }
    return {kind: re.compile("|".join(forms)) for kind, forms in shapes.items()}


_SHAPES: Final[Mapping[str, re.Pattern[str]]] = MappingProxyType(_span_shapes())


def is_registered_span(kind: str, name: str) -> bool:
    """Return whether a span of *kind* may have *name*: one of the conventions' forms, without a value in it.

    Args:
        kind: `SERVER`, `CLIENT`, `PRODUCER`, `CONSUMER` or `INTERNAL`.
    """
    shape = _SHAPES.get(kind)
    return shape is not None and shape.fullmatch(name) is not None


def unregistered(attributes: Iterable[str]) -> tuple[str, ...]:
    """Return the names that `ATTRIBUTES` does not know, in the order given; empty when all is well."""
    return tuple(name for name in attributes if name not in ATTRIBUTES)
