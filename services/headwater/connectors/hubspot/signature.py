"""HubSpot's webhook signature, version 3: HMAC-SHA256 over method, URI, body and time, in base64. Pure.

The URI is the whole address that HubSpot calls, so whoever stands behind a proxy says in the option `origin` what it
is; without it, it is `https://` and the Host that was asked for. Some escapes of the URI are signed as what they stand
for. HubSpot signs no message id: the id is a digest of what was signed but for the time.

Source: developers.hubspot.com, Webhooks, "Validating requests": v3.
"""

from __future__ import annotations

import base64
import hmac
import re
from collections.abc import Mapping, Sequence
from hashlib import sha256
from typing import Any, Final

from headwater.connectors.base.webhooks import Delivery, Rejected, SchemeSettings, Verdict, Verified
from headwater.connectors.base.webhooks.notices import Notice
from headwater.connectors.base.webhooks.port import window_verdict
from headwater.connectors.hubspot.notices import notices_of
from headwater.kernel.errors import InvalidInput

WINDOW_S: Final = 300.0
"""HubSpot's own limit of a signature's age; a policy may set a shorter one."""
SIGNATURE: Final = "x-hubspot-signature-v3"
TIMESTAMP: Final = "x-hubspot-request-timestamp"

_ORIGIN = re.compile(r"https?://[^/?#\s@]+", re.ASCII)
_MILLISECONDS = re.compile(r"[0-9]{1,16}", re.ASCII)
_DECODED: Final[Mapping[str, str]] = {
    "%3A": ":", "%2F": "/", "%3F": "?", "%40": "@", "%21": "!", "%24": "$", "%27": "'", "%28": "(", "%29": ")",
    "%2A": "*", "%2C": ",", "%3B": ";",
}  # fmt: skip
"""Escapes that HubSpot signs as the characters; all others stay as they are."""
_ESCAPES = re.compile("|".join(map(re.escape, _DECODED)), re.IGNORECASE)


class HubSpotSignatureV3:
    """Verifies X-HubSpot-Signature-v3 with the app's client secret."""

    def __init__(self, settings: SchemeSettings) -> None:
        unknown = set(settings.options) - {"origin"}
        self._origin = settings.options.get("origin", "").rstrip("/")
        if unknown or (self._origin and not _ORIGIN.fullmatch(self._origin)):
            message = "hubspot-v3: the one option is origin, as https://hooks.example.com: what comes before the path"
            raise InvalidInput(message, reason="WEBHOOK_OPTIONS")
        self._window_s = min(WINDOW_S, settings.replay_window_s)

    def verify(self, delivery: Delivery, secrets: Sequence[str], now_s: float) -> Verdict:
        """Decide; see the port."""
        offered, timestamp = delivery.header(SIGNATURE), delivery.header(TIMESTAMP)
        host = "" if self._origin else delivery.header("host")
        for part in (offered, timestamp, host):
            if isinstance(part, Rejected):
                return part
        if not _MILLISECONDS.fullmatch(str(timestamp)):
            return Rejected("timestamp_malformed")
        uri = signed_uri((self._origin or f"https://{host}") + delivery.target)
        message = delivery.method.encode() + uri.encode("latin-1", "replace") + delivery.raw_body
        if not _matches(message + str(timestamp).encode(), str(offered), secrets):
            return Rejected("signature_mismatch")
        signed_time_s = int(str(timestamp)) / 1000
        outside = window_verdict(signed_time_s, now_s, self._window_s)
        return outside or Verified(f"sha256:{sha256(message).hexdigest()}", signed_time_s)

    def notices(self, body: Any) -> Sequence[Notice]:
        """Return the records that a batch names; see the port."""
        return notices_of(body)


def signed_uri(uri: str) -> str:
    """Return *uri* as HubSpot signs it."""
    return _ESCAPES.sub(lambda found: _DECODED[found.group().upper()], uri)


def _matches(signed: bytes, offered: str, secrets: Sequence[str]) -> bool:
    given = offered.encode("utf-8", "replace")
    expected = [base64.b64encode(hmac.digest(secret.encode(), signed, sha256)) for secret in secrets]
    return any([hmac.compare_digest(one, given) for one in expected])  # noqa: C419 - all of them
