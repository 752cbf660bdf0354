"""Made records held to the policy that loads apply."""

from __future__ import annotations

import json
import random
from typing import cast

from headwater.cli.loading.target import load_policy_text
from headwater.kernel.ids import ObjectName
from headwater.load.payloads import OBJECTS, Sizes, make_records
from headwater.policy.inbound import canonicalise
from headwater.policy.loading import load_policy


def test_made_records_keep_the_contract_and_invalid_ones_break_it() -> None:
    """What the generator calls valid passes the door, what it calls invalid does not: each kind of record."""
    policy = load_policy(load_policy_text())
    records = make_records(random.Random(3), 1_500, Sizes(), 0.2)
    assert {item.object_name for item in records} == set(OBJECTS)
    assert sum(item.invalid for item in records) == 300
    for item in records:
        found = canonicalise(
            policy, item.source, cast("ObjectName", item.object_name), json.loads(item.payload)
        )
        assert bool(found.violations) == item.invalid, item


def test_loads_deliver_to_nobody() -> None:
    """The policy of load tenants is the samples' without connectors."""
    assert load_policy(load_policy_text()).connectors == {}


def test_a_seed_makes_the_same_records_again() -> None:
    """Payloads are repeatable."""
    one, other = (make_records(random.Random(9), 50, Sizes(500, 900), 0.1) for _ in range(2))
    assert one == other
