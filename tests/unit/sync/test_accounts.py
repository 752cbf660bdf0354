"""The accounts that run in a process, as others see them."""

from __future__ import annotations

from contextlib import ExitStack

from tests.unit.sync.accounts import document, unguarded
from tests.unit.sync.tenant import TENANT

from headwater.connectors.base import Connector
from headwater.sync.delivery.accounts import RunningAccount, RunningAccounts
from headwater.sync.domain.leasing import Lease


async def _never() -> Connector:
    raise AssertionError("nobody connects")


def test_an_account_that_begins_anew_outlasts_the_end_of_its_last_run() -> None:
    """After a lapse the next run may begin before the one that was cancelled has cleaned up."""
    accounts, last_run = RunningAccounts(), ExitStack()
    last, next_one = (
        RunningAccount(TENANT, "salesforce", document(), Lease("account", fence), _never, unguarded)
        for fence in (1, 2)
    )
    last_run.enter_context(accounts.running(last))
    with accounts.running(next_one):
        last_run.close()
        assert accounts.current() == {(TENANT, "salesforce"): next_one}
    assert accounts.current() == {}
