"""HubSpot's v3 signature: held to the vendor's own SDK as signer, and trusting nothing that is not signed."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json

import pytest
from hubspot.utils.signature import Signature
from hypothesis import given
from hypothesis import strategies as st

from headwater.connectors.base.webhooks import Delivery, Rejected, SchemeSettings, Verdict, Verified
from headwater.connectors.hubspot.signature import HubSpotSignatureV3, signed_uri
from headwater.kernel.errors import InvalidInput

NOW_S = 1_760_000_000.0
SECRET = "yyyyyyyy-yyyy-yyyy-yyyy-yyyyyyyyyyyy"
ORIGIN = "https://hooks.example.com"
TARGET = "/v1/webhooks/crm?tenant=acme"
BODY = json.dumps(
    [
        {
            "eventId": 1,
            "subscriptionType": "contact.creation",
            "objectId": 123,
            "occurredAt": 1_759_999_999_000,
        },
        {
            "eventId": 2,
            "subscriptionType": "contact.deletion",
            "objectId": 124,
            "occurredAt": 1_759_999_999_500,
        },
    ]
).encode()


def sign(
    uri: str, body: bytes = BODY, *, secret: str = SECRET, at_s: float = NOW_S, method: str = "POST"
) -> dict[str, str]:
    """Return the headers of a call as HubSpot's SDK signs it."""
    timestamp = str(int(at_s * 1000))
    given_by_sdk: str = Signature.get_signature(secret, body.decode(), "v3", uri, method, timestamp)
    return {"X-HubSpot-Signature-v3": given_by_sdk, "X-HubSpot-Request-Timestamp": timestamp}


def verify(
    headers: dict[str, str], target: str = TARGET, body: bytes = BODY, *, method: str = "POST", window_s: float = 300.0,
    secrets: tuple[str, ...] = ("another", SECRET), **options: str,
) -> Verdict:  # fmt: skip
    """Return the verdict about a call."""
    scheme = HubSpotSignatureV3(SchemeSettings(window_s, options))
    lower = [(name.lower(), value) for name, value in headers.items()]
    return scheme.verify(Delivery(method, target, lower, body), secrets, NOW_S)


def test_a_genuine_call_is_verified_by_origin_or_by_host() -> None:
    """Behind a proxy the policy says what HubSpot calls; else the Host that was asked for is it."""
    headers = sign(ORIGIN + TARGET)
    by_origin = verify(headers, origin=ORIGIN)
    assert isinstance(by_origin, Verified)
    assert by_origin.signed_time_s == NOW_S
    assert verify({**headers, "host": "hooks.example.com"}) == by_origin
    assert verify({**headers, "host": "else.example.com"}) == Rejected("signature_mismatch")
    assert verify(headers) == Rejected("header_missing")


def test_a_digest_worked_out_by_hand_is_the_sdk_s() -> None:
    """Method, URI, body and milliseconds, one behind the other, in base64."""
    text = f"POST{ORIGIN}{TARGET}".encode() + BODY + b"1760000000000"
    digest = base64.b64encode(hmac.new(SECRET.encode(), text, hashlib.sha256).digest()).decode()
    assert sign(ORIGIN + TARGET)["X-HubSpot-Signature-v3"] == digest


@pytest.mark.parametrize(
    ("sent", "signed"),
    [
        ("/a%3Ab%2Fc%3Fd", "/a:b/c?d"),
        ("/a?x=%40%21%24%27%28%29%2A%2C%3B", "/a?x=@!$'()*,;"),
        ("/a?x=%2c%3b", "/a?x=,;"),
        ("/a?x=%20%25%26%3D%C3%A9", "/a?x=%20%25%26%3D%C3%A9"),
        ("/a?x=%253A", "/a?x=%253A"),
    ],
)
def test_some_escapes_are_signed_as_what_they_stand_for(sent: str, signed: str) -> None:
    """HubSpot's list of twelve, in either case, once; all others stay."""
    assert signed_uri(sent) == signed
    assert isinstance(verify(sign(ORIGIN + signed), sent, origin=ORIGIN), Verified)


@pytest.mark.parametrize(
    ("ago_s", "rule"),
    [(300.0, ""), (300.002, "timestamp_stale"), (86_400, "timestamp_stale"), (-301, "timestamp_future")],
)
def test_five_minutes_are_the_window(ago_s: float, rule: str) -> None:
    """Both ways, although HubSpot's SDK lets the future pass; a policy cannot make it wider."""
    headers = sign(ORIGIN + TARGET, at_s=NOW_S - ago_s)
    verdict = verify(headers, origin=ORIGIN, window_s=86_400)
    assert verdict == Rejected(rule) if rule else isinstance(verdict, Verified)


def test_a_policy_may_have_a_shorter_window() -> None:
    """What it says counts below five minutes."""
    headers = sign(ORIGIN + TARGET, at_s=NOW_S - 61)
    assert verify(headers, origin=ORIGIN, window_s=60) == Rejected("timestamp_stale")


@given(
    place=st.sampled_from(["method", "target", "body", "time", "signature", "secret"]),
    flip=st.integers(0, 10_000),
)
def test_nothing_that_is_signed_can_be_changed(place: str, flip: int) -> None:
    """One changed byte anywhere, and the call is refused."""
    headers = sign(ORIGIN + TARGET)
    method, target, body, secret = "POST", TARGET, bytearray(BODY), SECRET
    match place:
        case "method":
            method = "PUT"
        case "target":
            target = f"{TARGET}&x={flip}"
        case "body":
            body[flip % len(body)] ^= 1
        case "time":
            headers["X-HubSpot-Request-Timestamp"] = str(int(NOW_S * 1000) + 1 + flip)
        case "signature":
            text = bytearray(headers["X-HubSpot-Signature-v3"].encode())
            text[flip % 40] ^= 1
            headers["X-HubSpot-Signature-v3"] = text.decode()
        case _:
            secret = f"{SECRET}{flip}"
    verdict = verify(headers, target, bytes(body), method=method, secrets=(secret,), origin=ORIGIN)
    assert verdict == Rejected("signature_mismatch")


@pytest.mark.parametrize("timestamp", ["", "now", "1.76e12", "-1", "1" * 17, "१७६"])
def test_a_malformed_time_is_refused(timestamp: str) -> None:
    """Milliseconds in digits, nothing else."""
    headers = {**sign(ORIGIN + TARGET), "X-HubSpot-Request-Timestamp": timestamp}
    wanted = "timestamp_malformed" if timestamp else "header_missing"
    assert verify(headers, origin=ORIGIN) == Rejected(wanted)


def test_a_repeat_of_the_same_message_has_the_same_id() -> None:
    """The time is not part of it: HubSpot signs a retry anew."""
    first = verify(sign(ORIGIN + TARGET), origin=ORIGIN)
    again = verify(sign(ORIGIN + TARGET, at_s=NOW_S - 5), origin=ORIGIN)
    other = verify(sign(ORIGIN + TARGET, b"[]"), body=b"[]", origin=ORIGIN)
    assert isinstance(first, Verified)
    assert isinstance(again, Verified)
    assert isinstance(other, Verified)
    assert first.message_id == again.message_id != other.message_id


@pytest.mark.parametrize(
    "options", [{"url": "https://a"}, {"origin": "hooks.example.com"}, {"origin": "https://a/b"}]
)
def test_options_are_checked(options: dict[str, str]) -> None:
    """Only an origin, as a scheme and a host."""
    with pytest.raises(InvalidInput, match="origin"):
        HubSpotSignatureV3(SchemeSettings(300, options))
