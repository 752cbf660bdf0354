"""Standard Webhooks, symmetric signatures (`v1`). Pure.

Source: github.com/standard-webhooks/standard-webhooks, spec/standard-webhooks.md.
"""

from __future__ import annotations

import base64
import binascii
import hmac
import re
from collections.abc import Sequence
from hashlib import sha256
from typing import Final

from headwater.connectors.base.webhooks.port import (
    Delivery,
    Rejected,
    SchemeSettings,
    Verdict,
    Verified,
    window_verdict,
)
from headwater.kernel.errors import InvalidInput

SECRET_PREFIX: Final = "whsec_"  # noqa: S105 - the prefix of every secret, none itself
SIGNATURES_MAX: Final = 16
"""Signatures looked at in one header: a sender in rotation has a handful."""

_SECONDS = re.compile(r"[0-9]{1,12}", re.ASCII)


class StandardWebhooks:
    """Verifies webhook-id, webhook-timestamp and webhook-signature."""

    def __init__(self, settings: SchemeSettings) -> None:
        if settings.options:
            raise InvalidInput("standard-webhooks takes no options", reason="WEBHOOK_OPTIONS")
        self._window_s = settings.replay_window_s

    def verify(self, delivery: Delivery, secrets: Sequence[str], now_s: float) -> Verdict:
        """Decide; see the port."""
        keys = [read_secret(text) for text in secrets]
        message_id = delivery.header("webhook-id")
        timestamp = delivery.header("webhook-timestamp")
        signatures = delivery.header("webhook-signature")
        for part in (message_id, timestamp, signatures):
            if isinstance(part, Rejected):
                return part
        return self._verify(delivery.raw_body, str(message_id), str(timestamp), str(signatures), keys, now_s)

    def _verify(
        self,
        body: bytes,
        message_id: str,
        timestamp: str,
        signatures: str,
        keys: Sequence[bytes],
        now_s: float,
    ) -> Verdict:
        if not _SECONDS.fullmatch(timestamp):
            return Rejected("timestamp_malformed")
        signed_time_s = float(timestamp)
        signed = b".".join((message_id.encode("latin-1", "replace"), timestamp.encode(), body))
        if not _any_matches(signed, keys, _offered(signatures)):
            return Rejected("signature_mismatch")
        outside = window_verdict(signed_time_s, now_s, self._window_s)
        return outside or Verified(message_id, signed_time_s)


def read_secret(text: str) -> bytes:
    """Return the key that a secret of the form `whsec_<base64>` holds; the prefix may be missing.

    Raises:
        InvalidInput: it is not base64, or empty.
    """
    encoded = text.strip().removeprefix(SECRET_PREFIX)
    try:
        key = base64.b64decode(encoded + "=" * (-len(encoded) % 4), validate=True)
    except (binascii.Error, ValueError):
        key = b""
    if not key:
        raise InvalidInput("a secret must be whsec_ and base64", reason="WEBHOOK_SECRET") from None
    return key


def _offered(signatures: str) -> list[bytes]:
    """Return the base64 texts of the `v1` signatures; other versions are not ours to judge."""
    parts = (part.partition(",") for part in signatures.split(" ")[:SIGNATURES_MAX])
    return [text.encode("utf-8", "replace") for version, _, text in parts if version == "v1"]


def _any_matches(signed: bytes, keys: Sequence[bytes], offered: Sequence[bytes]) -> bool:
    """Compare every key with every signature, in a time that does not tell which one fits."""
    expected = [base64.b64encode(hmac.digest(key, signed, sha256)) for key in keys]
    return any([hmac.compare_digest(one, other) for one in expected for other in offered])  # noqa: C419 - all of them
