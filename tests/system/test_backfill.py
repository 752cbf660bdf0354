"""A backfill whose process is killed in the middle, beside live traffic: nothing is lost, nothing is doubled."""

from __future__ import annotations

import pytest
from tests.load.backfill.crossing import cross
from tests.load.sync.ground import open_ground

pytestmark = [pytest.mark.anyio, pytest.mark.slow, pytest.mark.timeout(120)]

RECORDS = 600


async def test_a_backfill_goes_on_after_sigkill_beside_live_traffic() -> None:
    """Every record of the CRM is one event, one record and one contact of the other CRM; live events arrive throughout."""
    async with open_ground() as ground:
        done = await cross(ground, RECORDS, rate=150.0, live_rate=10.0, kills=1, turn_s=1.0)
    assert (done.kills, done.lost, done.doubled) == (1, 0, 0)
    assert done.beside_ms
    assert done.alone_ms
