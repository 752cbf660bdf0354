"""Receiving what other systems call us with: signed webhooks and CloudEvents, recorded as every event is.

HeadwaterError
└── SignatureRefused   the call is not what a holder of the tenant's secret sent; names the rule only
"""

from __future__ import annotations

import logging
import secrets as chance
import uuid
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Final

import anyio
import msgspec

from headwater.connectors.base.webhooks import (
    Delivery,
    MakeScheme,
    Noticing,
    Rejected,
    Scheme,
    SchemeSettings,
    Verified,
)
from headwater.ingest.domain.cloud_event import CloudEvent, read_cloud_events
from headwater.ingest.domain.envelope import check_tenant
from headwater.ingest.domain.event import Arrival, Disposition, Outcome
from headwater.ingest.domain.flush import PAYLOAD_CONFLICT
from headwater.ingest.domain.minting import microseconds
from headwater.ingest.domain.webhook import Read, decoded, read_message, read_notices
from headwater.ingest.ports import EventReader, Secrets
from headwater.ingest.usecases.policies import PolicyBook
from headwater.ingest.usecases.recording import Recorder
from headwater.kernel.clock import Clock
from headwater.kernel.errors import HeadwaterError, InvalidInput, NotFound, Unavailable
from headwater.kernel.telemetry import TraceContext
from headwater.policy.pointing import records_read
from headwater.policy.systems import Webhook

_log = logging.getLogger(__name__)

_SCHEMES_KEPT: Final = 256
"""Schemes kept made: one per distinct setting in the policies."""

_NOT_SET_UP: Final = "this webhook cannot be verified at the moment; send it again later"

_NOWHERE: Final = Webhook(secrets=("env:NONE",), object="contact", external_id="id")


class SignatureRefused(HeadwaterError):
    """The call cannot be trusted; *rule* names what of it is wrong, nothing more."""

    default_reason = "SIGNATURE_REFUSED"

    def __init__(self, rule: str) -> None:
        super().__init__(f"the call is not signed as it should be: {rule}", metadata={"rule": rule})
        self.rule = rule


