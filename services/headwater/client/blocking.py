"""The client for programs without an event loop: the asynchronous one, run in a thread of its own."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from typing import Self

from anyio.from_thread import BlockingPortal, start_blocking_portal

from headwater.client.ingest import ClientSettings, IngestClient
from headwater.client.outcomes import Outcome
from headwater.event.v1 import event_pb2


class BlockingIngestClient:
    """`IngestClient` with plain calls; use as `with`."""

    def __init__(self, address: str, tenant_id: str, *, settings: ClientSettings | None = None) -> None:
        self._client = IngestClient(address, tenant_id, settings=settings)
        self._portal: BlockingPortal | None = None
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        self._portal = self._stack.enter_context(start_blocking_portal("asyncio"))
        self._stack.enter_context(self._portal.wrap_async_context_manager(self._client))
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()
        self._portal = None

    def record(self, events: Sequence[event_pb2.Event]) -> tuple[Outcome, ...]:
        """Record 1..1000 events in one commit and return their outcomes; raises as `IngestClient.record`."""
        if self._portal is None:
            raise RuntimeError("BlockingIngestClient is used outside its `with` block")
        return self._portal.call(self._client.record, events)
