"""One look at what of an account ends: renew what can be, warn once 7 days and once 1 day ahead, keep the facts."""

from __future__ import annotations

import datetime as dt
import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace

from headwater.connectors.base import CallFailed, Expiring, Expiry
from headwater.kernel.clock import Clock
from headwater.sync.delivery.accounts import READ, RunningAccount
from headwater.sync.domain.expiring import EXPIRED, is_news, level, to_renew
from headwater.sync.scheduling.ports import Calendar, Warned

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class ExpiryWatch:
    """Looks after the calendar."""

    calendar: Calendar
    clock: Clock

    async def run(self, account: RunningAccount) -> Sequence[Warned]:
        """Look at everything of *account* that ends; return it as it stands now.

        Raises: CallFailed when the vendor could not be asked, FenceLost, Unavailable.
        """
        async with account.connected() as connector:
            return await self._look(account, connector) if isinstance(connector, Expiring) else ()

    async def _look(self, account: RunningAccount, connector: Expiring) -> Sequence[Warned]:
        told = {_key(item.expiry): item for item in await self.calendar.read(account.tenant_id, account.name)}
        held: list[Warned] = []
        for expiry in await account.ask(READ, connector.expiries):
            before = told.get(_key(expiry), Warned(expiry))
            current, finding = await self._renewed(account, connector, expiry)
            held.append(self._warned(account, before, current, finding))
        await self.calendar.write(account.lease, account.tenant_id, account.name, held, self.clock.now())
        return held

    async def _renewed(
        self, account: RunningAccount, connector: Expiring, expiry: Expiry
    ) -> tuple[Expiry, str]:
        if not (expiry.renewable and to_renew(expiry.expire_time, self.clock.now())):
            return expiry, ""
        try:
            return await account.ask(READ, lambda: connector.renew(expiry)), ""
        except CallFailed as error:
            return expiry, str(error)[:512]

    def _warned(self, account: RunningAccount, before: Warned, expiry: Expiry, finding: str) -> Warned:
        now = self.clock.now()
        found = level(expiry.expire_time, now)
        moved = before.expiry.expire_time != expiry.expire_time
        told = None if moved or found is None else before.warned_days
        if not is_news(found, told):
            time = None if told is None else before.warn_time
            return Warned(expiry, told, time, finding)
        _tell(account, expiry, found or EXPIRED, finding)
        return replace(before, expiry=expiry, warned_days=found, warn_time=now, finding=finding)


def _key(expiry: Expiry) -> tuple[str, str]:
    return (expiry.kind, expiry.subject)


def _tell(account: RunningAccount, expiry: Expiry, days: int, finding: str) -> None:
    when = f"{expiry.expire_time.astimezone(dt.UTC):%Y-%m-%d %H:%M} UTC"
    text = "has ended" if days == EXPIRED else f"ends within {days} days"
    _log.warning(
        "%s %s of account %s/%s %s (%s); owner: %s, runbook: %s%s",
        expiry.kind, expiry.subject, account.tenant_id, account.name, text, when, account.policy.owner,
        account.policy.runbook, f"; it could not be renewed: {finding}" if finding else "",
    )  # fmt: skip
