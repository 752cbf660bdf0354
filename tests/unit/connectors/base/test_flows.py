"""OAuth in words: what is sent, what is accepted back, and what is refused."""

from __future__ import annotations

import base64
import datetime as dt
import hashlib
from urllib.parse import parse_qs, urlencode, urlsplit

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from headwater.connectors.base.flows import (
    Asked,
    AuthorizationFailed,
    OAuthPlan,
    authorization_url,
    by_header,
    code_form,
    code_of,
    grant_form,
    new_verifier,
)
from headwater.connectors.hubspot.auth import OAUTH as HUBSPOT
from headwater.connectors.salesforce.auth import OAUTH as SALESFORCE
from headwater.kernel.errors import InvalidInput
from headwater.sync.vault.connecting import plan_of

ASKED = Asked("app", "http://127.0.0.1:7480/callback", "st4te", "v" * 64)
PLAN = OAuthPlan(
    "https://api.example.com", "https://login.example.com", "/authorize", "/token", ("read", "write")
)
NOW = dt.datetime(2026, 5, 1, 12, tzinfo=dt.UTC)


def test_a_person_is_sent_to_the_login_with_a_challenge_and_without_the_verifier() -> None:
    """S256 of the verifier, state, scopes and redirect; RFC 7636."""
    url = urlsplit(authorization_url(PLAN, PLAN.base_url, ASKED, PLAN.scopes))
    asked = {name: values[0] for name, values in parse_qs(url.query).items()}
    digest = hashlib.sha256(ASKED.verifier.encode()).digest()
    assert (url.scheme, url.netloc, url.path) == ("https", "login.example.com", "/authorize")
    assert asked == {
        "response_type": "code",
        "client_id": "app",
        "redirect_uri": ASKED.redirect_uri,
        "scope": "read write",
        "state": "st4te",
        "code_challenge": base64.urlsafe_b64encode(digest).rstrip(b"=").decode(),
        "code_challenge_method": "S256",
    }
    assert ASKED.verifier not in url.query


def test_an_account_elsewhere_logs_in_there_and_only_loopback_may_do_without_tls() -> None:
    """The sandbox speaks http on this machine; nothing else may."""
    here = authorization_url(PLAN, "http://127.0.0.1:9/hubspot/a", ASKED, ())
    assert here.startswith("http://127.0.0.1:9/hubspot/a/authorize?")
    with pytest.raises(InvalidInput, match="must be https"):
        authorization_url(PLAN, "http://crm.example.com", ASKED, ())


def test_verifiers_are_random_and_long_enough() -> None:
    """43 to 128 characters."""
    made = {new_verifier("app") for _ in range(20)}
    assert len(made) == 20
    assert all(43 <= len(one) <= 128 for one in made)


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        ({"code": "c", "state": "other"}, "state"),
        ({"code": "c"}, "state"),
        ({"error": "access_denied", "error_description": "no", "state": "st4te"}, "access_denied: no"),
        ({"state": "st4te"}, "code"),
    ],
)
def test_an_answer_that_is_not_to_our_question_is_refused(answer: dict[str, str], words: str) -> None:
    """A wrong or missing state, a refusal, no code."""
    with pytest.raises(AuthorizationFailed, match=words):
        code_of(f"{ASKED.redirect_uri}?{urlencode(answer)}", ASKED)


def test_a_code_goes_with_its_verifier_and_the_secret() -> None:
    """RFC 6749, 4.1.3 and RFC 7636, 4.5."""
    code = code_of(f"{ASKED.redirect_uri}?code=c0de&state=st4te", ASKED)
    assert code_form({"client_secret": "s"}, ASKED, code) == {
        "grant_type": "authorization_code",
        "client_id": "app",
        "client_secret": "s",
        "code": "c0de",
        "redirect_uri": ASKED.redirect_uri,
        "code_verifier": ASKED.verifier,
    }


def test_refresh_and_client_credentials_send_what_they_must() -> None:
    """And nothing of the other grant."""
    own = {"client_id": "app", "client_secret": "s"}
    assert grant_form(own, "r", "", NOW) == {**own, "grant_type": "refresh_token", "refresh_token": "r"}
    named = {**own, "grant_type": "client_credentials"}
    assert grant_form(named, "", "", NOW) == {**own, "grant_type": "client_credentials"}
    with pytest.raises(InvalidInput, match="grant_type must be one of"):
        grant_form({**own, "grant_type": "password"}, "", "", NOW)


def test_an_assertion_is_signed_for_its_audience_and_short_lived() -> None:
    """RS256, issuer, subject, audience and three minutes; a bad key is told without being shown."""
    key = rsa.generate_private_key(65_537, 2_048)
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
    own = {"client_id": "app", "username": "me", "grant_type": "jwt_bearer", "private_key": pem}
    form = grant_form(own, "", "https://login.example.com", NOW)
    assert form["grant_type"] == "urn:ietf:params:oauth:grant-type:jwt-bearer"
    claims = jwt.decode(
        form["assertion"],
        key.public_key(),
        algorithms=["RS256"],
        audience="https://login.example.com",
        options={"verify_exp": False, "verify_iat": False},
    )
    assert (claims["iss"], claims["sub"]) == ("app", "me")
    assert (claims["iat"], claims["exp"]) == (int(NOW.timestamp()), int(NOW.timestamp()) + 180)
    with pytest.raises(InvalidInput, match="no RSA key in PEM") as refused:
        grant_form({**own, "private_key": "-----oops-----"}, "", "a", NOW)
    assert "oops" not in str(refused.value)


def test_vendors_say_how_they_authorise() -> None:
    """Both shipped ones by OAuth, found by their name."""
    assert (plan_of("hubspot"), plan_of("salesforce")) == (HUBSPOT, SALESFORCE)


def test_a_client_names_itself_in_the_header_where_the_vendor_wants_it() -> None:
    """Its parts leave the form, and stand in the header as they are."""
    form = {"grant_type": "refresh_token", "client_id": "an id", "client_secret": "s:+%"}
    rest, headers = by_header(form)
    assert rest == {"grant_type": "refresh_token"}
    scheme, _, named = headers["Authorization"].partition(" ")
    assert (scheme, base64.b64decode(named).decode()) == ("Basic", "an id:s:+%")
