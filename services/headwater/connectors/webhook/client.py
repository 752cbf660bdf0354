"""The webhook sink: sends each change of a batch by itself, in order. Messages and verdicts are `wire`'s business."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final
from urllib.parse import urlsplit

import httpx

from headwater.connectors.base.batch import Refused, check_batch, settle
from headwater.connectors.base.capabilities import Capabilities
from headwater.connectors.base.doubt import InDoubtProtocol, Promise, WriteKind
from headwater.connectors.base.errors import CallFailed, ErrorClass, VendorError
from headwater.connectors.base.http import (
    Answer,
    Content,
    HttpCaller,
    Request,
    read_retry_after,
    tls_settings,
)
from headwater.connectors.base.port import (
    Account,
    CallGate,
    Failed,
    Found,
    Outcome,
    Report,
    Target,
    Vendor,
    Write,
    Written,
)
from headwater.connectors.base.reports import explain
from headwater.connectors.base.transport import CheckedTransport
from headwater.connectors.webhook import wire
from headwater.kernel.clock import Clock, SystemClock
from headwater.kernel.errors import InvalidInput
from headwater.kernel.net import AddressRefused, check_url, reach_of

BATCH_RECORDS_MAX: Final = 10
"""Messages of one batch, sent one after the other: a batch is settled as a whole, so it must not last."""
ANSWER_BYTES_MAX: Final = 64 * 1024
"""Of an answer; nothing in it is used but the words of a refusal."""
GONE_S: Final = 3600.0
"""How long nothing is sent to an endpoint that said 410: the standard asks to stop."""

CAPABILITIES: Final = Capabilities(
    objects=("*",),
    batch_records_max=BATCH_RECORDS_MAX,
    look_up=False,
    references=True,
    ordered_answers=True,
    limits=("retry_after",),
)
IN_DOUBT: Final[InDoubtProtocol] = {
    WriteKind.UPSERT: Promise(
        repeat_safe=True,
        reason="a repeat carries the same webhook-id, by which receivers tell what they have (Standard Webhooks)",
    ),
}
_GONE: Final = VendorError(
    ErrorClass.AUTH,
    "ENDPOINT_GONE",
    "the receiver said that it wants no more messages; name another URL or disable the connector",
    410,
)


class WebhookVendor:
    """The webhook sink as the registry finds it."""

    name = "webhook"
    capabilities = CAPABILITIES
    fails_by_endpoint = False
    in_doubt = IN_DOUBT

    def write_kind(self, target: Target, write: Write) -> WriteKind:  # noqa: ARG002 - all messages alike
        """Return the kind of *write*: keyed by the message's id."""
        return WriteKind.UPSERT

    def open(
        self,
        account: Account,
        gate: CallGate,
        *,
        transport: httpx.AsyncBaseTransport | None = None,
        clock: Clock | None = None,
    ) -> WebhookConnector:
        """Return a connector; no I/O yet.

        Raises:
            InvalidInput: the URL may not be called, or a secret is missing or malformed.
        """
        plain = urlsplit(account.base_url).scheme == "http"
        reach = reach_of(account.networks, plain=plain)
        check_url(account.base_url, reach)
        secrets = wire.secrets_of(account.credentials)
        if not secrets or any(len(secret) < wire.SECRET_BYTES_MIN for secret in secrets):
            message = f"credentials of {account.name!r}: secret must be whsec_ and base64 of 24 bytes or more"
            raise InvalidInput(message, reason="WEBHOOK_SECRET")
        way = transport or CheckedTransport(tls_settings(trust_env=False), reach)
        caller = HttpCaller(account, gate, read_retry_after, transport=way, answer_bytes_max=ANSWER_BYTES_MAX)
        return WebhookConnector(account.name, caller, secrets, clock or SystemClock())


class WebhookConnector:
    """One receiver."""

    def __init__(self, account: str, http: HttpCaller, secrets: Sequence[bytes], clock: Clock) -> None:
        self._account = account
        self._http = http
        self._secrets = tuple(secrets)
        self._clock = clock
        self._gone_until_s = 0.0

    async def prepare(self, targets: Sequence[Target]) -> Report:  # noqa: ARG002 - a receiver takes any object
        """Promise nothing: a receiver has no schema to look at."""
        return Report(ok=True, findings=("webhook: messages of every object can be sent",))

    async def upsert(self, target: Target, writes: Sequence[Write]) -> Sequence[Outcome]:
        """Send one message per write, in order."""
        check_batch(writes, BATCH_RECORDS_MAX)
        by_id = {write.external_id: write for write in writes}

        async def send(keys: Sequence[str]) -> Mapping[str, Outcome] | Refused:
            return {keys[0]: await self._send(wire.message_body(target, by_id[keys[0]]), keys[0])}

        outcomes = await settle([[key] for key in by_id], send)
        return [outcomes[write.external_id] for write in writes]

    async def look_up(self, target: Target, external_ids: Sequence[str]) -> Mapping[str, Found]:  # noqa: ARG002
        """Return nothing: a receiver cannot be asked, so whatever is in doubt is sent again under its id."""
        return {}

    async def owners(self, target: Target, crm_ids: Sequence[str]) -> Mapping[str, str]:  # noqa: ARG002
        """Return every id as its own: messages are keyed by the external id."""
        return {crm_id: crm_id for crm_id in crm_ids}

    async def test_connection(self) -> Report:
        """Send a signed message of type `headwater.test`, and say what to do when it is not taken."""
        try:
            outcome = await self._send(wire.test_body(self._account), "")
        except CallFailed as failed:
            return Report(ok=False, findings=(explain("webhook", failed.error),))
        if isinstance(outcome, Failed):
            return Report(ok=False, findings=(explain("webhook", outcome.error),))
        return Report(ok=True, findings=("webhook: the receiver took a signed test message",))

    async def aclose(self) -> None:
        """Close connections."""
        await self._http.aclose()

    async def _send(self, body: bytes, external_id: str) -> Outcome:
        if len(body) > wire.PAYLOAD_BYTES_MAX:
            words = f"the message has {len(body)} bytes, at most {wire.PAYLOAD_BYTES_MAX} are sent"
            return Failed(VendorError(ErrorClass.VALIDATION, "MESSAGE_TOO_LARGE", words))
        now_s = self._clock.now().timestamp()
        if now_s < self._gone_until_s:
            raise CallFailed(_GONE)
        answer = await self._exchange(body, int(now_s))
        error = wire.refusal_of(answer)
        if error is None:
            return Written(external_id, created=False)
        if error.error_class is ErrorClass.VALIDATION:
            return Failed(error)
        if error.code == _GONE.code:
            self._gone_until_s = now_s + GONE_S
        raise CallFailed(error)

    async def _exchange(self, body: bytes, now_s: int) -> Answer:
        identifier = wire.message_id(self._account, body)
        headers = wire.signed_headers(identifier, now_s, body, self._secrets)
        request = Request("POST", "", "/", "write", content=Content(lambda _token: body, headers))
        try:
            return await self._http.send(request)
        except AddressRefused as error:
            raise CallFailed(VendorError(ErrorClass.AUTH, error.reason, error.message)) from error


VENDOR: Final[Vendor] = WebhookVendor()
