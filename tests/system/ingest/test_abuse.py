"""Bad clients do not stop a good one: the short form of `make load-abuse`."""

from __future__ import annotations

import pytest

pytest.importorskip("h2")

from tests.load.ingest.abuse.measuring import SHORT, abuse_all

pytestmark = [pytest.mark.anyio, pytest.mark.slow, pytest.mark.timeout(300)]


async def test_a_steady_client_keeps_its_pace_through_every_attack() -> None:
    """Pace and acknowledgements within bounds, memory flat, descriptors back: for each attack."""
    figures = await abuse_all(SHORT)
    assert len(figures) >= 4 * len(SHORT.amounts)
    assert [figure.line() for figure in figures if not figure.passed] == []
