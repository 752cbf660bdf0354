"""HubSpot's OAuth: where a person agrees, and an access token of half an hour for a refresh token that stays."""

from __future__ import annotations

from typing import Final

from headwater.connectors.base.flows import OAuthPlan, grant_form, required_credentials
from headwater.connectors.base.granting import Fetch, Grant
from headwater.connectors.base.http import Answer, HttpCaller, Request
from headwater.connectors.base.oauth import read_grant
from headwater.connectors.base.port import Account
from headwater.kernel.clock import SystemClock

TOKEN_PATH: Final = "/oauth/v1/token"  # noqa: S105 - a path
OAUTH: Final = OAuthPlan(
    base_url="https://api.hubapi.com",
    authorize_base_url="https://app.hubspot.com",
    authorize_path="/oauth/authorize",
    token_path=TOKEN_PATH,
    scopes=(
        "oauth",
        *(
            f"crm.{part}.{kind}.{right}"
            for part in ("objects", "schemas")
            for kind in ("contacts", "companies", "deals")
            for right in ("read", "write")
        ),
    ),
)
"""Source: HubSpot, Working with OAuth."""


def refresher(account: Account, http: HttpCaller) -> Fetch:
    """Return what fetches a grant for *account*.

    Raises:
        InvalidInput: the credentials lack a part.
    """
    credentials = required_credentials(account)

    async def fetch(refresh_token: str) -> Grant:
        form = grant_form(credentials, refresh_token, account.base_url, SystemClock().now())
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
