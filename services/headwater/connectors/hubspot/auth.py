"""HubSpot's OAuth: where a person agrees, and an access token of half an hour for a refresh token that stays."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from headwater.connectors.base.flows import OAuthPlan, grant_form, required_credentials
from headwater.connectors.base.granting import Fetch, Grant
from headwater.connectors.base.http import Answer, HttpCaller, Request
from headwater.connectors.base.oauth import read_grant
from headwater.connectors.base.port import Account
from headwater.connectors.base.scopes import scopes_in
from headwater.kernel.clock import SystemClock

TOKEN_PATH: Final = "/oauth/v1/token"  # noqa: S105 - a path
_KINDS: Final = {
    "contacts": "contacts", "0-1": "contacts",
    "companies": "companies", "0-2": "companies",
    "deals": "deals", "0-3": "deals",
    "leads": "leads", "0-136": "leads",
    **dict.fromkeys(("emails", "calls", "meetings", "notes", "tasks", "communications"), "contacts"),
}  # fmt: skip
"""Object to the kind that its scopes name: engagements go by contacts; what is not here is a custom object."""
_WITHOUT_SCHEMA: Final = frozenset(
    {"leads", "emails", "calls", "meetings", "notes", "tasks", "communications"}
)
"""Objects whose properties need no scope of their own."""


def _needs(crm_object: str, reads: bool, writes: bool) -> Iterator[str]:  # noqa: FBT001 - as of OAuthPlan
    """Yield the scopes of one object: what is written is looked up, too, and may lack the property of the entity id."""
    kind = _KINDS.get(crm_object, "custom")
    plain = crm_object.lower() not in _WITHOUT_SCHEMA and kind != "leads"
    if reads or writes:
        yield f"crm.objects.{kind}.read"
        if plain:
            yield f"crm.schemas.{kind}.read"
    if writes:
        yield f"crm.objects.{kind}.write"
        if plain:
            yield f"crm.schemas.{kind}.write"
    if reads and crm_object == "emails":
        yield "sales-email-read"


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
    needs=_needs,
    always=("oauth",),
)
"""Source: HubSpot, Working with OAuth; Scopes."""


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
        scopes=scopes_in(body),
    )
