# ruff: noqa: T201
"""Records contacts by the blocking client: futures, from any thread."""

import datetime as dt
import sys
from concurrent.futures import as_completed

from headwater.client import BlockingIngestClient, event

now = dt.datetime.now(dt.UTC)
with BlockingIngestClient(sys.argv[1], "acme") as client:
    print(client.record_one(event("crm", "contact", "42", {"email": "someone@example.com"}, event_time=now)))
    with client.recorder() as recorder:
        events = (event("crm", "contact", str(n), {}, event_time=now) for n in range(1000))
        futures = [recorder.submit(item) for item in events]
        print(sum(future.exception() is None for future in as_completed(futures)), "recorded")
