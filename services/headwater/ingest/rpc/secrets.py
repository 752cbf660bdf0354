"""Webhook secrets of both places: the environment's, and the vault's, which sync opens. Never logged, never on disk.

A secret of the vault is kept for a while, so that a webhook does not wait for sync; one that is changed there counts
once that is over, the old one as long. While sync is away what was known goes on counting, for longer.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Final

import anyio
import grpc

from headwater.ingest.secrets import EnvironmentSecrets
from headwater.kernel.errors import Unavailable
from headwater.sync.v1 import connections_pb2, connections_pb2_grpc

VAULT: Final = "vault:"
FRESH_S: Final = 60.0
"""How long a secret of the vault is used without asking again."""
KEPT_S: Final = 3600.0
"""How long one is used while sync does not answer."""
AWAY_S: Final = 5.0
"""Pause before sync is asked again that did not answer, or had not all of them."""
ASKED_MAX: Final = 10_000
"""Sources whose secrets are kept."""
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Known:
    """Secrets of a source: when they were asked for, and until when nobody asks again."""

    at_s: float
    until_s: float
    secrets: Mapping[str, str] = field(repr=False)


class WebhookSecrets:
    """Port `Secrets`.

    Args:
        channel: to the sync service; None when there is none.
        timeout_s: longest wait for its answer.
    """

    def __init__(
        self, environment: EnvironmentSecrets, channel: grpc.aio.Channel | None, *, timeout_s: float
    ) -> None:
        self._environment = environment
        self._stub = connections_pb2_grpc.ConnectionServiceStub(channel) if channel is not None else None
        self._timeout_s = timeout_s
        self._known: dict[tuple[str, str], _Known] = {}

    async def read(self, tenant_id: str, source: str, reference: str) -> str | None:
        """Return a secret; see the port."""
        if not reference.startswith(VAULT):
            return await self._environment.read(tenant_id, source, reference)
        return (await self._opened(tenant_id, source)).get(reference) or None

    async def _opened(self, tenant_id: str, source: str) -> Mapping[str, str]:
        place = (tenant_id, source)
        kept = self._known.get(place)
        if kept is not None and anyio.current_time() < kept.until_s:
            return kept.secrets
        try:
            secrets = await self._ask(tenant_id, source)
        except Unavailable:
            now_s = anyio.current_time()
            if kept is None or now_s - kept.at_s > KEPT_S:
                raise
            _log.warning("webhook secrets of %s/%s are those of before: sync does not answer", *place)
            self._known[place] = replace(kept, until_s=now_s + AWAY_S)
            return kept.secrets
        if len(self._known) >= ASKED_MAX:
            self._known.pop(next(iter(self._known)))
        now_s = anyio.current_time()
        fresh_s = FRESH_S if all(secrets.values()) else AWAY_S  # one that is missing may be set any moment
        self._known[place] = _Known(now_s, now_s + fresh_s, secrets)
        return secrets

    async def _ask(self, tenant_id: str, source: str) -> Mapping[str, str]:
        if self._stub is None:
            raise Unavailable("no sync service is named that opens the vault", reason="WEBHOOK_NOT_SET_UP")
        request = connections_pb2.OpenWebhookSecretsRequest(tenant_id=tenant_id, source=source)
        try:
            answer = await self._stub.OpenWebhookSecrets(request, timeout=self._timeout_s)
        except grpc.aio.AioRpcError as error:  # not found, too: sync has not read the policy yet
            message = "the webhook's secrets cannot be had from the vault now; send again"
            raise Unavailable(message, reason="WEBHOOK_SECRETS_AWAY") from error
        return {one.reference: one.secret for one in answer.secrets}
