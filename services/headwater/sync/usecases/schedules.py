"""Looking at periodic jobs and steering them. Orders effects, holds no state.

NotFound    UNKNOWN_SCHEDULE
"""

from __future__ import annotations

from dataclasses import dataclass

from headwater.sync.scheduling.ports import ExpiryView, ScheduleDesk, ScheduleView


@dataclass(frozen=True, slots=True)
class SteeredSchedules:
    """Periodic jobs as operators use them."""

    desk: ScheduleDesk

    async def listed(self, tenant_id: str) -> tuple[tuple[ScheduleView, ...], tuple[ExpiryView, ...]]:
        """Return a tenant's jobs, the engine's own, and what of the tenant's accounts ends."""
        return await self.desk.list_schedules(tenant_id), await self.desk.list_expiries(tenant_id)

    async def run_now(self, tenant_id: str, name: str, actor: str) -> ScheduleView:
        """Order a run; return the job as it stands. Raises: NotFound."""
        await self.desk.ask_run(tenant_id, name, actor)
        return await self._one(tenant_id, name)

    async def set_paused(self, tenant_id: str, name: str, actor: str, *, paused: bool) -> ScheduleView:
        """Pause or resume a job; return it as it stands. Raises: NotFound."""
        await self.desk.set_paused(tenant_id, name, actor, paused=paused)
        return await self._one(tenant_id, name)

    async def _one(self, tenant_id: str, name: str) -> ScheduleView:
        return next(item for item in await self.desk.list_schedules(tenant_id) if item.name == name)
