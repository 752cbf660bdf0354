"""Spans that are kept, and the tracer that decides which are.

Owns the sampling decision (a child follows its parent, a root its mark or the ratio), the ids, and what a kept span
holds until it is exported. Ours rather than the SDK's, whose span costs four times as much: it locks, copies and checks
values that `Spans` only takes from its table of names. Events are no part of our spans. Must not import the SDK.
"""

from __future__ import annotations

import random
import secrets
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Final

from opentelemetry import trace as api
from opentelemetry.context import Context
from opentelemetry.trace import Link, SpanContext, SpanKind, Status, StatusCode, Tracer, get_current_span

from headwater.kernel.telemetry import names
from headwater.kernel.telemetry.context import CarriedSpan, KnownSpan, TraceContext

SAMPLED: Final = 1
_LOW_BITS: Final = (1 << 64) - 1
"""Of a trace id, by which the ratio decides: so do other services, which then keep the same traces."""
_UNSET: Final = Status()


class RowLink(Link):
    """A link to what a row names."""

    def __init__(
        self, trace: TraceContext, role: str
    ) -> None:  # the base's would make the API's form at once
        self.trace = trace
        self.role = role

    @property
    def attributes(self) -> Mapping[str, str]:
        """The role."""
        return {names.LINK_ROLE: self.role}

    @property
    def context(self) -> SpanContext:
        """The linked span's context."""
        return self.trace.to_span_context()


class RecordedSpan(KnownSpan):
    """A span that is kept: told to *ended* once, at its end.

    Args:
        trace: its own context.
        parent: the context above it; None for a root.
        remote: whether *parent* is of another process.
        ended: takes the span that ended.
    """

    def __init__(
        self,
        name: str,
        kind: SpanKind,
        trace: TraceContext,
        parent: TraceContext | None,
        *,
        remote: bool,
        attributes: dict[str, Any],
        links: Sequence[Link],
        links_left_out: int,
        start_ns: int,
        ended: Callable[[RecordedSpan], None],
    ) -> None:
        self.name = name
        self.kind = kind
        self.trace = trace
        self.above = parent
        self.remote = remote
        self.attributes = attributes
        self.links = links
        self.links_left_out = links_left_out
        self.status = _UNSET
        self.start_ns = start_ns
        self.end_ns = 0
        self._ended = ended

    @property
    def context(self) -> SpanContext:
        """Its own context, as the API has it."""
        return self.get_span_context()

    @property
    def parent(self) -> SpanContext | None:
        """The context above it, as the API has it."""
        return None if self.above is None else self.above.to_span_context(is_remote=self.remote)

    def get_span_context(self) -> SpanContext:
        """Return its own context, as the API has it."""
        return self.trace.to_span_context(is_remote=False)

    def is_recording(self) -> bool:
        """Say whether it has not ended."""
        return not self.end_ns

    def set_attribute(self, key: str, value: Any) -> None:
        """Set an attribute; not after the end."""
        if not self.end_ns:
            self.attributes[key] = value

    def set_attributes(self, attributes: Mapping[str, Any]) -> None:
        """Set attributes; not after the end."""
        if not self.end_ns:
            self.attributes.update(attributes)

    def add_event(self, name: str, attributes: Any = None, timestamp: int | None = None) -> None:
        """Leave it out: what happens inside a span of ours has a log line or a span."""

    def update_name(self, name: str) -> None:
        """Rename it; not after the end."""
        if not self.end_ns:
            self.name = name

    def set_status(self, status: Status | StatusCode, description: str | None = None) -> None:
        """Set its status; OK is final, as the API asks."""
        if self.end_ns or self.status.status_code is StatusCode.OK:
            return
        found = status if isinstance(status, Status) else Status(status, description)
        if found.status_code is not StatusCode.UNSET:
            self.status = found

    def record_exception(
        self,
        exception: BaseException,
        attributes: Any = None,  # noqa: ARG002 - named by the API, as the next
        timestamp: int | None = None,  # noqa: ARG002
        escaped: bool = False,  # noqa: ARG002, FBT001, FBT002
    ) -> None:
        """Name the exception's class; its message may hold a record's values."""
        self.set_attribute(names.ERROR_TYPE, type(exception).__qualname__)

    def end(self, end_time: int | None = None) -> None:
        """End it; a second time does nothing."""
        if not self.end_ns:
            self.end_ns = time.time_ns() if end_time is None else end_time
            self._ended(self)


