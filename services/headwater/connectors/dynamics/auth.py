"""Dataverse's OAuth: the application acts for itself, at Microsoft Entra's token endpoint of its tenant."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final
from urllib.parse import quote, urlsplit

from headwater.connectors.base.flows import grant_form, required_credentials
from headwater.connectors.base.granting import Fetch, Grant
from headwater.connectors.base.http import Answer, HttpCaller, Request
from headwater.connectors.base.oauth import read_grant
from headwater.connectors.base.port import Account
from headwater.kernel.clock import SystemClock
from headwater.kernel.errors import InvalidInput

LOGIN_URL: Final = "https://login.microsoftonline.com"
"""Where tokens are given, unless the credentials' `login_url` names a national cloud."""
_LOOPBACK: Final = frozenset({"localhost", "127.0.0.1", "::1"})


def refresher(account: Account, http: HttpCaller) -> Fetch:
    """Return what fetches a grant for *account*.

    Raises:
        InvalidInput: the credentials lack a part, or `login_url` is not https.
    """
    credentials = _complete(account)
    login_url = credentials.get("login_url", LOGIN_URL).rstrip("/")
    _check_secure(account.name, login_url)

    async def fetch(refresh_token: str) -> Grant:
        form = grant_form(credentials, refresh_token, account.base_url, SystemClock().now())
        request = token_request(form, credentials["tenant_id"], account.base_url)
        return grant_of(await http.send(request, base_url=login_url))

    return fetch


def token_request(form: Mapping[str, str], tenant_id: str, base_url: str) -> Request:
    """Return the call to the token endpoint; what is asked for is the environment itself."""
    path = f"/{quote(tenant_id, safe='')}/oauth2/v2.0/token"
    scope = f"{base_url.rstrip('/')}/.default"
    return Request("POST", path, "/{tenant}/oauth2/v2.0/token", "auth", form={**form, "scope": scope})


def grant_of(answer: Answer) -> Grant:
    """Return the grant of the token endpoint's answer.

    Raises: CallFailed.
    """
    body = read_grant(answer)
    life_s = body.get("expires_in")
    return Grant(
        access_token=str(body["access_token"]),
        expires_in_s=float(life_s) if isinstance(life_s, int | float) else None,
    )


def _complete(account: Account) -> Mapping[str, str]:
    credentials = {"grant_type": "client_credentials", **account.credentials}
    given = Account(account.name, account.base_url, credentials)
    required_credentials(given, ("client_credentials",))
    if not credentials.get("tenant_id"):
        raise InvalidInput(
            f"credentials of connector {account.name!r} lack tenant_id", reason="CREDENTIALS_INCOMPLETE"
        )
    return credentials


def _check_secure(name: str, login_url: str) -> None:
    parts = urlsplit(login_url)
    if parts.scheme != "https" and parts.hostname not in _LOOPBACK:
        raise InvalidInput(
            f"credentials of connector {name!r}: login_url must be https", reason="INSECURE_TRANSPORT"
        )
