"""Standard Webhooks, held to the reference library: what it signs is verified, what was altered is not."""

from __future__ import annotations

import base64
import datetime as dt
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st
from standardwebhooks.webhooks import Webhook

from headwater.connectors.base.webhooks import Delivery, Rejected, SchemeSettings, Verdict, Verified
from headwater.connectors.base.webhooks.standard import StandardWebhooks, read_secret
from headwater.kernel.errors import InvalidInput

NOW_S = 1_760_000_000
SECRET = "whsec_" + base64.b64encode(b"a secret of twenty-four!").decode()
OTHER = "whsec_" + base64.b64encode(b"quite another secret 24!").decode()
BODY = b'{"type":"contact.updated","data":{"id":"c-1"}}'


def _oracle(body: bytes, *, secret: str = SECRET, message_id: str = "msg_1", time_s: int = NOW_S) -> str:
    return Webhook(secret).sign(message_id, dt.datetime.fromtimestamp(time_s, dt.UTC), body.decode())


def _headers(body: bytes = BODY, *, time_s: int = NOW_S, secret: str = SECRET) -> dict[str, str]:
    return {
        "webhook-id": "msg_1",
        "webhook-timestamp": str(time_s),
        "webhook-signature": _oracle(body, secret=secret, time_s=time_s),
    }


def _verify(
    headers: dict[str, str] | Sequence[tuple[str, str]],
    body: bytes = BODY,
    *,
    secrets: Sequence[str] = (SECRET,),
    now_s: float = NOW_S,
    window_s: float = 300,
) -> Verdict:
    named = list(headers.items()) if isinstance(headers, dict) else headers
    scheme = StandardWebhooks(SchemeSettings(window_s))
    return scheme.verify(Delivery("POST", "/v1/webhooks/shop", named, body), secrets, now_s)


def test_what_the_reference_signs_is_verified() -> None:
    """Id and time come from the signed headers."""
    assert _verify(_headers()) == Verified("msg_1", float(NOW_S))


@given(
    st.text(max_size=200), st.binary(min_size=1, max_size=64), st.from_regex(r"[ -~]{1,40}", fullmatch=True)
)
def test_every_body_that_the_reference_signs_is_verified(text: str, key: bytes, message_id: str) -> None:
    """Whatever the body says, in whatever script, under whatever id and key."""
    body = text.encode("utf-8", "replace")
    secret = "whsec_" + base64.b64encode(key).decode()
    signature = _oracle(body, secret=secret, message_id=message_id)
    headers = {"webhook-id": message_id, "webhook-timestamp": str(NOW_S), "webhook-signature": signature}
    assert _verify(headers, body, secrets=[secret]) == Verified(message_id, float(NOW_S))


@given(st.integers(0, len(BODY) - 1), st.integers(1, 255))
def test_a_body_altered_in_one_byte_is_refused(place: int, change: int) -> None:
    """The signature is over the raw bytes."""
    altered = BODY[:place] + bytes([BODY[place] ^ change]) + BODY[place + 1 :]
    assert _verify(_headers(), altered) == Rejected("signature_mismatch")


@pytest.mark.parametrize("name", ["webhook-id", "webhook-timestamp"])
def test_an_altered_id_or_time_is_refused(name: str) -> None:
    """Both are signed: a recording cannot be given another id, nor made young again."""
    headers = _headers()
    headers[name] = headers[name][:-1] + "9"
    assert _verify(headers) == Rejected("signature_mismatch")


@pytest.mark.parametrize(
    ("age_s", "verdict"),
    [
        (300, Verified("msg_1", float(NOW_S))),
        (301, Rejected("timestamp_stale")),
        (-300, Verified("msg_1", float(NOW_S))),
        (-301, Rejected("timestamp_future")),
    ],
)
def test_the_window_holds_both_ways(age_s: int, verdict: Verdict) -> None:
    """Inclusive at its ends."""
    assert _verify(_headers(), now_s=NOW_S + age_s) == verdict


def test_a_signature_of_another_secret_is_refused() -> None:
    """Only holders of the tenant's secrets are trusted."""
    assert _verify(_headers(secret=OTHER)) == Rejected("signature_mismatch")


@pytest.mark.parametrize("secrets", [[SECRET, OTHER], [OTHER, SECRET]])
def test_any_of_several_secrets_may_have_signed(secrets: list[str]) -> None:
    """Rotation: old and new are accepted, in any order."""
    assert isinstance(_verify(_headers(), secrets=secrets), Verified)


def test_any_of_several_signatures_may_fit() -> None:
    """A sender in rotation signs with both; other versions are passed over, wherever they stand."""
    headers = _headers()
    good = headers["webhook-signature"]
    wrong = _oracle(BODY, secret=OTHER)
    headers["webhook-signature"] = f"v1a,AAAA {wrong} {good}"
    assert isinstance(_verify(headers), Verified)
    headers["webhook-signature"] = good.replace("v1,", "v2,")
    assert _verify(headers) == Rejected("signature_mismatch")


@pytest.mark.parametrize(
    "signature", ["v1,", "v1", "v1,%%%", "v1,AAAA=", ",", " ", "v1,\u00e9\u00e9", "v1, " * 500, "\U0001f600"]
)
def test_a_garbled_signature_is_refused(signature: str) -> None:
    """Base64 that is none, separators alone, other scripts: a verdict, never an exception."""
    assert _verify({**_headers(), "webhook-signature": signature}) == Rejected("signature_mismatch")


@pytest.mark.parametrize(
    "timestamp", ["", "now", "1e9", "-5", "1760000000.5", "\u0661\u0662", "9" * 40, " 1760000000"]
)
def test_a_time_that_is_no_count_of_seconds_is_refused(timestamp: str) -> None:
    """Whole seconds in ASCII digits, nothing else."""
    verdict = _verify({**_headers(), "webhook-timestamp": timestamp})
    assert verdict in {Rejected("timestamp_malformed"), Rejected("header_missing")}


@pytest.mark.parametrize("name", ["webhook-id", "webhook-timestamp", "webhook-signature"])
def test_missing_and_repeated_headers_are_refused(name: str) -> None:
    """A repeated header would let a proxy and us read different values."""
    headers = _headers()
    repeated = [*headers.items(), (name, headers[name])]
    del headers[name]
    assert _verify(headers) == Rejected("header_missing")
    assert _verify(repeated) == Rejected("header_repeated")


@pytest.mark.parametrize("text", ["", "whsec_", "whsec_%%%", "not base64!"])
def test_a_secret_that_is_none_is_refused_without_being_shown(text: str) -> None:
    """The operator learns that it is malformed, and no log learns it."""
    with pytest.raises(InvalidInput) as caught:
        read_secret(text)
    shown = text.removeprefix("whsec_")
    assert not shown or shown not in str(caught.value)


def test_a_secret_may_miss_prefix_and_padding() -> None:
    """As the reference reads it."""
    assert read_secret(SECRET.removeprefix("whsec_").rstrip("=")) == read_secret(SECRET)


@given(
    st.lists(st.tuples(st.sampled_from(["webhook-id", "webhook-timestamp", "webhook-signature"]), st.text()))
)
def test_no_headers_make_it_fail(headers: list[tuple[str, str]]) -> None:
    """Any headers give a verdict, and never a good one."""
    assert isinstance(_verify(headers), Rejected)
