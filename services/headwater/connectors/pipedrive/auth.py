"""Pipedrive's OAuth: an hour's token for a refresh token, and the company's own address; or an API token that stays."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final
from urllib.parse import urlencode, urlsplit

from headwater.connectors.base.errors import CallFailed, ErrorClass, VendorError
from headwater.connectors.base.flows import OAuthPlan, by_header, grant_form, required_credentials
from headwater.connectors.base.granting import Fetch, Grant
from headwater.connectors.base.http import Answer, Content, HttpCaller, Request
from headwater.connectors.base.oauth import read_grant
from headwater.connectors.base.port import Account
from headwater.connectors.base.scopes import scopes_in
from headwater.kernel.clock import SystemClock

TOKEN_PATH: Final = "/oauth/token"  # noqa: S105 - a path
API_TOKEN: Final = "api_token"  # noqa: S105 - the name of a part of credentials
API_TOKEN_HEADER: Final = "x-api-token"  # noqa: S105 - a header's name
_KINDS: Final = {
    "persons": "contacts",
    "organizations": "contacts",
    "deals": "deals",
    "leads": "leads",
    "activities": "activities",
}


def _needs(crm_object: str, reads: bool, writes: bool) -> Iterator[str]:  # noqa: FBT001 - as of OAuthPlan
    """Yield the scopes of one object: changes are read of recents, and writing may make the field of the entity id."""
    kind = _KINDS.get(crm_object)
    if kind is not None and (reads or writes):
        yield f"{kind}:{'full' if writes else 'read'}"
    if reads:
        yield "recents:read"
    if writes:
        yield "admin"


OAUTH: Final = OAuthPlan(
    base_url="https://oauth.pipedrive.com",
    authorize_base_url="https://oauth.pipedrive.com",
    authorize_path="/oauth/authorize",
    token_path=TOKEN_PATH,
    scopes=("base", "contacts:full", "deals:full", "recents:read", "search:read", "admin"),
    client_in_header=True,
    needs=_needs,
    always=("base", "search:read"),
    within={f"{kind}:full": (f"{kind}:read",) for kind in ("contacts", "deals", "leads", "activities")},
)
"""Source: Pipedrive, OAuth authorization; `admin` makes custom fields."""
OWN_DOMAIN: Final = ".pipedrive.com"
"""Where a company's API may live besides the account's own origin: a token is sent nowhere else."""


def refresher(account: Account, http: HttpCaller) -> Fetch:
    """Return what fetches a grant for *account*.

    Raises:
        InvalidInput: the credentials lack a part.
    """
    credentials = required_credentials(account, OAUTH.grants)

    async def fetch(refresh_token: str) -> Grant:
        form = grant_form(credentials, refresh_token, account.base_url, SystemClock().now())
        return grant_of(await http.send(token_request(form)), account.base_url)

    return fetch


def token_request(form: Mapping[str, str]) -> Request:
    """Return the call to the token endpoint: the client names itself in the header, not in the form."""
    sent, named = by_header(form)
    headers = {"Content-Type": "application/x-www-form-urlencoded", **named}
    content = Content(make=lambda _token: urlencode(sent).encode(), headers=headers)
    return Request("POST", TOKEN_PATH, TOKEN_PATH, "auth", content=content)


def grant_of(answer: Answer, base_url: str) -> Grant:
    """Return the grant of the token endpoint's answer.

    Raises: CallFailed, AUTH when the answer names a company's address that is not to be trusted with the token.
    """
    body = read_grant(answer)
    api_domain = str(body.get("api_domain") or "").rstrip("/")
    if api_domain and not trusted_domain(api_domain, base_url):
        message = "the token answer names an address outside the account's origin and Pipedrive's domain"
        raise CallFailed(VendorError(ErrorClass.AUTH, "DOMAIN_NOT_TRUSTED", message, answer.status))
    life_s = body.get("expires_in")
    return Grant(
        access_token=str(body["access_token"]),
        expires_in_s=float(life_s) if isinstance(life_s, int | float) else None,
        refresh_token=str(body.get("refresh_token") or ""),
        scopes=scopes_in(body),
        base_url=api_domain,
    )


def trusted_domain(api_domain: str, base_url: str) -> bool:
    """Tell whether tokens may be sent to *api_domain*."""
    domain, base = urlsplit(api_domain), urlsplit(base_url)
    if (domain.scheme, domain.netloc) == (base.scheme, base.netloc):
        return True
    plain = domain.username is None and domain.scheme == "https"
    return plain and (domain.hostname or "").endswith(OWN_DOMAIN)
