"""Owns Salesforce's OAuth: refresh tokens and client credentials for sessions, and who may call."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import parse_qs

from headwater.sandbox.call import Answer, Call, route
from headwater.sandbox.salesforce import soap
from headwater.sandbox.salesforce.errors import RowError, problem

if TYPE_CHECKING:
    from collections.abc import Mapping

    from headwater.sandbox.accounts import Account
    from headwater.sandbox.desk import Desk

TOKEN_PATH = "/services/oauth2/token"  # noqa: S105 - a path
CLIENT_SECRET = "sandbox-secret"  # noqa: S105 - told to everyone in the brief of the sandbox
_ORG = "00D5500000Hdwtr"


def _token(call: Call, desk: Desk, _params: Mapping[str, str]) -> Answer:
    form = {name: values[0] for name, values in parse_qs(call.body.decode("utf-8", "replace")).items()}
    refused = _refused(call, form)
    if refused is not None:
        return refused
    token = f"{_ORG}!{desk.account.name}.{desk.new_id()}"
    desk.account.give_token(token, call.now_ms + desk.token_ttl_s * 1000)
    return Answer(
        200,
        {
            "access_token": token,
            "signature": desk.new_id(),
            "scope": "refresh_token api",
            "instance_url": call.base_url,
            "id": f"{call.base_url}/id/{_ORG}/0055500000Hdwtr",
            "token_type": "Bearer",
            "issued_at": str(call.now_ms),
        },
    )


def _refused(call: Call, form: Mapping[str, str]) -> Answer | None:
    def no(error: str, text: str) -> Answer:
        return Answer(400, {"error": error, "error_description": text})

    grant = form.get("grant_type")
    if grant not in {"refresh_token", "client_credentials"}:
        return no("unsupported_grant_type", "grant type not supported")
    if not form.get("client_id"):
        return no("invalid_client_id", "client identifier invalid")
    if form.get("client_secret") != CLIENT_SECRET:
        return no("invalid_client", "invalid client credentials")
    if grant == "refresh_token" and form.get("refresh_token") != f"sandbox-refresh-{call.account}":
        return no("invalid_grant", "expired access/refresh token")
    return None


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


ROUTES = (route("POST", TOKEN_PATH, "token", _token),)
