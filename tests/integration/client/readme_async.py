# ruff: noqa: T201
"""Records contacts by the asynchronous client: one now, many by a recorder, batches by a stream."""

import datetime as dt
import sys

import anyio

from headwater.client import Acknowledged, EventRefused, IngestClient, Quarantined, event


async def main(address: str) -> None:
    now = dt.datetime.now(dt.UTC)
    contact = event("crm", "contact", "42", {"email": "someone@example.com"}, event_time=now)

    async with IngestClient(address, "acme") as client:
        try:
            print(await client.record_one(contact))  # Accepted(event_key='…'), or Duplicate, or Quarantined
        except EventRefused as refused:
            print(refused.outcome.reason, refused.outcome.violations)

        async with client.recorder() as recorder:  # batches by itself; leaving the block flushes
            receipts = [
                await recorder.submit(event("crm", "contact", str(n), {}, event_time=now))
                for n in range(1000)
            ]
            for receipt in receipts:
                if isinstance(outcome := await receipt, Quarantined):
                    print(outcome.violations)

        def acknowledged(batch: Acknowledged) -> None:
            print(batch.batch_number, len(batch.outcomes))

        async with client.stream(acknowledged) as stream:  # for programs that have batches in hand
            await stream.send([contact])


anyio.run(main, sys.argv[1])
