"""Pipedrive's webhooks v2: HTTP Basic with the user and password of the subscription; nothing is signed. Pure.

A secret is `user:password`. A policy maps the body like this:

    webhook:
      scheme: pipedrive
      secrets: [env:HEADWATER_PIPEDRIVE_WEBHOOK]
      object: contact
      when: {meta.entity: [person]}
      external_id: meta.entity_id
      event_time: meta.timestamp
      operation: meta.action
      payload: data

Or it has each record that a message names fetched whole, of all objects that an account reads:

    webhook:
      scheme: pipedrive
      secrets: [env:HEADWATER_PIPEDRIVE_WEBHOOK]
      notices: true

A merge is told as a deletion and a change. Retries of one message (after 3, 30 and 150 seconds) differ in `meta.attempt` only, so its id is the message's.

Source: Pipedrive, Guide for Webhooks v2.
"""

from __future__ import annotations

import base64
import hmac
from collections.abc import Sequence
from hashlib import sha256
from typing import Any, Final

import msgspec

from headwater.connectors.base.errors import CallFailed
from headwater.connectors.base.polling import read_moment, to_ms
from headwater.connectors.base.webhooks import Delivery, Notice, Rejected, SchemeSettings, Verdict, Verified
from headwater.connectors.pipedrive.kinds import KINDS
from headwater.kernel.errors import InvalidInput

_BASIC: Final = "basic "
_OBJECTS: Final = {kind.entity: name for name, kind in KINDS.items()}


class BasicAuth:
    """Verifies the user and password of a call."""

    def __init__(self, settings: SchemeSettings) -> None:
        if settings.options:
            raise InvalidInput("pipedrive takes no options", reason="WEBHOOK_OPTIONS")

    def verify(self, delivery: Delivery, secrets: Sequence[str], now_s: float) -> Verdict:  # noqa: ARG002 - nothing is dated
        """Decide; see the port."""
        expected = [base64.b64encode(_checked(secret).encode()) for secret in secrets]
        offered = delivery.header("authorization")
        if isinstance(offered, Rejected):
            return offered
        if offered[: len(_BASIC)].lower() != _BASIC:
            return Rejected("scheme_not_basic")
        given = offered[len(_BASIC) :].strip().encode("utf-8", "replace")
        if not any([hmac.compare_digest(one, given) for one in expected]):  # noqa: C419 - all of them
            return Rejected("credentials_mismatch")
        return Verified(_message_id(delivery.raw_body))

    def notices(self, body: Any) -> Sequence[Notice]:
        """Return the record that a message is about; see the port."""
        return notices_of(body)


def notices_of(body: Any) -> Sequence[Notice]:
    """Return the record that a message is about; none when it is no object that can be read."""
    meta = body.get("meta") if isinstance(body, dict) else None
    if not isinstance(meta, dict) or str(meta.get("entity")) not in _OBJECTS:
        return ()
    crm_id = meta.get("entity_id")
    named = str(crm_id) if isinstance(crm_id, (int, str)) and not isinstance(crm_id, bool) else ""
    return (Notice(_OBJECTS[str(meta["entity"])], named, _time_us(meta.get("timestamp"))),)


def _time_us(value: Any) -> int | None:
    try:
        return to_ms(read_moment(value)) * 1000
    except CallFailed:
        return None


def _checked(secret: str) -> str:
    user, colon, password = secret.partition(":")
    if not user or not colon or not password:
        raise InvalidInput("a secret must be user:password", reason="WEBHOOK_SECRET")
    return secret


def _message_id(body: bytes) -> str:
    """Return the message's own id; a digest of the body where it states none."""
    try:
        decoded: Any = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError):
        decoded = None
    meta = decoded.get("meta") if isinstance(decoded, dict) else None
    stated = meta.get("id") if isinstance(meta, dict) else None
    return str(stated) if stated else f"sha256:{sha256(body).hexdigest()}"
