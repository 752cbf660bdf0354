r"""Dynamics 365 (Dataverse): any table with an alternate key, through the OData Web API.

A record is upserted by its alternate key, a text column that a key was made of; single operations travel in $batch,
which answers one by one, long lists of new records in UpsertMultiple, which keeps all or nothing. Changes come by delta
links, so the table must track changes. The policy's `target` is a table's logical name (`contact`), a reference the
navigation property (`parentcustomerid_account`). Dataverse cannot address key values with any of / < > * % & : \ ? +.

Credentials: `tenant_id`, `client_id`, `client_secret` of an application user; the base URL is the environment's.
Dataverse lets a user make 6,000 requests and use 20 minutes of execution time within 5 minutes, and have 52 requests
under way: the policy's windows and concurrency are set below that; the execution time shows as a 429 with Retry-After.

Evidence (`vendor contract`): requests are compared with those of Microsoft's own Python client; column names, types
and lengths with the Common Data Model. Error bodies, delta answers and limits were seen on our own sandbox only.
"""

from headwater.connectors.dynamics.client import VENDOR

__all__ = ["VENDOR"]
