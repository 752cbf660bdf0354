"""Spans around our Postgres queue, its SQL and the connectors' HTTP calls.

Owns which span is made for which step, its kind, name, parent and links (decision 11). Every parent and link is
an explicit `TraceContext`, because the context comes out of a table row, not out of the running task. One span a
batch, never one an event. Costs next to nothing where nothing is sampled: links are built for sampled members
only. Must not import the SDK, nor know what the queued things mean.
"""

from collections.abc import Iterable, Sequence
from functools import lru_cache
from itertools import islice
from typing import Final, Self, cast

from opentelemetry.context import Context
from opentelemetry.trace import (
    INVALID_SPAN,
    Link,
    NonRecordingSpan,
    NoOpTracer,
    SpanKind,
    get_current_span,
)

from headwater.kernel.telemetry import names
from headwater.kernel.telemetry.context import (
    SAMPLED_FLAGS,
    AttemptRelation,
    CarriedSpan,
    Child,
    TraceContext,
)
from headwater.kernel.telemetry.names import AttributeName, Operation
from headwater.kernel.telemetry.recording import RecordingTracer, RowLink
from headwater.kernel.telemetry.span import ActiveSpan, Attributes, AttributeValue, PassingSpan, registered
from headwater.kernel.telemetry.url import server_of, url_for_span

LINKS_MAX: Final = 128
"""Links on one span; the convention's SDK default, ours as well."""

_NO_ATTRIBUTES: Final[Attributes] = {}
_CHILD: Final = "child"


