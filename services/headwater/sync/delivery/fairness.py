"""Shares the process's store transactions among tenants: one tenant's many slots do not crowd out another's few.

Owns only the order of waiting. Tenants take turns, whatever number of slots each has waiting.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import anyio


class TenantTurns:
    """Permission for one store transaction at a time per permit, handed to tenants in rotation.

    Args:
        permits: transactions under way at once, of all tenants; 1 or more.
    """

    def __init__(self, permits: int) -> None:
        self._free = permits
        self._waiting: OrderedDict[str, deque[anyio.Event]] = OrderedDict()

    @asynccontextmanager
    async def of(self, tenant_id: str) -> AsyncIterator[None]:
        """Wait for the tenant's turn, and hold the permit while the block runs.

        Cancellation: a permit that was handed over already is passed on.
        """
        await self._acquire(tenant_id)
        try:
            yield
        finally:
            self._pass_on()

    async def _acquire(self, tenant_id: str) -> None:
        if self._free and not self._waiting:
            self._free -= 1
            return
        handed = anyio.Event()
        self._waiting.setdefault(tenant_id, deque()).append(handed)
        try:
            await handed.wait()
        except BaseException:
            if handed.is_set():
                self._pass_on()
            else:
                self._forget(tenant_id, handed)
            raise

    def _pass_on(self) -> None:
        if not self._waiting:
            self._free += 1
            return
        tenant_id, line = self._waiting.popitem(last=False)
        line.popleft().set()
        if line:
            self._waiting[tenant_id] = line

    def _forget(self, tenant_id: str, handed: anyio.Event) -> None:
        line = self._waiting[tenant_id]
        line.remove(handed)
        if not line:
            del self._waiting[tenant_id]
