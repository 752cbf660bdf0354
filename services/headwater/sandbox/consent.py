"""Owns what vendors' authorization servers have in common: consent, codes bound by PKCE, refresh tokens. No vendor's words.

A person agrees with one click: the page's link is the same address with `consent=yes`, which redirects with a code.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import html
import json
from typing import TYPE_CHECKING
from urllib.parse import parse_qs, urlencode, urlsplit

from headwater.sandbox.call import HTML_TYPE, Answer

if TYPE_CHECKING:
    from collections.abc import Mapping

    from headwater.sandbox.call import Call
    from headwater.sandbox.desk import Desk

CODE_TTL_S = 60
_LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})
_FOUND = 302
_BAD_REQUEST = 400


def authorize(call: Call, desk: Desk, _params: Mapping[str, str]) -> Answer:
    """Show the page, or, where the person has agreed (or refused), send the browser back."""
    redirect_uri = call.param("redirect_uri")
    if not call.param("client_id") or not _may_redirect(redirect_uri):
        return _page(
            _BAD_REQUEST, "This application is not known here: client_id or redirect_uri is missing."
        )
    if call.param("response_type") != "code":
        return _back(call, {"error": "unsupported_response_type"})
    if call.param("code_challenge") and call.param("code_challenge_method") != "S256":
        return _back(call, {"error": "invalid_request", "error_description": "only S256 is supported"})
    chosen = call.param("consent")
    if chosen == "yes":
        return _back(call, {"code": _new_code(call, desk)})
    if chosen == "no":
        return _back(call, {"error": "access_denied", "error_description": "the user denied access"})
    return _page(200, _question(call))


def spend_code(call: Call, desk: Desk, form: Mapping[str, str]) -> str:
    """Take a code in; return "" when it is good, else what is wrong with it. A code is good once."""
    database, key = desk.account.database, desk.account.key
    row = database.one("find_oauth_grant", form.get("code", ""), key, "code")
    if row is None or row[2] or row[1] <= call.now_ms:
        return "the authorization code is unknown, used or expired"
    database.run("use_oauth_grant", form["code"], key, "code")
    asked = json.loads(row[0])
    if (asked["client_id"], asked["redirect_uri"]) != (form.get("client_id"), form.get("redirect_uri")):
        return "client_id or redirect_uri is not the one that the code was given for"
    if asked["challenge"] and not hmac.compare_digest(
        asked["challenge"], s256(form.get("code_verifier", ""))
    ):
        return "the code verifier does not fit the code challenge"
    return ""


def spend_refresh_token(call: Call, desk: Desk, token: str) -> bool:
    """Tell whether a refresh token is good; where the account rotates them, it is not any more."""
    database, key = desk.account.database, desk.account.key
    row = database.one("find_oauth_grant", token, key, "refresh")
    known = token == f"sandbox-refresh-{call.account}" or row is not None
    if not known or (row is not None and row[2]):
        return False
    if desk.account.options.rotate_refresh_tokens:
        database.run("use_oauth_grant", token, key, "refresh")
    return True


def granted_scope(desk: Desk, form: Mapping[str, str]) -> str:
    """Return what a person agreed to, of the code or the refresh token in *form*; "" where nobody was asked."""
    for name, kind in (("code", "code"), ("refresh_token", "refresh")):
        row = desk.account.database.one("find_oauth_grant", form.get(name, ""), desk.account.key, kind)
        if row is not None:
            return str(json.loads(row[0]).get("scope", ""))
    return ""


def next_refresh_token(desk: Desk, form: Mapping[str, str]) -> str:
    """Return the refresh token that goes with an access token; "" for none."""
    used = form.get("refresh_token", "")
    if used and not desk.account.options.rotate_refresh_tokens:
        return used
    if form.get("grant_type") not in {"authorization_code", "refresh_token"}:
        return ""
    token = f"refresh-{desk.new_id()}"
    detail = json.dumps({"scope": granted_scope(desk, form)})
    desk.account.database.run("insert_oauth_grant", token, desk.account.key, "refresh", detail, 0)
    return token


def form_of(call: Call) -> dict[str, str]:
    """Return the fields of a form."""
    return {name: values[0] for name, values in parse_qs(call.body.decode("utf-8", "replace")).items()}


def s256(verifier: str) -> str:
    """Return the challenge of a verifier. Source: RFC 7636, 4.2."""
    digest = hashlib.sha256(verifier.encode("ascii", "replace")).digest()
    return base64.urlsafe_b64encode(digest).rstrip(b"=").decode()


def _new_code(call: Call, desk: Desk) -> str:
    code = f"code-{desk.new_id()}"
    asked = {
        "client_id": call.param("client_id"),
        "redirect_uri": call.param("redirect_uri"),
        "challenge": call.param("code_challenge"),
        "scope": call.param("scope"),
    }
    account, ends_ms = desk.account, call.now_ms + CODE_TTL_S * 1000
    account.database.run("insert_oauth_grant", code, account.key, "code", json.dumps(asked), ends_ms)
    return code


def _may_redirect(redirect_uri: str) -> bool:
    parts = urlsplit(redirect_uri)
    return parts.scheme == "https" or (parts.scheme == "http" and parts.hostname in _LOOPBACK)


def _back(call: Call, told: Mapping[str, str]) -> Answer:
    state = call.param("state")
    fields = {**told, **({"state": state} if state else {})}
    uri = call.param("redirect_uri")
    joint = "&" if urlsplit(uri).query else "?"
    return Answer(_FOUND, "", {"Location": f"{uri}{joint}{urlencode(fields)}"})


def _question(call: Call) -> str:
    asked = [(name, value) for name, value in call.query if name != "consent"]
    agree = html.escape("?" + urlencode([*asked, ("consent", "yes")]))
    refuse = html.escape("?" + urlencode([*asked, ("consent", "no")]))
    who, scopes = html.escape(call.param("client_id")), html.escape(call.param("scope"))
    return (
        f"<b>{who}</b> wants to use account <b>{html.escape(call.account)}</b> ({html.escape(call.vendor)}): "
        f'{scopes or "everything"}.</p><p><a href="{agree}">Allow</a> &nbsp; <a href="{refuse}">Deny</a>'
    )


def _page(status: int, text: str) -> Answer:
    page = f"<!doctype html><title>Sandbox: connect</title><h1>Connect an application</h1><p>{text}</p>\n"
    return Answer(status, page, content_type=HTML_TYPE)
