"""Owns the token endpoint of Microsoft Entra: an application's own secret for access tokens, and who may call."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from headwater.sandbox import consent
from headwater.sandbox.call import Answer, Call, route
from headwater.sandbox.dynamics.errors import problem

if TYPE_CHECKING:
    from collections.abc import Mapping

    from headwater.sandbox.accounts import Account
    from headwater.sandbox.desk import Desk

TENANT: Final = "sandbox"
TOKEN_PATH: Final = f"/{TENANT}/oauth2/v2.0/token"
CLIENT_SECRET: Final = "sandbox-secret"  # noqa: S105 - told to everyone in the brief of the sandbox


def _token(call: Call, desk: Desk, _params: Mapping[str, str]) -> Answer:
    form = consent.form_of(call)
    if form.get("grant_type") != "client_credentials":
        return _no(400, "unsupported_grant_type", "AADSTS70003: The grant type is not supported.")
    if form.get("client_secret") != CLIENT_SECRET or not form.get("client_id"):
        return _no(401, "invalid_client", "AADSTS7000215: Invalid client secret provided.")
    if not form.get("scope", "").endswith("/.default"):
        return _no(400, "invalid_scope", "AADSTS1002012: The provided value for scope is not valid.")
    token = f"dv-{desk.account.name}-{desk.new_id()}"
    desk.account.give_token(token, call.now_ms + desk.token_ttl_s * 1000)
    return Answer(200, {"token_type": "Bearer", "expires_in": desk.token_ttl_s, "access_token": token})


def authenticate(account: Account, call: Call) -> Answer | None:
    """None when the bearer token lets the call in, else Dataverse's 401."""
    scheme, _, token = call.headers.get("authorization", "").partition(" ")
    expire_ms = account.token_expire_ms(token) if scheme.lower() == "bearer" else None
    if expire_ms is None or expire_ms <= call.now_ms:
        return problem(401, "0x80072561", "The access token is missing, unknown or expired.")
    return None


def _no(status: int, code: str, words: str) -> Answer:
    return Answer(status, {"error": code, "error_description": words})


ROUTES = (route("POST", TOKEN_PATH, "token", _token),)
