"""Access tokens by refresh token: one refresh at a time, before expiry where it is known, once on refusal.

Owns the tokens in memory, rotated refresh tokens among them; a keeper, where the account has one, keeps them beyond
the process. Must not know a vendor's token endpoint.
One source serves all slots of an account, so their refusals share a refresh. Every refresh is a call of class
`auth` through the account's gate. A token that is refused although it was just refreshed is AUTH at once, and
no refresh follows for a while: an account whose tokens are good for nothing costs one refresh a minute.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

import anyio

from headwater.connectors.base.errors import CallFailed, ErrorClass, VendorError
from headwater.connectors.base.granting import Fetch, Grant, GrantKeeper
from headwater.connectors.base.http import Answer, HttpCaller, Request, failure_of_status, readable
from headwater.connectors.base.port import Account

EARLY_S: Final = 60.0
"""How long before its expiry a token is replaced; above any call's timeout."""
EARLY_SHARE_MAX: Final = 0.5
"""Of a short-lived token's life, the largest part given up to replacing it early."""
REFRESH_S_MAX: Final = 60.0
"""Bound of one refresh, its wait at the gate included; it is not cancelled, so that a rotated token is kept."""

CONDEMNED_S: Final = 60.0
"""How long a new token that was refused is not replaced by another: refreshing did not help."""


class TokenSource:
    """The account's present token; any number of callers share one refresh."""

    def __init__(
        self,
        fetch: Fetch,
        refresh_token: str,
        *,
        keeper: GrantKeeper | None = None,
        loop_time: Callable[[], float] = anyio.current_time,
    ) -> None:
        self._fetch = fetch
        self._keeper = keeper
        self._refresh_token = refresh_token
        self._loop_time = loop_time
        self._lock = anyio.Lock()
        self._grant: Grant | None = None
        self._stale_at_s = 0.0
        self._refreshes = 0
        self._failure: CallFailed | None = None
        self._condemned = ""
        self._condemned_until_s = 0.0

    async def current(self) -> Grant:
        """Return a token that is not about to expire, fetching one when there is none.

        Raises: CallFailed.
        """
        fresh = self._fresh()
        return fresh if fresh is not None else await self._refreshed()

    async def renew(self, refused_token: str) -> Grant:
        """Return another token than *refused_token*; callers refused together share one refresh.

        Raises: CallFailed; AUTH without a refresh when the token was condemned a short while ago.
        """
        if refused_token == self._condemned and self._loop_time() < self._condemned_until_s:
            raise CallFailed(_CONDEMNED)
        fresh = self._fresh()
        if fresh is not None and fresh.access_token != refused_token:
            return fresh
        return await self._refreshed()

    def condemn(self, token: str) -> None:
        """Note that *token* was refused right after the refresh that a refusal had led to."""
        if token != self._condemned:
            self._condemned = token
            self._condemned_until_s = self._loop_time() + CONDEMNED_S

    def _fresh(self) -> Grant | None:
        return self._grant if self._grant is not None and self._loop_time() < self._stale_at_s else None

    async def _refreshed(self) -> Grant:
        seen = self._refreshes
        async with self._lock:
            if self._refreshes == seen:
                await self._refresh()
            if self._failure is not None or self._grant is None:
                raise CallFailed(self._failure.error if self._failure else _NEVER_FETCHED) from self._failure
            return self._grant

    async def _refresh(self) -> None:
        self._failure = None
        try:
            with anyio.fail_after(REFRESH_S_MAX, shield=True):
                self._keep(await self._new_grant())
        except CallFailed as failed:
            self._failure = failed
        except TimeoutError:
            self._failure = CallFailed(_NEVER_FETCHED)
        finally:
            self._refreshes += 1

    async def _new_grant(self) -> Grant:
        if self._keeper is None:
            return await self._fetch(self._refresh_token)
        return await self._keeper.renewed(self._grant.access_token if self._grant else "", self._fetch)

    def _keep(self, grant: Grant) -> None:
        self._grant = grant
        self._refresh_token = grant.refresh_token or self._refresh_token
        life_s = grant.expires_in_s
        early_s = 0.0 if life_s is None else min(EARLY_S, life_s * EARLY_SHARE_MAX)
        self._stale_at_s = float("inf") if life_s is None else self._loop_time() + life_s - early_s


_UNAUTHORIZED: Final = 401
_NEVER_FETCHED: Final = VendorError(
    ErrorClass.TIMEOUT, "TOKEN_TIMEOUT", f"no token could be fetched within {REFRESH_S_MAX:g} s"
)
_CONDEMNED: Final = VendorError(
    ErrorClass.AUTH,
    "TOKEN_REFUSED_FRESH",
    "a token is refused although it was just refreshed; connect the account again",
    http_status=401,
)


def token_source(account: Account, fetch: Fetch) -> TokenSource:
    """Return the tokens of *account*, kept where its credentials are kept."""
    return TokenSource(fetch, account.credentials.get("refresh_token", ""), keeper=account.grants)


def is_unauthorized(answer: Answer) -> bool:
    """Say whether an answer refuses the token, as most vendors do."""
    return answer.status == _UNAUTHORIZED


class AuthorizedHttp:
    """Sends requests with the account's token; a refused token is renewed once.

    Args:
        refused: says whether an answer refuses the token.
    """

    def __init__(
        self, http: HttpCaller, tokens: TokenSource, refused: Callable[[Answer], bool] = is_unauthorized
    ) -> None:
        self._http = http
        self._tokens = tokens
        self._refused = refused

    async def send(self, request: Request) -> Answer:
        """Send *request*, once more with a new token when the first is refused.

        Raises: CallFailed when no token or no whole answer came, AUTH when refreshing did not help just before.
        Cancellation: the request may have been applied.
        """
        grant = await self._tokens.current()
        answer = await self._http.send(request, token=grant.access_token, base_url=grant.base_url)
        if not self._refused(answer):
            return answer
        grant = await self._tokens.renew(grant.access_token)
        answer = await self._http.send(
            request, token=grant.access_token, base_url=grant.base_url, resend_count=1
        )
        if self._refused(answer):
            self._tokens.condemn(grant.access_token)
        return answer

    async def granted_scopes(self) -> tuple[str, ...] | None:
        """Return what the present token was granted; None where the vendor did not tell. Raises: CallFailed."""
        return (await self._tokens.current()).scopes

    async def aclose(self) -> None:
        """Close connections."""
        await self._http.aclose()


def read_grant(answer: Answer) -> Mapping[str, Any]:
    """Return the token endpoint's JSON object.

    Raises: CallFailed, AUTH when the grant itself is refused (invalid_grant and its like).
    """
    body = answer.json()
    if answer.status == 200 and isinstance(body, dict) and body.get("access_token"):  # noqa: PLR2004 - RFC 6749, 5.1
        return body
    raise CallFailed(_refusal(answer, body if isinstance(body, dict) else {}))


def _refusal(answer: Answer, body: Mapping[str, Any]) -> VendorError:
    plain = failure_of_status(answer, writes=False)
    if answer.status not in {200, 400, 401, 403}:
        return plain
    code = str(body.get("error") or body.get("status") or plain.code)
    words = str(body.get("error_description") or body.get("message") or plain.message)
    return VendorError(
        error_class=ErrorClass.AUTH,
        code=code,
        message=readable(f"the refresh token was refused: {words}"),
        http_status=answer.status,
    )