class Spans:
    """Starts the spans of one process.

    `Telemetry.spans` holds the one to use; give a test `Spans(RecordingTracer(1.0, kept.append))`.
    """

    def __init__(self, tracer: RecordingTracer | NoOpTracer, *, links_max: int = LINKS_MAX) -> None:
        self._tracer: RecordingTracer | NoOpTracer = tracer
        self._enabled = not isinstance(tracer, NoOpTracer)
        self._links_max = links_max
        self._passing = PassingSpan(INVALID_SPAN)

    @classmethod
    def off(cls) -> Self:
        """Return spans that record nothing and pass contexts through."""
        return cls(NoOpTracer())

    @property
    def enabled(self) -> bool:
        """Whether anything is recorded: ask before gathering attributes for every member of a batch."""
        return self._enabled

    def record(
        self,
        queue: str,
        *,
        parent: TraceContext | None = None,
        attributes: Attributes = _NO_ATTRIBUTES,
    ) -> ActiveSpan:
        """Span the sending of one message: PRODUCER `send {queue}`; its context is what to store with the row.

        Args:
            queue: of few values: a table or queue name.
            parent: the producer's context; without one the current span is the parent.
            attributes: ours, registered.
        """
        return self._queue_span(Operation.SEND, queue, SpanKind.PRODUCER, attributes, parent=_parent(parent))

    def insert(
        self,
        queue: str,
        message_count: int,
        members: Iterable[TraceContext | None] = (),
        *,
        attributes: Attributes = _NO_ATTRIBUTES,
    ) -> ActiveSpan:
        """Span the sending of one batch: PRODUCER `send {queue}` under the current span, linked to its members."""
        links = self._member_links(members)
        return self._queue_span(
            Operation.SEND,
            queue,
            SpanKind.PRODUCER,
            attributes,
            links=links,
            message_count=message_count,
        )

    def receive(
        self,
        queue: str,
        message_count: int,
        members: Iterable[TraceContext | None] = (),
        *,
        attributes: Attributes = _NO_ATTRIBUTES,
    ) -> ActiveSpan:
        """Span the claim of a batch: CLIENT `receive {queue}`, a root kept when a member's trace is kept.

        Start it after the rows are read where the members are needed; a claim that found nothing needs no span.
        """
        return self._batch_root(Operation.RECEIVE, queue, message_count, members, attributes)

    def settle(
        self,
        queue: str,
        message_count: int,
        members: Iterable[TraceContext | None] = (),
        *,
        attributes: Attributes = _NO_ATTRIBUTES,
    ) -> ActiveSpan:
        """Span the acknowledgement of a batch: CLIENT `settle {queue}`, as `receive`."""
        return self._batch_root(Operation.SETTLE, queue, message_count, members, attributes)

    def process(
        self,
        queue: str,
        relation: AttemptRelation,
        *,
        created: TraceContext | None,
        previous: TraceContext | None = None,
        attempt: int = 1,
        keep: bool = False,
        attributes: Attributes = _NO_ATTRIBUTES,
    ) -> ActiveSpan:
        """Span one attempt: CONSUMER `process {queue}`.

        A child of the stored context and linked to it, or a root of its own with links to the stored context and
        to the attempt before. Roots of retries are always kept; a late first attempt is kept when its event was.

        Args:
            queue: as in `record`.
            relation: of `attempt_relation`.
            created: the context stored with the event or mark; None makes a root without a link, and where nothing is
                recorded leaves what is current as it is.
            previous: the context of the attempt before, from its row.
            attempt: 1 for the first.
            keep: sample this root whatever the ratio: a dead letter, an opening breaker, a conflict.
            attributes: ours, registered.
        """
        child = isinstance(relation, Child)
        if created is None:
            if not self._enabled:
                return self._passing
        elif child and not (self._enabled and created.sampled):
            return ActiveSpan(CarriedSpan(created))
        if not self._enabled:
            return self._unrecorded(Context())
        name, fixed = _fixed(Operation.PROCESS, queue)
        own = registered(attributes)
        own.update(fixed)
        own[names.ATTEMPT] = attempt
        own[names.RELATION] = _CHILD if isinstance(relation, Child) else relation.reason
        if not child and (keep or attempt > 1 or (created is not None and created.sampled)):
            own[names.SAMPLING] = names.SAMPLING_KEEP
        links = [] if created is None else [RowLink(created, names.LINK_CREATION)]
        if previous is not None:
            links.append(RowLink(previous, names.LINK_PREVIOUS_ATTEMPT))
        parent = created if child else None
        return ActiveSpan(self._recorder().begin(name, SpanKind.CONSUMER, parent, own, links))

    def db(
        self,
        operation: str,
        table: str,
        batch_size: int | None = None,
        *,
        attributes: Attributes = _NO_ATTRIBUTES,
    ) -> ActiveSpan:
        """Span one SQL statement or COPY: CLIENT `{operation} {table}` under the current span.

        Args:
            operation: the SQL verb, upper case: `COPY`, `INSERT`.
            table: without values; may be the named query.
            batch_size: rows, where the statement carries more than one.
            attributes: ours, registered.
        """
        if (unkept := self._unkept_here()) is not None:
            return unkept
        summary = names.db_span_name(operation, table)
        own: dict[AttributeName, AttributeValue] = {
            **attributes,
            names.DB_SYSTEM_NAME: names.DB_SYSTEM_POSTGRESQL,
            names.DB_OPERATION_NAME: operation,
            names.DB_COLLECTION_NAME: table,
            names.DB_QUERY_SUMMARY: summary,
        }
        if batch_size is not None and batch_size > 1:
            own[names.DB_OPERATION_BATCH_SIZE] = batch_size
        return self._span(summary, SpanKind.CLIENT, own)

    def http(
        self,
        method: str,
        url: str,
        *,
        template: str | None = None,
        resend_count: int = 0,
        attributes: Attributes = _NO_ATTRIBUTES,
    ) -> ActiveSpan:
        """Span one HTTP request: CLIENT `{method} {template}` under the current span; give it `.http_status`.

        Args:
            method: upper case.
            url: absolute; credentials, query and addresses in the path do not reach the span.
            template: the path with placeholders, as in the vendor's contract.
            resend_count: 0 for the first sending of this request.
            attributes: ours, registered.
        """
        if (unkept := self._unkept_here()) is not None:
            return unkept
        address, port = server_of(url)
        own: dict[AttributeName, AttributeValue] = {
            **attributes,
            names.HTTP_REQUEST_METHOD: method,
            names.SERVER_ADDRESS: address,
            names.SERVER_PORT: port,
            names.URL_FULL: url_for_span(url),
        }
        if template:
            own[names.URL_TEMPLATE] = template
        if resend_count:
            own[names.HTTP_REQUEST_RESEND_COUNT] = resend_count
        return self._span(names.http_span_name(method, template), SpanKind.CLIENT, own)

    def root(self, name: str, *, keep: bool = False, attributes: Attributes = _NO_ATTRIBUTES) -> ActiveSpan:
        """Span a piece of our own work (a breaker opening, a sweep): INTERNAL, a root, kept when told so."""
        return self._span(name, SpanKind.INTERNAL, attributes, parent=Context(), keep=keep)

    def _batch_root(
        self,
        operation: Operation,
        queue: str,
        message_count: int,
        members: Iterable[TraceContext | None],
        attributes: Attributes,
    ) -> ActiveSpan:
        links = self._member_links(members)
        return self._queue_span(
            operation,
            queue,
            SpanKind.CLIENT,
            attributes,
            parent=Context(),
            links=links,
            message_count=message_count,
            keep=bool(links[0]),
        )

    def _queue_span(
        self,
        operation: Operation,
        queue: str,
        kind: SpanKind,
        attributes: Attributes,
        *,
        parent: Context | None = None,
        links: tuple[Sequence[Link], int] = ((), 0),
        message_count: int | None = None,
        keep: bool = False,
    ) -> ActiveSpan:
        if not self._enabled:
            return self._unrecorded(parent)
        made, left_out = links
        name, fixed = _fixed(operation, queue)
        own: dict[AttributeName, AttributeValue] = {**attributes, **fixed}
        if message_count is not None:
            own[names.MESSAGING_BATCH_MESSAGE_COUNT] = message_count
        if left_out:
            own[names.LINKS_LEFT_OUT] = left_out
        return self._span(name, kind, own, parent=parent, links=made, keep=keep)

    def _recorder(self) -> RecordingTracer:
        """Return the tracer; spans that are enabled have ours."""
        return cast("RecordingTracer", self._tracer)

    def _unkept_here(self) -> ActiveSpan | None:
        """Return what stands for a span below the current one, where that one is not kept; it stays current."""
        here = get_current_span()
        if self._enabled and (not isinstance(here, CarriedSpan) or here.trace.sampled):
            return None
        return PassingSpan(NonRecordingSpan(here.get_span_context()) if here.is_recording() else here)

    def _unrecorded(self, parent: Context | None) -> ActiveSpan:
        """Return a span that only carries its parent's context on."""
        return ActiveSpan(self._tracer.start_span("", parent))

    def _span(
        self,
        name: str,
        kind: SpanKind,
        attributes: Attributes,
        *,
        parent: Context | None = None,
        links: Sequence[Link] = (),
        keep: bool = False,
    ) -> ActiveSpan:
        own = registered(attributes) if self._enabled else {}
        if keep:
            own[names.SAMPLING] = names.SAMPLING_KEEP
        return ActiveSpan(self._tracer.start_span(name, parent, kind, attributes=own, links=links))

    def _member_links(self, members: Iterable[TraceContext | None]) -> tuple[Sequence[Link], int]:
        if not self._enabled:
            return (), 0
        sampled = {m.traceparent: m for m in members if m is not None and m.traceparent[54] in SAMPLED_FLAGS}
        kept = islice(sampled.values(), self._links_max)
        links = [RowLink(member, names.LINK_MEMBER) for member in kept]
        return links, max(0, len(sampled) - self._links_max)


@lru_cache(256)
def _fixed(operation: Operation, queue: str) -> tuple[str, Attributes]:
    """Return the name of a queue's spans, and the attributes that are the same on all of them."""
    return names.queue_span_name(operation, queue), {
        names.MESSAGING_SYSTEM: names.MESSAGING_SYSTEM_HEADWATER,
        names.MESSAGING_DESTINATION_NAME: queue,
        names.MESSAGING_OPERATION_NAME: operation.value,
        names.MESSAGING_OPERATION_TYPE: operation.value,
    }


def _parent(context: TraceContext | None) -> Context | None:
    return None if context is None else context.to_parent()
