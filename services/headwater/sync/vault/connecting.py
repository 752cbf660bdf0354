"""Connects an account: a person agrees in a browser (authorization code with PKCE), or the application signs in by itself.

The grant is kept in the vault before anything is said to have worked. Owns the order of the steps; the words of
OAuth are the kit's (`connectors.base.flows`), the endpoints the vendor's.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import anyio
import httpx

from headwater.connectors.base import CallFailed, load_vendor
from headwater.connectors.base.flows import (
    Asked,
    AuthorizationFailed,
    Authorizing,
    GrantKind,
    OAuthPlan,
    authorization_url,
    by_header,
    code_form,
    code_of,
    grant_form,
    new_verifier,
    required_credentials,
)
from headwater.connectors.base.http import Answer
from headwater.connectors.base.oauth import read_grant
from headwater.connectors.base.port import Account
from headwater.connectors.base.scopes import scopes_in
from headwater.kernel.clock import Clock
from headwater.kernel.errors import InvalidInput
from headwater.kernel.secret import Secret
from headwater.sync.vault.redirect import listening
from headwater.sync.vault.vault import Vault

STATE_BYTES: Final = 32
EXCHANGE_S_MAX: Final = 30.0
"""Bound of one call to the token endpoint."""
ANSWER_BYTES_MAX: Final = 1_048_576

Tell = Callable[[Mapping[str, Any]], None]
"""Told what a person must do: `{"visit": url, "redirect_uri": …}`."""


@dataclass(frozen=True, slots=True)
class Wish:
    """What is to be connected.

    Args:
        vendor: an installed vendor.
        connection: name in the vault.
        credentials: client_id and client_secret; for jwt_bearer username and private_key.
        base_url: root of the account's API; "" for the vendor's usual one.
        scopes: instead of the vendor's usual ones.
        port: of the redirect listener; it must be among the application's redirect URLs at the vendor.
        wait_s: how long a person may take.
    """

    vendor: str
    connection: str
    credentials: Mapping[str, str] = field(repr=False)
    grant: GrantKind = "refresh_token"
    base_url: str = ""
    scopes: tuple[str, ...] = ()
    port: int = 0
    wait_s: float = 300.0


@dataclass(frozen=True, slots=True)
class Connected:
    """What came of it."""

    connection: str
    version: int
    base_url: str
    scopes: str


async def connect(
    vault: Vault, clock: Clock, tenant_id: str, wish: Wish, actor: str, tell: Tell
) -> Connected:
    """Get a grant and keep it.

    Raises:
        InvalidInput: the vendor knows no such grant, or credentials lack a part.
        AuthorizationFailed: refused, not answered in time, or the answer is not to our question.
        CallFailed: the token endpoint refused, or could not be reached.
        PreconditionFailed, KeyRingFault, Unavailable: the vault cannot keep it.
    """
    plan = plan_of(wish.vendor)
    base_url = (wish.base_url or plan.base_url).rstrip("/")
    await vault.active_key()  # nobody is asked for what could not be kept
    own = {**wish.credentials, **({} if wish.grant == "refresh_token" else {"grant_type": wish.grant})}
    if wish.grant == "refresh_token":
        body = await _agreed(plan, base_url, wish, tell)
        if not body.get("refresh_token"):
            raise AuthorizationFailed(
                "the vendor gave no refresh token: a scope for offline access is missing"
            )
        own["refresh_token"] = str(body["refresh_token"])
    else:
        required_credentials(Account(wish.connection, base_url, own), plan.grants)
        form = grant_form(own, "", plan.audience or base_url, clock.now())
        body = await _exchanged(plan, base_url, form)
    kept = {name: Secret(value) for name, value in own.items() if value}
    version = await vault.put(tenant_id, wish.connection, kept, actor)
    return Connected(wish.connection, version, base_url, " ".join(scopes_in(body) or ()))


def plan_of(vendor: str) -> OAuthPlan:
    """Return how a vendor authorises.

    Raises: InvalidInput when it is not installed or knows no OAuth.
    """
    loaded = load_vendor(vendor)
    if not isinstance(loaded, Authorizing):
        raise InvalidInput(
            f"vendor {vendor!r} is not connected by OAuth; store its secret with `headwater vault set`",
            reason="NO_OAUTH",
        )
    return loaded.oauth


async def _agreed(plan: OAuthPlan, base_url: str, wish: Wish, tell: Tell) -> Mapping[str, Any]:
    """Let a person agree, and turn the code into tokens."""
    client_id = wish.credentials.get("client_id", "")
    if not client_id:
        raise InvalidInput("client_id is missing", reason="CREDENTIALS_INCOMPLETE")
    async with listening(wish.port) as redirect:
        state = secrets.token_urlsafe(STATE_BYTES)
        asked = Asked(client_id, redirect.uri, state, new_verifier(client_id))
        url = authorization_url(plan, base_url, asked, wish.scopes or plan.scopes)
        tell({"visit": url, "redirect_uri": redirect.uri, "wait_s": wish.wait_s})
        try:
            with anyio.fail_after(wish.wait_s):
                came = await redirect.wait(state)
        except TimeoutError as error:
            message = f"nobody came back from the vendor within {wish.wait_s:g} s"
            raise AuthorizationFailed(message, reason="AUTHORIZATION_TIMEOUT") from error
    code = code_of(came, asked)
    return await _exchanged(plan, base_url, code_form(wish.credentials, asked, code))


async def _exchanged(plan: OAuthPlan, base_url: str, form: Mapping[str, str]) -> Mapping[str, Any]:
    """Ask the token endpoint once: a code is good for one try.

    Raises: CallFailed, AuthorizationFailed when no whole answer came.
    """
    url = base_url + plan.token_path
    sent, named = by_header(form) if plan.client_in_header else (dict(form), {})
    try:
        async with httpx.AsyncClient(timeout=EXCHANGE_S_MAX, follow_redirects=False) as client:
            with anyio.fail_after(EXCHANGE_S_MAX):
                response = await client.post(url, data=sent, headers={"Accept": "application/json", **named})
    except (httpx.HTTPError, TimeoutError) as error:
        what = f"{type(error).__name__}: {error}"
        raise AuthorizationFailed(f"the token endpoint {url} gave no answer: {what}") from error
    body = response.content[:ANSWER_BYTES_MAX]
    for secret in form.values():
        body = body.replace(secret.encode(), b"***") if response.is_error and len(secret) > 7 else body  # noqa: PLR2004 - no word
    return read_grant(Answer(response.status_code, {}, body))


def failure_words(failed: CallFailed) -> str:
    """Return what a vendor's refusal says to a person."""
    return f"{failed.error.code}: {failed.error.message}"
