"""Pipedrive: persons, organizations and deals through API v2; token budgets, custom fields by their name, webhooks v2.

Pipedrive has no upsert and keeps no value unique: the external id is a custom field, looked up before every create.
Activities have no custom fields, so nothing could tell a repeated one: they are not written.

The account's base URL is `https://oauth.pipedrive.com` with OAuth credentials, the company's own
(`https://acme.pipedrive.com`) with `api_token`. Limits of a policy count tokens, by class of call: `write` 5, `read` 10,
`search` 20. Changes are polled, or pushed to the webhook receiver with the scheme `pipedrive`.

Evidence (`vendor contract`): requests are compared with those of Pipedrive's own Node client, byte for byte; error
bodies and everything stateful were seen on our own sandbox only.
"""

from headwater.connectors.pipedrive.client import VENDOR

__all__ = ["VENDOR"]
