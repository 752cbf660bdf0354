"""The simulated vendor's connector: the port `Connector` over a CRM of the simulation.

Tells failures apart as the real connectors do: what certainly was not applied, and what nobody knows.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import anyio
from tests.simulation.crm import Crm, CrmAnswer, CrmWrite, Kind, Request, RowAnswer

from headwater.connectors.base import (
    Account,
    CallFailed,
    CallGate,
    ErrorClass,
    Failed,
    Found,
    LimitFacts,
    Outcome,
    Report,
    Target,
    VendorError,
    Write,
    Written,
)

VENDOR: Final = "simulated"
_ENDPOINTS: Final[Mapping[Kind, str]] = {
    "prepare": "read",
    "write": "write",
    "read": "search",
    "owners": "read",
}
_BY_STATUS: Final[Mapping[int, ErrorClass]] = {
    400: ErrorClass.VALIDATION,
    401: ErrorClass.AUTH,
    404: ErrorClass.NOT_FOUND,
    409: ErrorClass.CONFLICT,
    429: ErrorClass.RATE_LIMIT,
    503: ErrorClass.SERVER,
}


class Mangled(Exception):
    """A row that our own code cannot handle: a bug, as the actor sees it."""


@dataclass(frozen=True, slots=True)
class CallSeen:
    """A call as its sender saw it, for the checker.

    Args:
        failure: empty after an answer that says success.
    """

    account: str
    sender: str
    kind: Kind
    send_time: float
    end_time: float
    failure: str
    retry_after_s: float | None


CallsSeen = Callable[[CallSeen], None]


class SimulatedConnector:
    """One account of the simulated vendor, as one process uses it."""

    def __init__(self, account: Account, gate: CallGate, crm: Crm, sender: str, seen: CallsSeen) -> None:
        self._account = account
        self._gate = gate
        self._crm = crm
        self._sender = sender
        self._seen = seen

    async def _exchange(
        self, kind: Kind, crm_object: str = "", writes: tuple[CrmWrite, ...] = (), ids: tuple[str, ...] = ()
    ) -> CrmAnswer:
        endpoint = _ENDPOINTS[kind]
        async with self._gate.call("POST", f"/{kind}", endpoint_class=endpoint) as ticket:
            send_time = anyio.current_time()
            failure, answer = "cancelled", None
            try:
                answer = await self._answer(kind, Request(kind, self._sender, crm_object, writes, ids))
                failure = (
                    "" if answer.status < 400 else _BY_STATUS.get(answer.status, ErrorClass.IN_DOUBT).value
                )
                ticket.answered(
                    answer.status,
                    LimitFacts(daily_used=answer.daily_used, retry_after_s=answer.retry_after_s),
                )
            except CallFailed as error:
                failure = error.error.error_class.value
                raise
            finally:
                retry_after_s = answer.retry_after_s if answer is not None else None
                now = anyio.current_time()
                self._seen(
                    CallSeen(self._crm.name, self._sender, kind, send_time, now, failure, retry_after_s)
                )
        if answer.status >= 400:
            raise CallFailed(_error_of(answer, kind))
        return answer

    async def _answer(self, kind: Kind, request: Request) -> CrmAnswer:
        try:
            with anyio.fail_after(self._account.timeout_s):
                return await self._crm.send(request)
        except ConnectionRefusedError as error:
            raise CallFailed(VendorError(ErrorClass.NETWORK, "REFUSED", "nobody listens")) from error
        except TimeoutError as error:
            lost = ErrorClass.IN_DOUBT if kind == "write" else ErrorClass.NETWORK
            raise CallFailed(VendorError(lost, "TIMEOUT", "no answer came")) from error

    async def prepare(self, targets: Sequence[Target]) -> Report:
        """Ask whether the CRM is there."""
        del targets
        await self._exchange("prepare")
        return Report(ok=True, findings=())

    async def upsert(self, target: Target, writes: Sequence[Write]) -> Sequence[Outcome]:
        """Write all in one call."""
        tripping = [item for item in writes if "mangled" in item.fields.values()]
        if any(not _trips_late(item) for item in tripping):
            raise Mangled("a value that the connector's code trips over")
        rows = tuple(
            CrmWrite(
                item.external_id,
                item.crm_id,
                dict(item.fields),
                tuple((reference.name, reference.crm_ids) for reference in item.references),
            )
            for item in writes
        )
        answer = await self._exchange("write", target.crm_object, rows)
        if tripping:
            raise Mangled("an answer that the connector's code trips over")
        return [_outcome(row) for row in answer.rows]

    async def look_up(self, target: Target, external_ids: Sequence[str]) -> Mapping[str, Found]:
        """Find records by external id."""
        answer = await self._exchange("read", target.crm_object, ids=tuple(external_ids))
        return {
            record.external_id: Found(
                record.external_id,
                record.crm_id,
                {name: record.fields.get(name) for name in target.fields},
            )
            for record in answer.found
        }

    async def owners(self, target: Target, crm_ids: Sequence[str]) -> Mapping[str, str]:
        """Return whose records these are."""
        answer = await self._exchange("owners", target.crm_object, ids=tuple(crm_ids))
        return {record.crm_id: record.external_id for record in answer.found}

    async def test_connection(self) -> Report:
        """Say that all is well."""
        return Report(ok=True, findings=())

    async def aclose(self) -> None:
        """Nothing is open."""


@dataclass(frozen=True, slots=True)
class SimulatedVendor:
    """Opens accounts of the simulated vendor for one process."""

    crms: Mapping[str, Crm]
    sender: str
    seen: CallsSeen
    name: str = VENDOR
    batch_records_max: int = 100
    evidence: str = "own sandbox only"

    def open(self, account: Account, gate: CallGate) -> SimulatedConnector:
        """Return a connector; the account's base URL names the CRM."""
        crm = self.crms[account.base_url.removeprefix("http://")]
        return SimulatedConnector(account, gate, crm, self.sender, self.seen)


def _trips_late(write: Write) -> bool:
    """Whether it is the answer about it that cannot be read: then it is written."""
    return write.external_id[-1] in "0123456789ab"


def _outcome(row: RowAnswer) -> Outcome:
    if row.status < 400:
        return Written(row.crm_id, created=row.status == 201)
    error_class = _BY_STATUS[row.status]
    return Failed(
        VendorError(
            error_class,
            error_class.name,
            "the row is refused",
            row.status,
            existing_crm_id=row.existing_crm_id,
        )
    )


def _error_of(answer: CrmAnswer, kind: Kind) -> VendorError:
    status = answer.status
    if status == 502:
        error_class = ErrorClass.IN_DOUBT if kind == "write" else ErrorClass.SERVER
    else:
        error_class = _BY_STATUS[status]
    return VendorError(
        error_class, error_class.name, "the call is refused", status, retry_after_s=answer.retry_after_s
    )
