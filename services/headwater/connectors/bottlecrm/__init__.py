"""BottleCRM: contacts, leads, accounts, deals and tasks through its REST API; custom fields by their key, changes polled.

BottleCRM has no upsert and no unique key of ours: the external id is a custom field (text), looked up before every
create. It refuses a second contact or lead of one e-mail address and a second account or deal of one name: a CONFLICT
that names the record. Deleted records are gone at once, there is no bin; its webhooks cannot be asked for by a token.

The account's base URL is the server's root, the credentials hold `api_token`: a personal access token of an
administrator (only they may make custom fields and see deletions), with the scopes `contacts`, `leads`, `accounts`,
`opportunities`, `tasks` and `custom-fields`, each `:read` and `:write`, and `activities:read`.

Evidence (`real server`): `make test-realcrm` installs BottleCRM and runs the conformance suite against it.
"""

from headwater.connectors.bottlecrm.client import VENDOR

__all__ = ["VENDOR"]
