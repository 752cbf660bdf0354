"""Salesforce's OAuth: where a person agrees, and its token endpoint: a token without a stated life, and the instance to call with it."""

from __future__ import annotations

from typing import Final
from urllib.parse import urlsplit

from headwater.connectors.base.errors import CallFailed, ErrorClass, VendorError
from headwater.connectors.base.flows import OAuthPlan, grant_form, required_credentials
from headwater.connectors.base.granting import Fetch, Grant
from headwater.connectors.base.http import Answer, HttpCaller, Request
from headwater.connectors.base.oauth import read_grant
from headwater.connectors.base.port import Account
from headwater.connectors.base.scopes import scopes_in
from headwater.kernel.clock import SystemClock

TOKEN_PATH: Final = "/services/oauth2/token"  # noqa: S105 - a path
OAUTH: Final = OAuthPlan(
    base_url="https://login.salesforce.com",
    authorize_base_url="https://login.salesforce.com",
    authorize_path="/services/oauth2/authorize",
    token_path=TOKEN_PATH,
    scopes=("api", "refresh_token"),
    grants=("refresh_token", "client_credentials", "jwt_bearer"),
    within={"full": ("api", "web"), "offline_access": ("refresh_token",)},
    harmless=("id", "openid", "profile", "email", "address", "phone"),
)
"""Source: Salesforce, OAuth Authorization Flows; a signed assertion is for the host it is sent to."""
OWN_DOMAINS: Final = (".salesforce.com", ".force.com")
"""Where an instance may live besides the account's own origin: a token is sent nowhere else."""


def refresher(account: Account, http: HttpCaller) -> Fetch:
    """Return what fetches a grant for *account*.

    Raises:
        InvalidInput: the credentials lack a part.
    """
    credentials = required_credentials(account, OAUTH.grants)

    async def fetch(refresh_token: str) -> Grant:
        form = grant_form(credentials, refresh_token, OAUTH.audience or account.base_url, SystemClock().now())
        answer = await http.send(Request("POST", TOKEN_PATH, TOKEN_PATH, "auth", form=form))
        return grant_of(answer, account.base_url)

    return fetch


def grant_of(answer: Answer, base_url: str) -> Grant:
    """Return the grant of the token endpoint's answer.

    Raises: CallFailed, AUTH when the answer names an instance that is not to be trusted with the token.
    """
    body = read_grant(answer)
    instance_url = str(body.get("instance_url") or "").rstrip("/")
    if instance_url and not trusted_instance(instance_url, base_url):
        message = "the token answer names an instance outside the account's origin and Salesforce's domains"
        raise CallFailed(VendorError(ErrorClass.AUTH, "INSTANCE_NOT_TRUSTED", message, answer.status))
    return Grant(
        access_token=str(body["access_token"]),
        refresh_token=str(body.get("refresh_token") or ""),
        scopes=scopes_in(body),
        base_url=instance_url,
    )


def trusted_instance(instance_url: str, base_url: str) -> bool:
    """Tell whether tokens may be sent to *instance_url*."""
    instance, base = urlsplit(instance_url), urlsplit(base_url)
    if (instance.scheme, instance.netloc) == (base.scheme, base.netloc):
        return True
    plain = instance.username is None and instance.scheme == "https"
    return plain and (instance.hostname or "").endswith(OWN_DOMAINS)
