"""The shipped samples."""

from __future__ import annotations

from collections import Counter
from typing import Any

import msgspec

from headwater.cli.feed.rows import Row
from headwater.cli.run.samples import sample_policy, sample_sets
from headwater.policy.inbound import canonicalise
from headwater.policy.loading import load_policy


def test_every_sample_is_readable_and_only_a_handful_breaks_the_contract() -> None:
    """About 3,000 rows, all events; the dirt that goes to quarantine is real and named."""
    policy = load_policy(sample_policy("http://127.0.0.1:1", "run-1"))
    rules: Counter[str] = Counter()
    rows = 0
    for sample in sample_sets():
        for row in sample.rows():
            assert isinstance(row, Row), row
            rows += 1
            payload: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(row.payload))
            read = canonicalise(policy, sample.source(row), sample.object_name, payload)  # type: ignore[arg-type]
            rules.update({item.rule for item in read.violations})
    assert rows == 85 + 2002 + 150 + 150 + 400 + 300
    assert set(rules) == {"format.phone", "require_any"}
    assert 10 <= sum(rules.values()) <= 40


def test_ids_are_unique_within_a_source_and_object() -> None:
    """No sample row is another row's duplicate by accident."""
    for sample in sample_sets():
        ids = Counter((sample.source(row), row.external_id) for row in sample.rows() if isinstance(row, Row))
        doubled = {key: count for key, count in ids.items() if count > 1}
        assert len(doubled) <= 5, (sample.name, doubled)
