"""The port between the delivery actor and a vendor: values in, values out.

The actor hands a connector a `CallGate`; the connector must pass every HTTP call through it, token
refreshes included, so that limits and quota hold exactly and every call has its span.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from typing import Any, Protocol

from headwater.connectors.base.capabilities import Capabilities
from headwater.connectors.base.doubt import InDoubtProtocol, WriteKind
from headwater.connectors.base.errors import VendorError
from headwater.connectors.base.granting import GrantKeeper
from headwater.kernel.ids import ObjectName


@dataclass(frozen=True, slots=True)
class Account:
    """One connector account as the policy describes it.

    Args:
        name: the account's name in the policy.
        base_url: root of the vendor's API for this account, without a trailing slash.
        credentials: the secret's JSON object; never logged.
        timeout_s: bound of one HTTP call, from request to whole answer.
        networks: private networks that a URL of the account's may lead to, as `127.0.0.0/8`; for connectors that
            call where a tenant says.
        grants: keeps the account's tokens beyond this process; None where only the credentials are kept.
    """

    name: str
    base_url: str
    credentials: Mapping[str, str] = field(repr=False)
    timeout_s: float = 15.0
    networks: tuple[str, ...] = ()
    grants: GrantKeeper | None = field(default=None, repr=False, compare=False)


@dataclass(frozen=True, slots=True)
class Target:
    """Where a canonical object goes in this CRM.

    Args:
        object_name: canonical object.
        crm_object: the CRM's name, as `contacts` or `Contact`.
        external_id_field: CRM field, unique, that holds the entity id.
        fields: every CRM field that may be written, the external id not among them.
        references: the CRM's names of references that may be written.
    """

    object_name: ObjectName
    crm_object: str
    external_id_field: str
    fields: tuple[str, ...] = ()
    references: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Reference:
    """A link to another record of the same CRM.

    Args:
        name: the CRM's name of the reference: a field (`AccountId`) or an object to associate with (`companies`).
        crm_ids: the CRM ids of the records referred to, one or more; a single-valued field takes the first.
    """

    name: str
    crm_ids: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Write:
    """One record to bring about.

    Args:
        external_id: the entity id, value of the target's external id field.
        crm_id: the CRM's own id where it is known; then the record is updated by it.
        fields: the smallest change, CRM field to value (text, number, boolean, None to clear).
        references: links to bring about; idempotent.
        version: the entity's version that it brings about; a repeat of this very write has the same, 0 for unknown.
    """

    external_id: str
    crm_id: str
    fields: Mapping[str, Any]
    references: tuple[Reference, ...] = ()
    version: int = field(default=0, compare=False)


@dataclass(frozen=True, slots=True)
class Written:
    """The CRM holds the write now."""

    crm_id: str
    created: bool


@dataclass(frozen=True, slots=True)
class Failed:
    """The CRM does not hold the write, or nobody knows (IN_DOUBT)."""

    error: VendorError


Outcome = Written | Failed


@dataclass(frozen=True, slots=True)
class Found:
    """A record as the CRM holds it."""

    external_id: str
    crm_id: str
    fields: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class LimitFacts:
    """What a vendor's answer said about its limits; None where it said nothing."""

    window_remaining: int | None = None
    window_s: float | None = None
    daily_used: int | None = None
    daily_limit: int | None = None
    retry_after_s: float | None = None
    window_limit: int | None = None


@dataclass(frozen=True, slots=True)
class Report:
    """What `test-connection` found.

    Args:
        ok: True when deliveries can work.
        findings: one sentence each, what is right and what is wrong.
    """

    ok: bool
    findings: tuple[str, ...]

    @classmethod
    def of(cls, gaps: Sequence[str], ready: str) -> Report:
        """Return what was found wrong or, when that is nothing, the sentence that all is *ready*."""
        return cls(ok=not gaps, findings=tuple(gaps) or (ready,))


class CallGate(Protocol):
    """Permission to call: limiter, quota and span, one call at a time."""

    def call(
        self, method: str, url_template: str, *, endpoint_class: str, resend_count: int = 0
    ) -> AbstractAsyncContextManager[CallTicket]:
        """Wait for permission, count the call, and span it until the block is left.

        Args:
            method: HTTP method.
            url_template: path with placeholders, low in cardinality: the span's name.
            endpoint_class: `write`, `read`, `search` or `auth`: limits may differ by it.
            resend_count: how often this very request was sent before.
        """
        ...


class CallTicket(Protocol):
    """One permitted call."""

    headers: Mapping[str, str]
    """Headers to send: `traceparent` and `tracestate` of the call's span."""

    def answered(self, status: int, facts: LimitFacts) -> None:
        """Tell what came back; may be left out when nothing did."""
        ...


class Connector(Protocol):
    """One account of one vendor; used by one actor, one call after another or side by side."""

    async def prepare(self, targets: Sequence[Target]) -> Report:
        """Make sure that objects, fields and unique external id fields are there; idempotent.

        Creates missing custom fields where the vendor's API can, else says what is missing.
        Raises: CallFailed.
        """
        ...

    async def upsert(self, target: Target, writes: Sequence[Write]) -> Sequence[Outcome]:
        """Bring about *writes* (1..batch_records_max), all of one target.

        Returns one outcome per write in the order of *writes*, matched by id, never by position
        unless the vendor promises it. Single refusals are `Failed` values.
        Raises: CallFailed when a whole call failed; what an earlier call of the same batch
        settled must then not be reported as failed for certain: use IN_DOUBT.
        Cancellation: the call may have been applied; the caller treats the batch as in doubt.
        """
        ...

    async def look_up(self, target: Target, external_ids: Sequence[str]) -> Mapping[str, Found]:
        """Return the records that hold these external ids; absent ones are left out.

        `Found.fields` has at least `target.fields`, in the types that `upsert` takes.
        Raises: CallFailed.
        """
        ...

    async def owners(self, target: Target, crm_ids: Sequence[str]) -> Mapping[str, str]:
        """Return CRM id to external id of these records, empty where a record has none; absent ones are left out.

        Asked before a record that is already there is adopted: one that carries another entity's
        external id must not be.
        Raises: CallFailed.
        """
        ...

    async def test_connection(self) -> Report:
        """Explain whether the account can be used, and what to do when it cannot; never raises CallFailed."""
        ...

    async def aclose(self) -> None:
        """Close connections; bounded, safe to call twice."""
        ...


class Vendor(Protocol):
    """A vendor: what it can do and how to open an account."""

    name: str
    capabilities: Capabilities
    """What the connector can do; what it was proven against stands in its package's `evidence.json`."""
    fails_by_endpoint: bool
    """Whether one class of endpoints is known to fail while the others work: then each has its own breaker,
    unless the policy says otherwise."""
    in_doubt: InDoubtProtocol
    """What the vendor promises about a write sent twice, for every kind that `write_kind` returns."""

    def write_kind(self, target: Target, write: Write) -> WriteKind:
        """Return how the vendor would tell which record *write* means; pure."""
        ...

    def open(self, account: Account, gate: CallGate) -> Connector:
        """Return a connector for *account*; no I/O yet.

        Raises:
            InvalidInput: the credentials lack a part, named in the message.
        """
        ...
