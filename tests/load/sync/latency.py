"""Event-to-CRM latency on an idle sandbox: gRPC in, identity, projection, HTTP out, at a steady rate."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from tests.load.figures import percentile
from tests.load.ingest.stages import MeasurementFailed
from tests.load.sync import facts
from tests.load.sync.backlog import PROJECTED
from tests.load.sync.ground import Ground, World, until
from tests.load.sync.pacing import SHARES, Latencies, latencies, offer

WARM_UP_S: Final = 4.0
RECORDS: Final = 4_000
"""Records that take turns: at 200 events/s each comes again after 20 s."""
SETTLE_S_MAX: Final = 90.0
UNSETTLED: Final = "select exists (select from sync.delivery where state in (1, 3, 4) and connector <> $1)"


@dataclass(frozen=True, slots=True)
class Paced:
    """Latencies at one rate over all accounts.

    Args:
        settled_ms: percentiles from the instant an event was due to its recorded answer, the stricter end.
        arrival_ms: percentiles to the call's arrival at the CRM.
        late_ms: the most that the producer itself was late.
    """

    rate: float
    events: int
    settled_ms: dict[str, float]
    arrival_ms: dict[str, float]
    superseded: int
    late_ms: float
    cpu_us: dict[str, float]


async def pace(ground: Ground, rate: float, seconds: float) -> Paced:
    """Offer *rate* events/s for *seconds* after a warm-up, to two accounts."""
    async with ground.world(facts.TWO) as world:
        await world.apply_policy()
        await world.until_connected()
        await offer(world, rate=rate, seconds=WARM_UP_S, first=0, records=RECORDS)
        before = await world.used()
        count = round(rate * WARM_UP_S)
        offered = await offer(world, rate=rate, seconds=seconds, first=count, records=RECORDS)
        await until_settled(world, count + len(offered.numbers))
        after = await world.used()
        seen = await latencies(world, offered, world.accounts)
        return _paced(
            rate, len(offered.numbers), seen, offered.late_s, after.per_event_us(before, len(offered.numbers))
        )


async def until_settled(world: World, offered: int, but: str = "") -> None:
    """Wait until every event is projected and no delivery is under way, those of the account *but* aside.

    Args:
        offered: events since the beginning.
    """

    async def settled() -> bool:
        projected = await world.look.fetchval(PROJECTED) >= offered + 1  # the policy is an event too
        return projected and not await world.look.fetchval(UNSETTLED, but)

    await until(settled, "every delivery settled", SETTLE_S_MAX)


def _paced(
    rate: float, events: int, seen: dict[str, Latencies], late_s: float, cpu_us: dict[str, float]
) -> Paced:
    settled = [value for one in seen.values() for value in one.settled_ms]
    arrival = [value for one in seen.values() for value in one.arrival_ms]
    if not settled or not arrival:
        raise MeasurementFailed("nothing was delivered")
    return Paced(
        rate=rate,
        events=events,
        settled_ms={name: percentile(settled, share) for name, share in SHARES.items()},
        arrival_ms={name: percentile(arrival, share) for name, share in SHARES.items()},
        superseded=sum(one.superseded for one in seen.values()),
        late_ms=late_s * 1e3,
        cpu_us=cpu_us,
    )
