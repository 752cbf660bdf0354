"""Owns Pipedrive's OAuth: consent, codes and refresh tokens for access tokens, and who may call."""

from __future__ import annotations

import base64
import binascii
from typing import TYPE_CHECKING, Final

from headwater.sandbox import consent
from headwater.sandbox.call import Answer, Call, route
from headwater.sandbox.pipedrive.errors import problem

if TYPE_CHECKING:
    from collections.abc import Mapping

    from headwater.sandbox.accounts import Account
    from headwater.sandbox.desk import Desk

TOKEN_PATH: Final = "/oauth/token"  # noqa: S105 - a path
AUTHORIZE_PATH: Final = "/oauth/authorize"
CLIENT_SECRET: Final = "sandbox-secret"  # noqa: S105 - told to everyone in the brief of the sandbox


def _token(call: Call, desk: Desk, _params: Mapping[str, str]) -> Answer:
    client_id, secret = _client(call)
    form = {**consent.form_of(call), "client_id": client_id}
    if not client_id or secret != CLIENT_SECRET:
        return _no(401, "invalid_client", "Client id or secret is invalid")
    if form.get("grant_type") == "authorization_code":
        fault = consent.spend_code(call, desk, form)
        if fault:
            return _no(400, "invalid_grant", fault)
    elif form.get("grant_type") != "refresh_token":
        return _no(400, "unsupported_grant_type", "Grant type is not supported")
    elif not consent.spend_refresh_token(call, desk, form.get("refresh_token", "")):
        return _no(400, "invalid_grant", "Refresh token is invalid")
    token = f"pd-{desk.account.name}-{desk.new_id()}"
    desk.account.give_token(token, call.now_ms + desk.token_ttl_s * 1000)
    content = {
        "access_token": token,
        "token_type": "Bearer",
        "refresh_token": consent.next_refresh_token(desk, form),
        "scope": "base,contacts:full,deals:full,search:read,recents:read,admin",
        "expires_in": desk.token_ttl_s,
        "api_domain": call.base_url,
    }
    return Answer(200, content)


def authenticate(account: Account, call: Call) -> Answer | None:
    """None when the bearer token, or the API token, lets the call in, else Pipedrive's 401."""
    if call.headers.get("x-api-token") == f"sandbox-api-token-{account.name}":
        return None
    scheme, _, token = call.headers.get("authorization", "").partition(" ")
    expire_ms = account.token_expire_ms(token) if scheme.lower() == "bearer" else None
    if expire_ms is None or expire_ms <= call.now_ms:
        return problem(401, "unauthorized access")
    return None


def _client(call: Call) -> tuple[str, str]:
    scheme, _, named = call.headers.get("authorization", "").partition(" ")
    try:
        text = base64.b64decode(named, validate=True).decode() if scheme.lower() == "basic" else ""
    except (binascii.Error, UnicodeDecodeError):
        text = ""
    client_id, _, secret = text.partition(":")
    return client_id, secret


def _no(status: int, code: str, words: str) -> Answer:
    return Answer(status, {"success": False, "error": code, "message": words})


ROUTES = (
    route("POST", TOKEN_PATH, "token", _token),
    route("GET", AUTHORIZE_PATH, "authorize", consent.authorize),
)
