"""The plain scheme of many form tools: HMAC-SHA256 in one header, described by the policy's options. Pure.

Options: `header` (required), `prefix` (as `sha256=`), `encoding` (`hex` or `base64`), `signed` (which parts are
signed, joined by dots: `body`, `timestamp.body` or `id.timestamp.body`), `timestamp_header`, `id_header`.

A part that is not signed is not used: whoever records a call could change it. So without `id` the message id
is a digest of what was signed; a scheme that signs the body alone takes equal bodies for one message.
"""

from __future__ import annotations

import base64
import hmac
import re
from collections.abc import Mapping, Sequence
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

_DEFAULTS: Final[Mapping[str, str]] = {
    "header": "",
    "prefix": "",
    "encoding": "hex",
    "signed": "body",
    "timestamp_header": "",
    "id_header": "",
}
_SIGNED: Final = frozenset({"body", "timestamp.body", "id.timestamp.body", "id.body"})
_SECONDS = re.compile(r"[0-9]{1,12}", re.ASCII)


class HmacSha256:
    """Verifies one header against an HMAC of the raw body, time and id where they are signed."""

    def __init__(self, settings: SchemeSettings) -> None:
        if faults := _option_faults(settings.options):
            raise InvalidInput("hmac-sha256: " + "; ".join(faults), reason="WEBHOOK_OPTIONS")
        self._options = {**_DEFAULTS, **settings.options}
        self._parts = self._options["signed"].split(".")
        self._window_s = settings.replay_window_s

    def verify(self, delivery: Delivery, secrets: Sequence[str], now_s: float) -> Verdict:
        """Decide; see the port."""
        offered = delivery.header(self._options["header"])
        if isinstance(offered, Rejected):
            return offered
        pieces: list[bytes] = []
        texts: dict[str, str] = {}
        for part in self._parts[:-1]:
            value = delivery.header(self._options[f"{part}_header"])
            if isinstance(value, Rejected):
                return value
            texts[part] = value
            pieces.append(value.encode("latin-1", "replace"))
        signed = b".".join((*pieces, delivery.raw_body))
        if not self._matches(signed, offered, secrets):
            return Rejected("signature_mismatch")
        return self._dated(texts, signed, now_s)

    def _dated(self, texts: Mapping[str, str], signed: bytes, now_s: float) -> Verdict:
        message_id = texts.get("id") or f"sha256:{sha256(signed).hexdigest()}"
        if "timestamp" not in texts:
            return Verified(message_id)
        if not _SECONDS.fullmatch(texts["timestamp"]):
            return Rejected("timestamp_malformed")
        signed_time_s = float(texts["timestamp"])
        outside = window_verdict(signed_time_s, now_s, self._window_s)
        return outside or Verified(message_id, signed_time_s)

    def _matches(self, signed: bytes, offered: str, secrets: Sequence[str]) -> bool:
        prefix = self._options["prefix"]
        text = offered.removeprefix(prefix) if offered.startswith(prefix) else ""
        given = (text.lower() if self._options["encoding"] == "hex" else text).encode("utf-8", "replace")
        expected = [self._encode(hmac.digest(secret.encode(), signed, sha256)) for secret in secrets]
        return any([hmac.compare_digest(one, given) for one in expected])  # noqa: C419 - all of them

    def _encode(self, digest: bytes) -> bytes:
        return digest.hex().encode() if self._options["encoding"] == "hex" else base64.b64encode(digest)


def _option_faults(options: Mapping[str, str]) -> list[str]:
    given = {**_DEFAULTS, **options}
    parts = given["signed"].split(".")
    faults = [f"no option is called {name!r}" for name in options if name not in _DEFAULTS]
    if not given["header"]:
        faults.append("option header is required")
    if given["encoding"] not in {"hex", "base64"}:
        faults.append("encoding must be hex or base64")
    if given["signed"] not in _SIGNED:
        faults.append(f"signed must be one of {', '.join(sorted(_SIGNED))}")
        return faults
    faults += [
        f"{part}_header and {part} in signed go together: what is not signed cannot be trusted"
        for part in ("timestamp", "id")
        if (part in parts) != bool(given[f"{part}_header"])
    ]
    return faults
