"""Keeps the audit provable, in one process at a time: numbers what was committed, signs heads, tells the second place.

Nothing waits for it: entries are written with what they tell of, and numbered after. A process that is cut off has
numbered whole batches or nothing; what the second place lacks then is told before anything new is signed.
"""

from __future__ import annotations

import datetime as dt
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final

import anyio

from headwater.audit.checkpoints import FIRST, Checkpoint, PublicKey, Signer
from headwater.kernel.clock import Clock
from headwater.kernel.errors import Unavailable
from headwater.sync.auditing.ports import Head, SecondPlace, SecondPlaceFailed, Trail
from headwater.sync.domain.leasing import FenceLost, Lease
from headwater.sync.membership import Membership
from headwater.sync.ports import Leases, StoreRaced, StoreRefused

_log = logging.getLogger(__name__)

AUDIT_LEASE: Final = "audit/engine"
"""Lease of the one who numbers and signs."""
TENANTS_LOOKED_AT: Final = 1_000
"""Tenants that one statement looks at."""
TENANTS_TOGETHER: Final = 64
"""Tenants that are numbered in one transaction."""
CHECKPOINTS_TOLD: Final = 1_000
"""Checkpoints that the second place is told at once when it lacks some."""


@dataclass(frozen=True, slots=True)
class KeeperSettings:
    """How the audit is kept.

    Args:
        look_s: pause between two looks, when no batch was full.
        batch_entries: entries of a tenant that are numbered in one transaction, at most.
        checkpoint_entries: entries beyond the last checkpoint from which the next is signed.
        checkpoint_s: age of the last checkpoint from which the next is signed, if there is anything new.
    """

    look_s: float = 1.0
    batch_entries: int = 4_096
    checkpoint_entries: int = 10_000
    checkpoint_s: float = 60.0


class AuditKeeper:
    """The one who numbers and signs, where this process holds the lease.

    Args:
        signer: loads the key; called again until it succeeds once.
    """

    def __init__(
        self,
        trail: Trail,
        place: SecondPlace,
        signer: Callable[[], Awaitable[Signer]],
        leases: Leases,
        membership: Membership,
        clock: Clock,
        settings: KeeperSettings | None = None,
    ) -> None:
        self._trail = trail
        self._place = place
        self._load = signer
        self._leases = leases
        self._membership = membership
        self._clock = clock
        self._settings = settings or KeeperSettings()
        self._lease: Lease | None = None
        self._signer: Signer | None = None
        membership.on_lapse(self._lose)

    async def run(self) -> None:
        """Keep the audit, for ever; ends by cancellation, which undoes a batch under way whole."""
        while True:
            try:
                full = await self.look()
            except FenceLost:
                self._lose()
                full = False
            except (Unavailable, StoreRaced, StoreRefused) as error:
                _log.warning("audit: %s", error)
                full = False
            except Exception:  # noqa: BLE001 - damage of what is stored must not end sync
                _log.exception("audit: nothing is numbered or signed until this is mended")
                full = False
            await anyio.sleep(0.0 if full else self._settings.look_s)

    async def look(self) -> bool:
        """Number and sign what there is to; return whether more waits already."""
        if self._lease is None and self._membership.may_work():
            fences = await self._leases.acquire([AUDIT_LEASE], 1)
            self._lease = Lease(AUDIT_LEASE, fences[AUDIT_LEASE]) if fences else None
        if (lease := self._lease) is None:  # it may lapse while this works: then its fence tells
            return False
        full = await self._number(lease)
        await self._seal_due(lease)
        return full

    def _lose(self) -> None:
        self._lease = None

    async def _number(self, lease: Lease) -> bool:
        """Number one batch of every tenant; return whether some batch was full."""
        after, full, most = "", False, self._settings.batch_entries
        while True:
            looked = await self._trail.pending(after, TENANTS_LOOKED_AT)
            waiting = [tenant for tenant, pending in looked if pending]
            for start in range(0, len(waiting), TENANTS_TOGETHER):
                part = waiting[start : start + TENANTS_TOGETHER]
                share = max(1, most // len(part))
                full = await self._trail.number(lease, part, share) >= share or full
            if len(looked) < TENANTS_LOOKED_AT:
                return full
            after = looked[-1][0]

    async def _seal_due(self, lease: Lease) -> None:
        after, now = "", self._clock.now()
        while heads := await self._trail.heads(after, TENANTS_LOOKED_AT):
            for head in heads:
                if self._is_due(head, now):
                    await self._seal(lease, head, now)
            if len(heads) < TENANTS_LOOKED_AT:
                return
            after = heads[-1].tenant_id

    def _is_due(self, head: Head, now: dt.datetime) -> bool:
        if head.last is None:
            return True
        grown, age_s = head.size - head.last.size, (now - head.last.time).total_seconds()
        return grown >= self._settings.checkpoint_entries or age_s >= self._settings.checkpoint_s

    async def _seal(self, lease: Lease, head: Head, now: dt.datetime) -> None:
        """Sign one head, unless the second place knows another history."""
        try:
            if self._signer is None:
                self._signer = await self._load()
            signer = self._signer
            key = PublicKey(signer.key_id, signer.public_key, now)
            finding = await self._catch_up(head)
            if not finding:
                root = await self._trail.root(head.tenant_id, head.size)
                before = FIRST if head.last is None else head.last.hash
                signed = signer.sign(head.tenant_id, head.size, root, now, before)
                await self._place.tell_key(key)
                await self._trail.seal(lease, signed, key)
                await self._place.tell([signed])
        except (SecondPlaceFailed, KeyError, ValueError) as error:
            finding = f"not signed: {type(error).__name__}: {error}"
        if finding != head.finding:
            await self._trail.note(lease, head.tenant_id, finding)
            if finding:
                _log.error("audit of %r: %s", head.tenant_id, finding)

    async def _catch_up(self, head: Head) -> str:
        """Tell the second place what it lacks; return what is wrong when it knows what the database does not."""
        told = await self._place.last(head.tenant_id)
        if _same(told, head.last):
            return ""
        above = 0
        if told is not None:
            held = await self._trail.checkpoints(head.tenant_id, told.size - 1, 1)
            if not held or not _same(held[0], told):
                return (
                    f"forked: the second place knows a checkpoint of {told.size} entries, signed "
                    f"{told.time:%Y-%m-%dT%H:%M:%SZ}, that the database does not"
                )
            above = told.size
        while lacking := await self._trail.checkpoints(head.tenant_id, above, CHECKPOINTS_TOLD):
            await self._place.tell(lacking)
            above = lacking[-1].size
        return ""


def _same(one: Checkpoint | None, other: Checkpoint | None) -> bool:
    return (None if one is None else one.hash) == (None if other is None else other.hash)
