"""A change as a signed message, and an answer as what became of it. Pure.

Source: github.com/standard-webhooks/standard-webhooks, spec/standard-webhooks.md.
"""

from __future__ import annotations

import base64
import hmac
from collections.abc import Mapping, Sequence
from hashlib import sha256
from typing import Any, Final

import msgspec

from headwater.connectors.base.errors import ErrorClass, VendorError
from headwater.connectors.base.http import Answer, failure_of_status
from headwater.connectors.base.port import Target, Write
from headwater.connectors.base.webhooks.standard import read_secret

PAYLOAD_BYTES_MAX: Final = 256 * 1024
"""Largest message; receivers commonly refuse more."""
SECRET_BYTES_MIN: Final = 24
"""Shortest key that the standard allows."""
TEST_TYPE: Final = "headwater.test"

_encode: Final = msgspec.json.Encoder(order="deterministic").encode
_ACCEPTED: Final = 200
_REFUSED: Final = 300
_BY_STATUS: Final[Mapping[int, tuple[ErrorClass, str, str]]] = {
    400: (ErrorClass.VALIDATION, "REFUSED", ""),
    401: (
        ErrorClass.AUTH,
        "SIGNATURE_REFUSED",
        "the receiver does not accept our signature; compare the secrets",
    ),
    404: (ErrorClass.SERVER, "ENDPOINT_MISSING", "nobody listens at this path"),
    409: (ErrorClass.VALIDATION, "REFUSED", ""),
    410: (
        ErrorClass.AUTH,
        "ENDPOINT_GONE",
        "the receiver wants no more messages; name another URL or disable it",
    ),
    413: (ErrorClass.VALIDATION, "TOO_LARGE", ""),
    422: (ErrorClass.VALIDATION, "REFUSED", ""),
}
"""Answers that mean something else than their class: who would bury records over a missing path loses them."""


def message_body(target: Target, write: Write) -> bytes:
    """Return the message of one change; the same change gives the same bytes."""
    data: dict[str, Any] = {
        "object": target.object_name,
        "record": target.crm_object,
        "external_id": write.external_id,
        "version": write.version,
        "changes": dict(write.fields),
    }
    if write.references:
        data["references"] = {item.name: list(item.crm_ids) for item in write.references}
    return _encode({"type": f"{target.object_name}.changed", "data": data})


def test_body(account: str) -> bytes:
    """Return the message that proves a connection."""
    return _encode({"type": TEST_TYPE, "data": {"account": account}})


def message_id(account: str, body: bytes) -> str:
    """Return the id of a message: the same for every sending of one change, another for every other change."""
    digest = sha256(b"\0".join((account.encode(), body))).hexdigest()
    return f"msg_{digest[:32]}"


def signed_headers(identifier: str, now_s: int, body: bytes, secrets: Sequence[bytes]) -> dict[str, str]:
    """Return the standard's headers; one signature for each secret, the newest first."""
    signed = b".".join((identifier.encode(), str(now_s).encode(), body))
    signatures = [base64.b64encode(hmac.digest(secret, signed, sha256)).decode() for secret in secrets]
    return {
        "Content-Type": "application/json",
        "Accept-Encoding": "identity",
        "webhook-id": identifier,
        "webhook-timestamp": str(now_s),
        "webhook-signature": " ".join(f"v1,{one}" for one in signatures),
    }


def secrets_of(credentials: Mapping[str, str]) -> tuple[bytes, ...]:
    """Return the keys that sign, `secret` before `previous_secret`.

    Raises:
        InvalidInput: one is not `whsec_` and base64.
    """
    texts = [credentials.get(name, "") for name in ("secret", "previous_secret")]
    return tuple(read_secret(text) for text in texts if text)


def refusal_of(answer: Answer) -> VendorError | None:
    """Return why an answer means that the message was not taken; None when it was."""
    if _ACCEPTED <= answer.status < _REFUSED:
        return None
    plain = failure_of_status(answer, writes=True)
    if _REFUSED <= answer.status < 400:  # noqa: PLR2004 - redirections end here
        place = answer.headers.get("location", "")[:200]
        words = (
            f"the receiver redirects to {place or 'nowhere'}; redirects are not followed: name the final URL"
        )
        return VendorError(ErrorClass.AUTH, "REDIRECTED", words, answer.status)
    error_class, code, words = _BY_STATUS.get(answer.status, (plain.error_class, plain.code, ""))
    message = f"{words}: {plain.message}"[:512] if words else plain.message
    return VendorError(error_class, code, message, answer.status, plain.retry_after_s)
