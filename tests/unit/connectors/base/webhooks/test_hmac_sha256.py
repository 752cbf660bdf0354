"""The plain HMAC scheme: as its options describe it, and trusting nothing that is not signed."""

from __future__ import annotations

import base64
import hashlib
import hmac

import pytest

from headwater.connectors.base.webhooks import (
    Delivery,
    Rejected,
    SchemeSettings,
    Verdict,
    Verified,
    load_scheme,
)
from headwater.kernel.errors import InvalidInput

NOW_S = 1_760_000_000.0
SECRET = "form-secret"
BODY = '{"name":"Zoë"}'.encode()


def _verify(headers: dict[str, str], body: bytes = BODY, /, **options: str) -> Verdict:
    scheme = load_scheme("hmac-sha256")(SchemeSettings(300, {"header": "x-signature", **options}))
    return scheme.verify(Delivery("POST", "/", list(headers.items()), body), ["other", SECRET], NOW_S)


def _digest(signed: bytes) -> bytes:
    return hmac.new(SECRET.encode(), signed, hashlib.sha256).digest()


def test_hex_with_a_prefix_is_verified_by_any_secret() -> None:
    """As repositories and form tools send it; hex of either case."""
    text = _digest(BODY).hex()
    for spelled in (text, text.upper()):
        verdict = _verify({"x-signature": f"sha256={spelled}"}, prefix="sha256=")
        assert isinstance(verdict, Verified)


def test_base64_is_verified() -> None:
    """The other usual encoding."""
    headers = {"x-signature": base64.b64encode(_digest(BODY)).decode()}
    assert isinstance(_verify(headers, encoding="base64"), Verified)


def test_equal_bodies_are_one_message() -> None:
    """Without an id that is signed the message id is a digest of what was."""
    first, second = (_verify({"x-signature": _digest(BODY).hex()}) for _ in range(2))
    other = _verify({"x-signature": _digest(b"{}").hex()}, b"{}")
    assert isinstance(first, Verified)
    assert isinstance(other, Verified)
    assert first == second
    assert first.message_id != other.message_id


def test_signed_time_and_id_are_used() -> None:
    """Joined by dots before the body; the window holds."""
    options = {"signed": "id.timestamp.body", "timestamp_header": "x-time", "id_header": "x-id"}
    for time_s, verdict in (
        (1_760_000_000, Verified("m-1", NOW_S)),
        (1_759_999_699, Rejected("timestamp_stale")),
    ):
        signature = _digest(f"m-1.{time_s}.".encode() + BODY).hex()
        headers = {"x-signature": signature, "x-id": "m-1", "x-time": str(time_s)}
        assert _verify(headers, **options) == verdict
        assert _verify({**headers, "x-id": "m-2"}, **options) == Rejected("signature_mismatch")


@pytest.mark.parametrize("signature", ["", "sha256=", "00", "\u00e9", "sha256=" + "0" * 64])
def test_what_does_not_fit_is_refused(signature: str) -> None:
    """Missing, short, foreign or wrong."""
    assert isinstance(_verify({"x-signature": signature}, prefix="sha256="), Rejected)


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"header": ""}, "header is required"),
        ({"encoding": "rot13"}, "hex or base64"),
        ({"signed": "nothing"}, "signed must be"),
        ({"id_header": "x-id"}, "go together"),
        ({"colour": "red"}, "no option is called 'colour'"),
    ],
)
def test_options_that_make_no_sense_are_refused(options: dict[str, str], told: str) -> None:
    """An id that is not signed, above all: whoever replays a message could change it."""
    with pytest.raises(InvalidInput, match=told):
        _verify({}, **options)


def test_an_unknown_scheme_names_the_known_ones() -> None:
    """The operator sees what is installed."""
    with pytest.raises(InvalidInput, match="standard-webhooks"):
        load_scheme("acme-v9")
