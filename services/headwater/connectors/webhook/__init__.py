"""Webhook sink: every change as one signed POST to a URL of the tenant's (Standard Webhooks).

The account's base URL is where to, its credentials hold `secret` (`whsec_` and base64) and, while secrets change hands,
`previous_secret`: then both sign. A message's id is made of what it says, so a receiver that remembers ids takes every
change once, however often it is sent. Called are public addresses over TLS only, and what the policy's `networks` opens.
"""

from headwater.connectors.webhook.client import VENDOR

__all__ = ["VENDOR"]
