"""How many calls there may be, in all and of one caller."""

from __future__ import annotations

from typing import Any

import pytest

from headwater.kernel.errors import Overloaded
from headwater.kernel.rpc.calls import TOO_MANY_OF_CALLER, Calls, CallSettings


def _task() -> Any:
    """Return what stands for a task: the count asks it nothing."""
    return object()


def test_one_caller_has_its_share_and_others_find_room() -> None:
    """It is told whose share is used up; a call that ends makes room again, and nothing is kept of who left."""
    calls = Calls(CallSettings(calls_max=6, principal_share=0.5))
    held = [_task() for _ in range(3)]
    for task in held:
        calls.begin(task, reading=False)
        calls.claim(task, "spiffe://house/flood")
    late = _task()
    calls.begin(late, reading=False)
    with pytest.raises(Overloaded) as refused:
        calls.claim(late, "spiffe://house/flood")
    calls.end(late)
    assert (refused.value.reason, refused.value.quota_subject) == (TOO_MANY_OF_CALLER, "spiffe://house/flood")
    other = _task()
    calls.begin(other, reading=False)
    calls.claim(other, "spiffe://house/quiet")
    calls.end(held[0])
    again = _task()
    calls.begin(again, reading=False)
    calls.claim(again, "spiffe://house/flood")
    for task in (*held[1:], other, again):
        calls.end(task)
    assert calls.count == 0
    assert vars(calls)["_of_principal"] == {}
