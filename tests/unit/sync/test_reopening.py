"""An account whose secret was set anew goes on with it, without a restart and without losing anything."""

from __future__ import annotations

from collections.abc import Mapping

import anyio
import pytest
from tests.unit.sync.accounts import Crm, Queue, account, running
from tests.unit.sync.tenant import key

from headwater.connectors.base import Account, CallGate, Connector
from headwater.kernel.errors import NotFound
from headwater.sync.delivery.account import BACKOFF_S_MIN
from headwater.sync.delivery.credentials import Credentials

pytestmark = pytest.mark.anyio


class Vault:
    """Secrets that can be set anew, or be missing."""

    def __init__(self, token: str) -> None:
        self.token = token

    async def read(self, tenant_id: str, reference: str) -> Credentials:
        """Return the present one."""
        del tenant_id, reference
        if not self.token:
            raise NotFound("the vault has no such connection")
        return Credentials({"token": self.token})


class Watched(Crm):
    """A CRM that notes with which token it was opened."""

    def __init__(self) -> None:
        super().__init__()
        self.tokens: list[str] = []

    def open(self, vendor: str, account: Account, gate: CallGate) -> Connector:
        """Note the token."""
        credentials: Mapping[str, str] = account.credentials
        self.tokens.append(credentials["token"])
        return super().open(vendor, account, gate)


async def test_a_running_account_opens_anew_once_what_is_in_flight_is_settled() -> None:
    """The call under way ends with the old secret; everything after it goes with the new one."""
    queue, crm, vault = Queue(), Watched(), Vault("old")
    crm.hangs = {str(key(1))}
    queue.add(1)
    subject = account(queue, crm, secrets=vault)
    async with running(subject):
        await crm.hanging.wait()
        vault.token = "new"
        subject.reopen()
        crm.release.set()
        await queue.until_empty()
        queue.add(2)
        subject.bell.ring()
        await queue.until_empty()
    assert crm.tokens == ["old", "new"]
    assert len(queue.settled) == 2


async def test_an_account_without_a_secret_starts_as_soon_as_it_is_set() -> None:
    """It is not kept waiting for the pause after its failures, which is 2 s by then."""
    queue, crm, vault = Queue(), Watched(), Vault("")
    queue.add(1)
    subject = account(queue, crm, secrets=vault)
    async with running(subject):
        await queue.until(lambda: len(queue.findings) >= 3)
        vault.token = "new"
        subject.reopen()
        set_at_s = anyio.current_time()
        await queue.until_empty()
        assert anyio.current_time() - set_at_s < 3 * BACKOFF_S_MIN
    assert crm.tokens == ["new"]
    assert queue.findings[0] == "the vault has no such connection"


async def test_a_reopened_account_that_is_told_to_end_ends() -> None:
    """The one order does not hide the other."""
    queue, crm = Queue(), Watched()
    queue.add(1)
    subject = account(queue, crm, secrets=Vault("old"))
    with anyio.fail_after(5):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(subject.run)
            await queue.until_empty()
            subject.reopen()
            subject.end()
