"""Keeps one connection's OAuth tokens in the vault: one process refreshes, and keeps what it got before anybody uses it.

A refresh is claimed in the connection's row (version and holder), the vendor is asked without a transaction, the new
tokens are kept under the claim. Whoever finds a claim waits for what it brings. A claim of a dead process lapses.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import Final

import anyio

from headwater.connectors.base.errors import CallFailed, ErrorClass, VendorError
from headwater.connectors.base.granting import Fetch, Grant
from headwater.connectors.base.oauth import EARLY_S, EARLY_SHARE_MAX, REFRESH_S_MAX
from headwater.kernel.errors import HeadwaterError, Unavailable
from headwater.kernel.secret import Secret
from headwater.sync.ports import StoreRaced
from headwater.sync.vault.ports import Kept
from headwater.sync.vault.vault import Vault

_log = logging.getLogger(__name__)

CLAIM_S: Final = REFRESH_S_MAX + 5.0
"""How long a claim of a dead process lasts: longer than any refresh."""
PAUSE_S: Final = 60.0
"""After a refused grant nobody asks again for so long, unless the secret is set anew."""
RETRY_S: Final = 1.0
"""The same after a failure that says nothing about the grant."""
WAIT_S_MAX: Final = 0.5
"""Longest pause between two looks at what another one's refresh has brought."""
KEEP_TRIES_MAX: Final = 5
KEEP_PAUSE_S: Final = 0.5
"""How often, and with what pauses, new tokens are tried to be kept while the database is away."""

ACCESS_TOKEN: Final = "access_token"  # noqa: S105 - the name of a field
REFRESH_TOKEN: Final = "refresh_token"  # noqa: S105 - the name of a field
INSTANCE_URL: Final = "instance_url"
SCOPES: Final = "granted_scopes"
OWN_FIELDS: Final = frozenset({ACCESS_TOKEN, INSTANCE_URL, SCOPES})
"""Fields that are the keeper's own, no part of the credentials."""


@dataclass(slots=True)
class _Unkept:
    """Tokens that the vendor gave and the database did not take yet."""

    kept: Kept
    life_s: float | None
    grant: Grant


class VaultGrants:
    """Port `GrantKeeper` for one connection of the vault, as one holder."""

    def __init__(
        self,
        vault: Vault,
        tenant_id: str,
        connection: str,
        holder: str,
        *,
        keep_pause_s: float = KEEP_PAUSE_S,
    ) -> None:
        self._keep_pause_s = keep_pause_s
        self._vault = vault
        self._tenant_id = tenant_id
        self._connection = connection
        self._holder = holder
        self._unkept: _Unkept | None = None

    async def renewed(self, refused_token: str, fetch: Fetch) -> Grant:
        """Return a kept token other than *refused_token*, or fetch and keep one."""
        try:
            return await self._renewed(refused_token, fetch)
        except HeadwaterError as error:
            where = ErrorClass.NETWORK if isinstance(error, Unavailable | StoreRaced) else ErrorClass.AUTH
            raise CallFailed(VendorError(where, error.reason, error.message[:512])) from error

    async def _renewed(self, refused_token: str, fetch: Fetch) -> Grant:
        if self._unkept is not None:
            return await self._keep(self._unkept)
        pause_s = 0.05
        while True:
            kept, fields = await self._vault.read(self._tenant_id, self._connection)
            stored = _stored(kept, {name: fields[name] for name in OWN_FIELDS & fields.keys()})
            if stored is not None and stored.access_token != refused_token:
                return stored
            if kept.pause_s > 0 and kept.state == "reauthorize":
                raise CallFailed(_reauthorize(kept.finding))
            if kept.pause_s <= 0 and await self._claim(kept):
                refresh_token = fields.get(REFRESH_TOKEN, Secret("")).reveal()
                return await self._fetched(kept, refresh_token, fetch)
            await anyio.sleep(pause_s)
            pause_s = min(WAIT_S_MAX, pause_s * 2)

    async def _claim(self, kept: Kept) -> bool:
        return await self._vault.safe.claim_refresh(
            self._tenant_id, self._connection, kept.version, self._holder, CLAIM_S
        )

    async def _fetched(self, kept: Kept, refresh_token: str, fetch: Fetch) -> Grant:
        try:
            grant = await fetch(refresh_token)
        except CallFailed as failed:
            await self._give_back(kept, failed)
            raise
        tokens = {ACCESS_TOKEN: Secret(grant.access_token), INSTANCE_URL: Secret(grant.base_url)}
        if grant.scopes is not None:
            tokens[SCOPES] = Secret(" ".join(grant.scopes))
        if grant.refresh_token:
            tokens[REFRESH_TOKEN] = Secret(grant.refresh_token)
        sealed = await self._vault.sealed_beside(kept, tokens)
        self._unkept = _Unkept(sealed, grant.expires_in_s, grant)
        return await self._keep(self._unkept)

    async def _keep(self, unkept: _Unkept) -> Grant:
        """Keep the tokens, then give them out; what could not be kept is tried again before any other refresh.

        Raises: Unavailable when the database stays away.
        """
        for number in range(KEEP_TRIES_MAX):
            try:
                kept = await self._vault.safe.settle_refresh(unkept.kept, self._holder, unkept.life_s)
                break
            except (Unavailable, StoreRaced):
                if number == KEEP_TRIES_MAX - 1:
                    raise
                await anyio.sleep(self._keep_pause_s)
        self._unkept = None
        if not kept:
            _log.warning("connection %s/%s was set anew during a refresh", self._tenant_id, self._connection)
            raise CallFailed(_SET_ANEW)
        return unkept.grant

    async def _give_back(self, kept: Kept, failed: CallFailed) -> None:
        """Let others go on; a refused grant is told to the operators once."""
        refused = failed.error.error_class is ErrorClass.AUTH
        finding = f"{failed.error.code}: {failed.error.message}" if refused else ""
        if refused and kept.state == "ready":
            _log.error(
                "connection %s/%s must be authorised again (`headwater connect`): %s",
                self._tenant_id, self._connection, finding,
            )  # fmt: skip
        try:
            await self._vault.safe.fail_refresh(kept, self._holder, finding, PAUSE_S if refused else RETRY_S)
        except (Unavailable, StoreRaced) as error:
            _log.warning("a refresh is left to lapse: %s", error)


def _stored(kept: Kept, own: dict[str, Secret]) -> Grant | None:
    """Return the kept token unless it ends soon; its remaining life stands for the whole."""
    token = own.get(ACCESS_TOKEN)
    if token is None or (kept.left_s is not None and kept.left_s <= EARLY_S * EARLY_SHARE_MAX):
        return None
    return Grant(
        access_token=token.reveal(),
        expires_in_s=kept.left_s,
        base_url=own.get(INSTANCE_URL, Secret("")).reveal(),
        scopes=tuple(own[SCOPES].reveal().split()) if SCOPES in own else None,
    )


def _reauthorize(finding: str) -> VendorError:
    message = f"the connection must be authorised again: {finding}"[:512]
    return VendorError(ErrorClass.AUTH, "REAUTHORIZE", message, http_status=401)


_SET_ANEW: Final = VendorError(
    ErrorClass.NETWORK, "SECRET_SET_ANEW", "the connection's secret was set anew during a refresh"
)