class Receiver:
    """Turns other systems' calls into events and records them."""

    def __init__(
        self,
        recorder: Recorder,
        policies: PolicyBook,
        reader: EventReader,
        secrets: Secrets,
        clock: Clock,
        schemes: Callable[[str], MakeScheme],
    ) -> None:
        self._recorder = recorder
        self._policies = policies
        self._reader = reader
        self._secrets = secrets
        self._clock = clock

        @lru_cache(_SCHEMES_KEPT)
        def make(name: str, window_s: float, options: tuple[tuple[str, str], ...]) -> Scheme:
            return schemes(name)(SchemeSettings(window_s, dict(options)))

        self._make = make
        self._decoy = f"whsec_{chance.token_urlsafe(24).replace('-', 'A').replace('_', 'B')}"

    async def receive_webhook(
        self, tenant_id: str, source: str, delivery: Delivery, *, call: TraceContext | None, wait_s: float
    ) -> Sequence[Outcome]:
        """Verify a webhook, record its events and return one outcome each; none when it holds none.

        Raises:
            NotFound: no such tenant, source or webhook; found as slowly as a wrong signature is.
            SignatureRefused: it cannot be trusted.
            InvalidInput: verified, and not readable as the policy says.
            Overloaded, Unavailable: as `Recorder.record`; sending again is safe.

        Cancellation: the events may be recorded or not; sending again is safe.
        """
        webhook = await self._find(tenant_id, source)
        if webhook is None:
            self._verify(_NOWHERE, [self._decoy], delivery)
            raise NotFound("no such webhook", reason="UNKNOWN_WEBHOOK")
        try:
            verdict = self._verify(webhook, await self._secrets_of(tenant_id, source, webhook), delivery)
        except InvalidInput as error:
            fields = {"tenant": tenant_id, "source": source, "fault": error.message}
            _log.error("webhook cannot be verified as the policy says", extra=fields)
            raise Unavailable(_NOT_SET_UP, reason="WEBHOOK_NOT_SET_UP") from None
        if isinstance(verdict, Rejected):
            fields = {"tenant": tenant_id, "source": source, "rule": verdict.rule}
            _log.warning("webhook refused", extra=fields)
            raise SignatureRefused(verdict.rule)
        received_us = microseconds(self._clock.now())
        if webhook.notices:
            read = await self._read_notices(tenant_id, source, webhook, delivery.raw_body)
        else:
            read = read_message(webhook, source, delivery.raw_body, verdict.message_id, received_us)
        return await self._record(tenant_id, read, call, wait_s)

    async def receive_cloud_events(
        self, tenant_id: str, events: Sequence[CloudEvent], *, call: TraceContext | None, wait_s: float
    ) -> Sequence[Outcome]:
        """Record CloudEvents and return one outcome each; raises and cancels as `Recorder.record`."""
        policy = None if check_tenant(tenant_id) else await self._policies.find(tenant_id)
        read = read_cloud_events(policy, events, microseconds(self._clock.now()))
        return await self._record(tenant_id, read, call, wait_s)

    async def _find(self, tenant_id: str, source: str) -> Webhook | None:
        if check_tenant(tenant_id):
            return None
        policy = await self._policies.find(tenant_id)
        system = policy.systems.get(source) if policy else None
        return system.webhook if system else None

    async def _read_notices(self, tenant_id: str, source: str, webhook: Webhook, body: bytes) -> Read:
        policy, scheme = await self._policies.find(tenant_id), self._scheme(webhook)
        if policy is None or not isinstance(scheme, Noticing):
            fields = {"tenant": tenant_id, "source": source, "scheme": webhook.scheme}
            _log.error("the webhook's scheme knows no notices", extra=fields)
            raise Unavailable(_NOT_SET_UP, reason="WEBHOOK_NOT_SET_UP")
        return read_notices(scheme.notices(decoded(body)), source, records_read(policy, source))

    def _scheme(self, webhook: Webhook) -> Scheme:
        options = tuple(sorted(webhook.options.items()))
        return self._make(webhook.scheme, webhook.replay_window_s, options)

    def _verify(self, webhook: Webhook, secrets: Sequence[str], delivery: Delivery) -> Verified | Rejected:
        return self._scheme(webhook).verify(delivery, secrets, self._clock.now().timestamp())

    async def _secrets_of(self, tenant_id: str, source: str, webhook: Webhook) -> list[str]:
        found = [
            (reference, await self._secrets.read(tenant_id, source, reference))
            for reference in webhook.secrets
        ]
        missing = [reference for reference, secret in found if not secret]
        if missing:
            fields = {"tenant": tenant_id, "source": source, "missing": ", ".join(missing)}
            _log.error("webhook secrets are not set", extra=fields)
        known = [secret for _, secret in found if secret]
        if not known:
            raise Unavailable(_NOT_SET_UP, reason="WEBHOOK_NOT_SET_UP")
        return known

    async def _record(
        self, tenant_id: str, read: Read, call: TraceContext | None, wait_s: float
    ) -> Sequence[Outcome]:
        if not read.arrivals:
            return ()
        outcomes = await self._recorder.record(tenant_id, read.arrivals, call=call, wait_s=wait_s)
        doubted = [number for number in sorted(read.undated) if outcomes[number].reason == PAYLOAD_CONFLICT]
        if not doubted:
            return outcomes
        settled = list(outcomes)
        retimed = await self._retimed(tenant_id, read, settled, doubted, wait_s)
        again = await self._recorder.record(tenant_id, retimed, call=call, wait_s=wait_s)
        for number, outcome in zip(doubted, again, strict=True):
            settled[number] = outcome
        return settled

    async def _retimed(
        self, tenant_id: str, read: Read, outcomes: Sequence[Outcome], doubted: Sequence[int], wait_s: float
    ) -> list[Arrival]:
        """Return conflicting events with the time of their first receipt.

        A sender that tries again sends the same message at another time; only if the rest differs too has it
        used one id for two contents.
        """
        retimed: list[Arrival] = []
        try:
            with anyio.fail_after(wait_s):
                for number in doubted:
                    key = uuid.UUID(bytes=outcomes[number].event_key)
                    recorded = await self._reader.get_event(tenant_id, key)
                    time_us = (
                        recorded.event.event_time_us if recorded else read.arrivals[number].event_time_us
                    )
                    retimed.append(msgspec.structs.replace(read.arrivals[number], event_time_us=time_us))
        except TimeoutError as error:
            raise Unavailable("not known in time whether this was sent before", reason="LOG_SLOW") from error
        return retimed


def refused_all(outcomes: Sequence[Outcome]) -> bool:
    """Tell whether nothing of a message was recorded, now or before."""
    return bool(outcomes) and all(item.disposition is Disposition.REFUSED for item in outcomes)
