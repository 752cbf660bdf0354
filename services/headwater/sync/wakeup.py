"""Waking up on Postgres notifications: one listening connection, any number of sleepers."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

import anyio

from headwater.kernel.pg.pool import LOST

if TYPE_CHECKING:
    from headwater.kernel.pg.pool import Connection, Pool

_log = logging.getLogger(__name__)

LOG_CHANNEL: Final = "headwater_log"
"""Notified by ingest when events were accepted."""
DELIVERY_CHANNEL: Final = "headwater_delivery"
"""Notified by the projector and by operators when deliveries became due."""
PAYLOAD_BYTES_MAX: Final = 7_000
"""Longest payload of a notification; Postgres refuses 8,000."""
REPLAY_CHANNEL: Final = "headwater_replay"
"""Notified when a replay was begun or steered."""
SCHEDULE_CHANNEL: Final = "headwater_schedule"
"""Notified by operators when a periodic job is to run now, or was paused or resumed."""
ROLLOUT_CHANNEL: Final = "headwater_rollout"
"""Notified when a rollout was begun or steered."""
INSPECTION_CHANNEL: Final = "headwater_inspection"
"""Notified when an account is asked about its automations."""
MERGE_CHANNEL: Final = "headwater_merge"
"""Notified when merges are to be followed or undone in CRMs, or when it is asked what that would do."""
POLICY_CHANNEL: Final = "headwater_policy"
"""Notified by the projector when it came by a policy."""
ENRICHMENT_CHANNEL: Final = "headwater_enrichment"
"""Notified by the projector and by operators when providers may have to be asked about an entity."""
ROUTING_CHANNEL: Final = "headwater_routing"
"""Notified by the projector when an entity changed that routing looks after."""
TIMELINE_CHANNEL: Final = "headwater_timeline"
"""Notified by the projector when activities, or those whom they may concern, have changed."""
BACKFILL_CHANNEL: Final = "headwater_backfill"
"""Notified when a backfill was begun or steered."""
FETCH_CHANNEL: Final = "headwater_fetch"
"""Notified by the projector when records of CRMs are to be read anew."""
ERASURE_CHANNEL: Final = "headwater_erasure"
"""Notified when somebody is to be erased, or an operator has confirmed a part of it."""
VAULT_CHANNEL: Final = "headwater_vault"
"""Notified when a connection's secret was set or removed; names tenant and connection."""
RUNG: Final = (
    LOG_CHANNEL,
    REPLAY_CHANNEL,
    SCHEDULE_CHANNEL,
    ROLLOUT_CHANNEL,
    INSPECTION_CHANNEL,
    MERGE_CHANNEL,
    POLICY_CHANNEL,
    ENRICHMENT_CHANNEL,
    ROUTING_CHANNEL,
    TIMELINE_CHANNEL,
    BACKFILL_CHANNEL,
    FETCH_CHANNEL,
    ERASURE_CHANNEL,
)
"""Channels whose payload says nothing: each rings the bell of one sleeper."""
_CHECK_S: Final = 5.0
"""How often the listening connection is looked at."""

_UNLISTEN_S: Final = 2.0


class Wakeup:
    """A bell that remembers one ring."""

    def __init__(self) -> None:
        self._event = anyio.Event()

    def set(self) -> None:
        """Ring."""
        self._event.set()

    async def wait(self, timeout_s: float) -> bool:
        """Return at the next ring, at once when it rang since the last wait, or after *timeout_s*; say if it rang."""
        with anyio.move_on_after(timeout_s):
            await self._event.wait()
        rang = self._event.is_set()
        self._event = anyio.Event()
        return rang


def hearers_of(bells: Mapping[str, Wakeup]) -> dict[str, Callable[[str], None]]:
    """Return what rings each channel's bell, whatever the notification says."""

    def ringing(bell: Wakeup) -> Callable[[str], None]:
        return lambda _: bell.set()

    return {channel: ringing(bell) for channel, bell in bells.items()}


def name_accounts(accounts: Collection[tuple[str, str]]) -> str:
    """Return the payload that names *accounts* (tenant, connector) that have work.

    Empty when they are too many for one notification: then every account is asked.
    """
    payload = json.dumps(sorted(accounts))
    return payload if len(payload.encode()) <= PAYLOAD_BYTES_MAX else ""


def read_accounts(payload: str) -> Sequence[tuple[str, str]]:
    """Return the accounts that a notification names; none when it names none or cannot be read."""
    try:
        named = json.loads(payload) if payload else []
        return [(str(tenant_id), str(connector)) for tenant_id, connector in named]
    except (ValueError, TypeError):
        return []


async def listen(pool: Pool, hearers: Mapping[str, Callable[[str], None]]) -> None:
    """Tell the hearer of a channel each payload that comes, for ever; reconnects by itself.

    A lost notification only delays: every sleeper also looks for itself once in a while. After a
    new connection each hearer is told of an empty payload: anything may have been missed.
    """
    while True:
        try:
            async with pool.acquire() as connection:
                await _listen_on(connection, hearers)
        except LOST as error:
            _log.warning("listening connection lost: %s: %s", type(error).__name__, error)
            await anyio.sleep(1.0)


async def _listen_on(connection: Connection, hearers: Mapping[str, Callable[[str], None]]) -> None:
    def ring(_: Any, __: int, channel: str, payload: object) -> None:
        hearers[channel](str(payload))

    try:
        for channel, hear in hearers.items():
            await connection.add_listener(channel, ring)
            hear("")
        while True:
            await anyio.sleep(_CHECK_S)
            await connection.execute("select 1")
    finally:
        with anyio.move_on_after(_UNLISTEN_S, shield=True):
            for channel in hearers:
                if not connection.is_closed():
                    await connection.remove_listener(channel, ring)
