"""One running span, as the code inside it sees it.

Owns the handle through which attributes, errors and statuses reach a span, and the context manager that makes it
current and ends it. Must not import the SDK.
"""

from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Any, Final

from opentelemetry import context as otel_context
from opentelemetry.trace import Span, Status, StatusCode, set_span_in_context

from headwater.kernel.telemetry import names
from headwater.kernel.telemetry.context import TraceContext, context_of
from headwater.kernel.telemetry.names import AttributeName

AttributeValue = str | bool | int | float
Attributes = Mapping[AttributeName, AttributeValue]

ERROR_MESSAGE_CHARS_MAX: Final = 256
"""Characters of a status description."""

HTTP_STATUS_ERROR_MIN: Final = 400
"""On a client span 4xx and 5xx are errors (docs/http/http-spans.md, "Status")."""


def registered(attributes: Attributes) -> dict[Any, AttributeValue]:
    """Return the attributes whose names are registered."""
    known = names.ATTRIBUTES
    return {name: value for name, value in attributes.items() if name in known}


class SpanHandle:
    """A running span as its owner sees it; every call is harmless when the span is not recorded."""

    __slots__ = ("_failed", "_recording", "_span")

    def __init__(self, span: Span) -> None:
        self._span = span
        self._recording = span.is_recording()
        self._failed = False

    @property
    def recording(self) -> bool:
        """Whether anything set here will be kept: ask before computing something dear."""
        return self._recording

    @property
    def context(self) -> TraceContext | None:
        """This span's context, to be stored or sent; the parent's where spans are off; None without either."""
        return context_of(self._span)

    def set(self, name: AttributeName, value: AttributeValue) -> None:
        """Set a registered attribute; a name that is not registered is left out."""
        if self._recording and name in names.ATTRIBUTES:
            self._span.set_attribute(name, value)

    def update(self, attributes: Attributes) -> None:
        """Set registered attributes; names that are not registered are left out."""
        if self._recording:
            self._span.set_attributes(registered(attributes))

    def error(self, error_type: str, message: str = "") -> None:
        """Mark the span failed.

        Args:
            error_type: of few values: a reason from an error table, a status code, a class name.
            message: for people; must not carry a record's values.
        """
        self._failed = True
        if self._recording:
            self._span.set_attribute(names.ERROR_TYPE, error_type)
            self._span.set_status(Status(StatusCode.ERROR, message[:ERROR_MESSAGE_CHARS_MAX] or None))

    def http_status(self, code: int) -> None:
        """Record a response's status code, and the error it means."""
        self.set(names.HTTP_RESPONSE_STATUS_CODE, code)
        if code >= HTTP_STATUS_ERROR_MIN:
            self.error(str(code))


class ActiveSpan:
    """Context manager of one span: current inside, ended at exit, failed by an exception that passes."""

    __slots__ = ("_handle", "_span", "_token")

    def __init__(self, span: Span) -> None:
        self._span = span
        self._handle = SpanHandle(span)

    @property
    def handle(self) -> SpanHandle:
        """The span, as the code inside sees it."""
        return self._handle

    def __enter__(self) -> SpanHandle:
        self._token = otel_context.attach(set_span_in_context(self._span))
        return self._handle

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        otel_context.detach(self._token)
        self.finish(kind)

    def finish(self, failed: type[BaseException] | None = None) -> None:
        """End a span that was not entered, and so never was current: for work that starts no span of its own.

        Args:
            failed: class of the exception that passed.
        """
        if self._handle._recording:  # noqa: SLF001 - the handle is our own half
            if failed is not None and not self._handle._failed:  # noqa: SLF001 - as above
                self._handle.error(failed.__qualname__)
            self._span.end()


class SpanGroup:
    """Context manager of spans that run side by side: the last of them is current inside, all end at exit."""

    __slots__ = ("_current", "_others")

    def __init__(self, spans: Sequence[ActiveSpan]) -> None:
        self._others = spans[:-1]
        self._current = spans[-1] if spans else None

    def __enter__(self) -> None:
        if self._current is not None:
            self._current.__enter__()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._current is not None:
            self._current.__exit__(kind, error, trace)
        for span in self._others:
            span.finish(kind)


class PassingSpan(ActiveSpan):
    """A span that records nothing and carries no context of its own on: what is current stays so.

    Costs next to nothing, and one may be entered any number of times at once.
    """

    __slots__ = ()

    def __enter__(self) -> SpanHandle:
        return self._handle

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Leave everything as it is."""
