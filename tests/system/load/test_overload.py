"""A small version of `make load-overload`: what must hold whatever the machine's speed."""

from __future__ import annotations

import anyio
import pytest
from tests.load.ingest.endurance import OVERLOAD_SHARE, Outcome, endure

SECONDS = 6.0
LIMIT_S = 2.0


@pytest.mark.slow
@pytest.mark.timeout(120)
def test_overload_is_refused_with_a_time_and_breaks_no_answer_already_given() -> None:
    """Ten times the limit: what is too much is told so and when to come back, what was acknowledged is stored."""
    outcome: Outcome = anyio.run(endure, "batch", OVERLOAD_SHARE, SECONDS, LIMIT_S)
    told = outcome.load.told
    assert set(told["codes"]) == {"RESOURCE_EXHAUSTED"}
    assert told["no_retry_info"] == 0
    assert outcome.load.acked > 0
    assert outcome.stored >= outcome.load.acked
    assert outcome.missing == 0
    assert outcome.recovery_s < 30
