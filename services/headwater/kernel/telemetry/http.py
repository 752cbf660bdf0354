"""Spans of HTTP calls that we serve: one SERVER span for each call that is sampled.

Owns the span of a call and the carrying of trace context in its headers. A call whose parent is not sampled gets
no span, only its context carried on. Must not decide anything about the call.
"""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Final

from opentelemetry import context as otel_context
from opentelemetry.trace import (
    NoOpTracer,
    Span,
    SpanKind,
    Status,
    StatusCode,
    Tracer,
    set_span_in_context,
)

from headwater.kernel.telemetry import names
from headwater.kernel.telemetry.context import CarriedSpan, TraceContext

SERVER_ERROR_MIN: Final = 500
"""On a server's span 4xx is no error (docs/http/http-spans.md, "Status")."""


class ServedCall:
    """One call under way, as the code that answers it sees it."""

    __slots__ = ("_span",)

    def __init__(self, span: Span) -> None:
        self._span = span

    def answered(self, status: int, error_type: str = "") -> None:
        """Record the status of the answer.

        Args:
            error_type: of few values, as a reason; used for a status that is an error.
        """
        if not self._span.is_recording():
            return
        self._span.set_attribute(names.HTTP_RESPONSE_STATUS_CODE, status)
        if status >= SERVER_ERROR_MIN:
            self._span.set_attribute(names.ERROR_TYPE, error_type or str(status))
            self._span.set_status(Status(StatusCode.ERROR))


class HttpServerTracing:
    """Makes the SERVER spans of one process."""

    def __init__(self, tracer: Tracer) -> None:
        self._tracer = tracer
        self._enabled = not isinstance(tracer, NoOpTracer)

    @contextmanager
    def serving(
        self, method: str, route: str, path: str, headers: Iterable[tuple[str, str]]
    ) -> Iterator[ServedCall]:
        """Span one call; its context is current inside.

        Args:
            method: one that the route serves.
            route: path template, as `/v1/webhooks/{source}`.
            headers: names in lower case.
        """
        span = self._start(method, route, path, context_from_headers(headers))
        token = otel_context.attach(set_span_in_context(span))
        try:
            yield ServedCall(span)
        finally:
            otel_context.detach(token)
            if span.is_recording():
                span.end()

    def _start(self, method: str, route: str, path: str, parent: TraceContext | None) -> Span:
        if parent is not None and not (self._enabled and parent.sampled):
            return CarriedSpan(parent)
        context = otel_context.Context() if parent is None else parent.to_parent()
        attributes: dict[str, str] = {
            names.HTTP_REQUEST_METHOD: method,
            names.HTTP_ROUTE: route,
            names.URL_PATH: path,
            names.URL_SCHEME: "http",
        }
        name = names.http_span_name(method, route)
        return self._tracer.start_span(name, context, SpanKind.SERVER, attributes=attributes)


def context_from_headers(headers: Iterable[tuple[str, str]]) -> TraceContext | None:
    """Read trace context out of a call's headers; None where there is none, several, or it is bad."""
    parents: list[str] = []
    states: list[str] = []
    for name, value in headers:
        if name == "traceparent":
            parents.append(value)
        elif name == "tracestate":
            states.append(value)
    return TraceContext.parse(parents[0], ",".join(states)) if len(parents) == 1 else None