class RecordingTracer(Tracer):
    """Starts the spans of one process.

    Args:
        ratio: share of new traces that are kept, 0..1; a root that carries `headwater.sampling=keep` is kept as well.
        ended: takes each kept span at its end; must not block.
        links_max: of one span; those beyond are counted.
        chance: makes ids.
    """

    def __init__(
        self,
        ratio: float,
        ended: Callable[[RecordedSpan], None],
        *,
        links_max: int = 130,
        chance: random.Random | None = None,
    ) -> None:
        self._below = round(ratio * (_LOW_BITS + 1))
        self._ended = ended
        self._links_max = links_max
        self._bits = (chance or random.Random(secrets.randbits(256))).getrandbits  # noqa: S311 - ids are no secrets

    def start_span(
        self,
        name: str,
        context: Context | None = None,
        kind: SpanKind = SpanKind.INTERNAL,
        attributes: Any = None,
        links: Sequence[Link] | None = None,
        start_time: int | None = None,
        record_exception: bool = True,  # noqa: ARG002, FBT001, FBT002 - named by the API, as the next
        set_status_on_exception: bool = True,  # noqa: ARG002, FBT001, FBT002
    ) -> api.Span:
        """Return a span that is kept, or what carries the context of one that is not."""
        parent, remote = _known(get_current_span(context))
        return self.begin(
            name, kind, parent, dict(attributes or {}), links or (), remote=remote, start_ns=start_time
        )

    def begin(
        self,
        name: str,
        kind: SpanKind,
        parent: TraceContext | None,
        attributes: dict[Any, Any],
        links: Sequence[Link] = (),
        *,
        remote: bool = True,
        start_ns: int | None = None,
    ) -> KnownSpan:
        """Start a span below a context that is at hand; as `start_span`, without what only the API needs.

        Args:
            parent: None for a root.
            attributes: the span's own from now on.
            remote: whether *parent* is of another process, or was read from a row.
            start_ns: Unix time; now unless told.
        """
        span_id = self._bits(64) or 1
        if parent is None:
            trace_id = self._bits(128) or 1
            marked = attributes.get(names.SAMPLING) == names.SAMPLING_KEEP
            if not marked and trace_id & _LOW_BITS >= self._below:
                return CarriedSpan(TraceContext(f"00-{trace_id:032x}-{span_id:016x}-02"))
            trace = TraceContext(f"00-{trace_id:032x}-{span_id:016x}-03")
        elif not parent.sampled:
            return CarriedSpan(parent)
        else:
            head = parent.traceparent
            trace = TraceContext(f"{head[:36]}{span_id:016x}{head[52:]}", parent.tracestate)
        return RecordedSpan(
            name,
            kind,
            trace,
            parent,
            remote=remote,
            attributes=attributes,
            links=links[: self._links_max],
            links_left_out=max(0, len(links) - self._links_max),
            start_ns=time.time_ns() if start_ns is None else start_ns,
            ended=self._ended,
        )

    @contextmanager
    def start_as_current_span(  # type: ignore[override]  # the API's decorator has a type of its own
        self,
        name: str,
        context: Context | None = None,
        *arguments: Any,
        end_on_exit: bool = True,
        **more: Any,
    ) -> Iterator[api.Span]:
        """Start a span and make it current for a block; an exception that passes is named by its class alone."""
        span = self.start_span(name, context, *arguments, **more)
        with api.use_span(span, end_on_exit, record_exception=False, set_status_on_exception=False):
            try:
                yield span
            except Exception as error:
                span.record_exception(error)
                span.set_status(StatusCode.ERROR)
                raise


def _known(above: api.Span) -> tuple[TraceContext | None, bool]:
    """Return the context of the span above, and whether it is of another process."""
    if isinstance(above, KnownSpan):
        return above.trace, not isinstance(above, RecordedSpan)
    context = above.get_span_context()
    return TraceContext.from_span_context(context), context.is_remote
