"""Approval under faults: nothing that was not approved reaches a CRM, and everything else still holds."""

from __future__ import annotations

import pytest
from tests.simulation.approving import APPROVING, UNHEEDED
from tests.simulation.plan import make_plan
from tests.simulation.running import judge_seed

SEEDS = 10
UNHEEDED_SEED = 0


@pytest.mark.timeout(60)
def test_no_seed_has_a_write_that_nobody_approved() -> None:
    """Crashes, lost answers, hand-overs and new values between asking and writing: every invariant holds."""
    seeds = [
        seed for seed in range(SEEDS) if make_plan(seed).profile != "rollout"
    ]  # rejections end those otherwise
    verdicts = [judge_seed(seed, APPROVING) for seed in seeds]
    assert {verdict.seed: verdict.violations for verdict in verdicts if not verdict.clean} == {}


def test_an_engine_that_does_not_wait_is_caught() -> None:
    """Without the safeguard the checker says what nobody approved."""
    found = judge_seed(UNHEEDED_SEED, UNHEEDED).violations
    assert any("which nobody approved" in item.where for item in found)
