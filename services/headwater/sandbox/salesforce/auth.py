"""Owns Salesforce's OAuth: consent, codes, refresh tokens, client credentials and assertions for sessions; who may call."""

from __future__ import annotations

from typing import TYPE_CHECKING

import jwt

from headwater.sandbox import consent
from headwater.sandbox.call import Answer, Call, route
from headwater.sandbox.salesforce import soap
from headwater.sandbox.salesforce.errors import RowError, problem

if TYPE_CHECKING:
    from collections.abc import Mapping

    from headwater.sandbox.accounts import Account
    from headwater.sandbox.desk import Desk

TOKEN_PATH = "/services/oauth2/token"  # noqa: S105 - a path
AUTHORIZE_PATH = "/services/oauth2/authorize"
JWT_BEARER = "urn:ietf:params:oauth:grant-type:jwt-bearer"
ASSERTION_S_MAX = 300
CLIENT_SECRET = "sandbox-secret"  # noqa: S105 - told to everyone in the brief of the sandbox
ORG_ID = "00D5500000Hdwtr"


def _token(call: Call, desk: Desk, _params: Mapping[str, str]) -> Answer:
    form = consent.form_of(call)
    refused = _refused(call, desk, form)
    if refused is not None:
        return refused
    token = f"{ORG_ID}!{desk.account.name}.{desk.new_id()}"
    desk.account.give_token(token, call.now_ms + desk.token_ttl_s * 1000)
    renewed = consent.next_refresh_token(desk, form)
    shown = renewed and renewed != form.get("refresh_token")  # an unchanged one is not repeated
    return Answer(
        200,
        {
            **({"refresh_token": renewed} if shown else {}),
            "access_token": token,
            "signature": desk.new_id(),
            "scope": "refresh_token api",
            "instance_url": call.base_url,
            "id": f"{call.base_url}/id/{ORG_ID}/0055500000Hdwtr",
            "token_type": "Bearer",
            "issued_at": str(call.now_ms),
        },
    )


def _refused(call: Call, desk: Desk, form: Mapping[str, str]) -> Answer | None:
    def no(error: str, text: str) -> Answer:
        return Answer(400, {"error": error, "error_description": text})

    grant = form.get("grant_type")
    if grant == JWT_BEARER:
        fault = _assertion_fault(call, form.get("assertion", ""))
        return no("invalid_grant", fault) if fault else None
    if grant not in {"refresh_token", "client_credentials", "authorization_code"}:
        return no("unsupported_grant_type", "grant type not supported")
    if not form.get("client_id"):
        return no("invalid_client_id", "client identifier invalid")
    if form.get("client_secret") != CLIENT_SECRET:
        return no("invalid_client", "invalid client credentials")
    if grant == "authorization_code":
        fault = consent.spend_code(call, desk, form)
        return no("invalid_grant", fault) if fault else None
    if grant == "refresh_token" and not consent.spend_refresh_token(
        call, desk, form.get("refresh_token", "")
    ):
        return no("invalid_grant", "expired access/refresh token")
    return None


def _assertion_fault(call: Call, assertion: str) -> str:
    """Return what is wrong with a signed assertion.

    Any key may have signed: the sandbox knows nobody's certificate. Form, audience and times are the vendor's.
    """
    try:
        claims = jwt.decode(assertion, options={"verify_signature": False})
        algorithm = jwt.get_unverified_header(assertion).get("alg")
        left_s = float(claims["exp"]) - call.now_ms / 1000
    except (jwt.PyJWTError, KeyError, TypeError, ValueError):
        return "invalid assertion"
    if algorithm != "RS256" or not claims.get("iss") or not claims.get("sub"):
        return "invalid assertion"
    if claims.get("aud") != call.base_url:
        return "audience is invalid"
    return "" if 0 < left_s <= ASSERTION_S_MAX else "expired authorization code"


def authenticate(account: Account, call: Call) -> Answer | None:
    """None when the session lets the call in, else Salesforce's 401."""
    scheme, _, token = call.headers.get("authorization", "").partition(" ")
    in_soap = call.path.startswith(soap.PATH)
    if in_soap:
        scheme, token = "bearer", soap.session_of(call)
    expire_ms = account.token_expire_ms(token) if scheme.lower() in {"bearer", "oauth"} else None
    if expire_ms is None or expire_ms <= call.now_ms:
        if in_soap:
            return soap.fault("INVALID_SESSION_ID", "Invalid Session ID found in SessionHeader")
        return problem(RowError("INVALID_SESSION_ID", "Session expired or invalid", (), 401))
    return None


ROUTES = (
    route("POST", TOKEN_PATH, "token", _token),
    route("GET", AUTHORIZE_PATH, "authorize", consent.authorize),
)
