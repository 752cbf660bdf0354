"""HubSpot's token endpoint: an access token of half an hour for a refresh token that stays."""

from __future__ import annotations

from headwater.connectors.base.http import Answer, HttpCaller, Request
from headwater.connectors.base.oauth import Fetch, Grant, read_grant, refresh_form, required_credentials
from headwater.connectors.base.port import Account

TOKEN_PATH = "/oauth/v1/token"  # noqa: S105 - a path


def refresher(account: Account, http: HttpCaller) -> Fetch:
    """Return what fetches a grant for *account*.

    Raises:
        InvalidInput: the credentials lack a part.
    """
    credentials = required_credentials(account)

    async def fetch(refresh_token: str) -> Grant:
        form = refresh_form(credentials, refresh_token)
        return grant_of(await http.send(Request("POST", TOKEN_PATH, TOKEN_PATH, "auth", form=form)))

    return fetch


def grant_of(answer: Answer) -> Grant:
    """Return the grant of the token endpoint's answer.

    Raises: CallFailed.
    """
    body = read_grant(answer)
    life_s = body.get("expires_in")
    return Grant(
        access_token=str(body["access_token"]),
        expires_in_s=float(life_s) if isinstance(life_s, int | float) else None,
        refresh_token=str(body.get("refresh_token") or ""),
    )
