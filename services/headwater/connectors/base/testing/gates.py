"""A call gate for tests: no limits, and it remembers every call."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field

from headwater.connectors.base.port import LimitFacts


@dataclass(slots=True)
class RecordedCall:
    """One permitted call and what was told about it; the gate's ticket."""

    method: str
    url_template: str
    endpoint_class: str
    resend_count: int
    headers: Mapping[str, str] = field(default_factory=dict)
    status: int = 0
    facts: LimitFacts = field(default_factory=LimitFacts)

    def answered(self, status: int, facts: LimitFacts) -> None:
        """Remember what came back."""
        self.status = status
        self.facts = facts


@dataclass(slots=True)
class RecordingGate:
    """Lets every call pass at once; `calls` holds them in order."""

    headers: Mapping[str, str] = field(default_factory=dict)
    calls: list[RecordedCall] = field(default_factory=list)

    def call(
        self, method: str, url_template: str, *, endpoint_class: str, resend_count: int = 0
    ) -> AbstractAsyncContextManager[RecordedCall]:
        """Permit the call."""
        return self._permitted(RecordedCall(method, url_template, endpoint_class, resend_count, self.headers))

    def endpoint_classes(self) -> list[str]:
        """Return the classes of all calls, in order."""
        return [call.endpoint_class for call in self.calls]

    @asynccontextmanager
    async def _permitted(self, ticket: RecordedCall) -> AsyncIterator[RecordedCall]:
        self.calls.append(ticket)
        yield ticket
