"""Owns HubSpot's OAuth: consent, codes and refresh tokens for access tokens, and who may call."""

from __future__ import annotations

from typing import TYPE_CHECKING

from headwater.sandbox import consent
from headwater.sandbox.call import Answer, Call, route
from headwater.sandbox.hubspot.errors import ItemError, problem

if TYPE_CHECKING:
    from collections.abc import Mapping

    from headwater.sandbox.accounts import Account
    from headwater.sandbox.desk import Desk

TOKEN_PATH = "/oauth/v1/token"  # noqa: S105 - a path
AUTHORIZE_PATH = "/oauth/authorize"
HUB_ID = 62515
USUAL_SCOPES = (
    "oauth",
    *(
        f"crm.{part}.{kind}.{right}"
        for part in ("objects", "schemas")
        for kind in ("contacts", "companies", "deals")
        for right in ("read", "write")
    ),
    "crm.objects.leads.read",
    "crm.objects.leads.write",
)
"""What the token of an application has that nobody was asked about."""
CLIENT_SECRET = "sandbox-secret"  # noqa: S105 - told to everyone in the brief of the sandbox


def _token(call: Call, desk: Desk, _params: Mapping[str, str]) -> Answer:
    form = consent.form_of(call)
    refused = _refused(call, desk, form)
    if refused is not None:
        return refused
    token = f"hs-{desk.account.name}-{desk.new_id()}"
    ttl_s = desk.token_ttl_s
    desk.account.give_token(token, call.now_ms + ttl_s * 1000)
    content = {
        "token_type": "bearer",
        "refresh_token": consent.next_refresh_token(desk, form),
        "access_token": token,
        "hub_id": HUB_ID,
        "scopes": consent.granted_scope(desk, form).split() or list(USUAL_SCOPES),
    }
    return Answer(200, {**content, "expires_in": ttl_s})


def _refused(call: Call, desk: Desk, form: Mapping[str, str]) -> Answer | None:
    def no(status: str, message: str) -> Answer:
        return Answer(400, {"status": status, "message": message, "correlationId": desk.new_id()})

    if form.get("grant_type") not in {"refresh_token", "authorization_code"}:
        return no("BAD_GRANT_TYPE", "missing or unknown grant type")
    if not form.get("client_id"):
        return no("BAD_CLIENT_ID", "missing or unknown client id")
    if form.get("client_secret") != CLIENT_SECRET:
        return no("BAD_CLIENT_SECRET", "missing or invalid client secret")
    if form["grant_type"] == "authorization_code":
        fault = consent.spend_code(call, desk, form)
        return no("BAD_AUTH_CODE", fault) if fault else None
    if not consent.spend_refresh_token(call, desk, form.get("refresh_token", "")):
        return no("BAD_REFRESH_TOKEN", "missing or invalid refresh token")
    return None


def authenticate(account: Account, call: Call) -> Answer | None:
    """None when the bearer token lets the call in, else HubSpot's 401."""
    scheme, _, token = call.headers.get("authorization", "").partition(" ")
    expire_ms = account.token_expire_ms(token) if scheme.lower() == "bearer" else None
    if expire_ms is None:
        absent = "Authentication credentials not found. This API supports OAuth 2.0 authentication."
        return problem(call.request_id, ItemError(401, "INVALID_AUTHENTICATION", absent))
    if expire_ms <= call.now_ms:
        ago_s = (call.now_ms - expire_ms) // 1000
        late = f"The OAuth token used to make this call expired {ago_s} second(s) ago."
        return problem(call.request_id, ItemError(401, "EXPIRED_AUTHENTICATION", late))
    return None


ROUTES = (
    route("POST", TOKEN_PATH, "token", _token),
    route("GET", AUTHORIZE_PATH, "authorize", consent.authorize),
)
