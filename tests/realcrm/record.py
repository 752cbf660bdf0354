"""`make record-realcrm`: plays the script of tests/contract/bottlecrm against a real BottleCRM and writes the recording."""

from __future__ import annotations

import sys

import anyio
from tests.contract.bottlecrm.replaying import FILE, Exchange, Recording, write
from tests.contract.bottlecrm.script import play
from tests.realcrm.server import BottleCrm, Org, bottle_crm

from headwater.connectors.base import Account
from headwater.connectors.base.http import tls_settings
from headwater.connectors.base.testing import RecordingGate
from headwater.connectors.base.transport import PooledTransport
from headwater.connectors.bottlecrm.client import BottleCrmConnector, BottleCrmVendor

NARROW = ["contacts:read", "custom-fields:read"]


async def record(crm: BottleCrm, org: Org) -> list[Exchange]:
    """Play the script; return what was said."""
    exchanges: list[Exchange] = []
    with crm.client(org) as person:
        told = person.post(
            "/api/profile/tokens/", json={"name": "narrow", "scopes": NARROW}
        ).raise_for_status()
        tokens = {"main": org.token, "refused": "bcrm_pat_wrong", "narrow": str(told.json()["token"])}

        def opened(caller: str) -> BottleCrmConnector:
            account = Account(caller, crm.base_url, {"api_token": tokens[caller]}, 60.0)
            inner = PooledTransport(tls_settings(trust_env=False))
            return BottleCrmVendor().open(
                account, RecordingGate(), transport=Recording(caller, inner, exchanges)
            )

        first, refused, narrow = opened("main"), opened("refused"), opened("narrow")

        async def delete(crm_id: str) -> None:
            person.delete(f"/api/contacts/{crm_id}/").raise_for_status()

        await play(first, refused, narrow, delete)
        for one in (first, refused, narrow):
            await one.aclose()
    return exchanges


def main() -> int:
    """Record and write."""
    with bottle_crm(lambda words: sys.stderr.write(words + "\n")) as crm:
        exchanges = anyio.run(record, crm, crm.org("Recorded"))
    write(exchanges)
    sys.stdout.write(f"{len(exchanges)} exchanges in {FILE}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
