"""A call gate for single questions that a person asks: no limiter, no ledger, no span.

For commands only: an actor's calls pass the account's own gate.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field

from headwater.connectors.base.port import CallTicket, LimitFacts


@dataclass(slots=True)
class _Ticket:
    headers: Mapping[str, str] = field(default_factory=dict)

    def answered(self, status: int, facts: LimitFacts) -> None:
        """Keep nothing."""


class OpenGate:
    """Permits every call at once."""

    def call(
        self,
        method: str,  # noqa: ARG002 - the port's
        url_template: str,  # noqa: ARG002
        *,
        endpoint_class: str,  # noqa: ARG002
        resend_count: int = 0,  # noqa: ARG002
    ) -> AbstractAsyncContextManager[CallTicket]:
        """Permit the call."""
        return _permitted()


@asynccontextmanager
async def _permitted() -> AsyncIterator[CallTicket]:
    yield _Ticket()
