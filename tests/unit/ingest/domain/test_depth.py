"""How deeply a payload may nest."""

from __future__ import annotations

import json
from typing import Any

import pytest

from headwater.ingest.domain.depth import PAYLOAD_DEPTH_MAX, too_deep


def nested(depth: int, *, inside: bool = False) -> Any:
    """Return lists, or mappings, in one another, that deep with the payload itself."""
    value: Any = 1
    for _ in range(depth - 1):
        value = {"a": value} if inside else [value]
    return {"a": value}


@pytest.mark.parametrize("inside", [True, False])
def test_a_payload_may_nest_up_to_the_bound(*, inside: bool) -> None:
    """The deepest allowed passes, one more does not."""
    for depth, expected in ((PAYLOAD_DEPTH_MAX, False), (PAYLOAD_DEPTH_MAX + 1, True), (900, True)):
        payload = nested(depth, inside=inside)
        assert too_deep(json.dumps(payload).encode(), payload) is expected


def test_many_brackets_side_by_side_are_not_deep() -> None:
    """Width is not depth, nor are brackets in a text."""
    payload = {"a": [[] for _ in range(500)], "b": "[" * 500}
    assert not too_deep(json.dumps(payload).encode(), payload)
