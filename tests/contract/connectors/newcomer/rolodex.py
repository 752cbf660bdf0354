"""Rolodex: one record per PUT, an API key in a header of its own, changes by sequence number."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from typing import Any, Final
from urllib.parse import quote

import httpx

from headwater.connectors import base
from headwater.connectors.base import http as calls
from headwater.connectors.base.batch import Refused, check_batch, settle
from headwater.connectors.base.http import Answer, HttpCaller, Request, required_json
from headwater.connectors.base.reports import explain

BATCH_RECORDS_MAX = 5
OK, CREATED, GONE, INVALID = 200, 201, 404, 422
KEYED = base.Promise(repeat_safe=True, reason="PUT to a reference of ours replaces the same record")
IN_DOUBT: Final[base.InDoubtProtocol] = {base.WriteKind.UPSERT: KEYED, base.WriteKind.UPDATE: KEYED}


class RolodexVendor:
    """Rolodex as the registry finds it."""

    name = "rolodex"
    capabilities = base.Capabilities(
        objects=("cards",),
        batch_records_max=BATCH_RECORDS_MAX,
        delete=True,
        polling=True,
        limits=("retry_after",),
    )
    fails_by_endpoint = False
    in_doubt = IN_DOUBT

    def write_kind(self, target: base.Target, write: base.Write) -> base.WriteKind:  # noqa: ARG002
        """Return how Rolodex tells which card is meant."""
        return base.keyed_kind(write)

    def open(
        self, account: base.Account, gate: base.CallGate, *, transport: httpx.AsyncBaseTransport | None = None
    ) -> Rolodex:
        """Return a connector; no I/O yet."""
        key = {"X-Api-Key": account.credentials["api_key"]}
        return Rolodex(HttpCaller(account, gate, calls.read_retry_after, transport=transport, headers=key))


class Rolodex:
    """One account."""

    def __init__(self, http: HttpCaller) -> None:
        self._http = http

    async def prepare(self, targets: Sequence[base.Target]) -> base.Report:  # noqa: ARG002
        """Rolodex takes any field."""
        return base.Report(ok=True, findings=("Rolodex: ready",))

    async def upsert(self, target: base.Target, writes: Sequence[base.Write]) -> Sequence[base.Outcome]:
        """Put card after card."""
        check_batch(writes, BATCH_RECORDS_MAX)
        by_id = {write.external_id: write for write in writes}

        async def send(keys: Sequence[str]) -> Mapping[str, base.Outcome] | Refused:
            return {keys[0]: await self._put(target, by_id[keys[0]])}

        outcomes = await settle([[key] for key in by_id], send)
        return [outcomes[write.external_id] for write in writes]

    async def look_up(self, target: base.Target, external_ids: Sequence[str]) -> Mapping[str, base.Found]:
        """Get card after card: Rolodex knows no batches."""
        found: dict[str, base.Found] = {}
        for one in external_ids:
            answer = await self._send("GET", _card(target.crm_object, one), "read")
            if answer.status != GONE:
                card = _checked(answer, writes=False)
                found[one] = base.Found(one, card["ref"], _fields(card, target.fields))
        return found

    async def owners(self, target: base.Target, crm_ids: Sequence[str]) -> Mapping[str, str]:
        """Return every card as its own: our reference is its only id."""
        return {one: one for one in await self.look_up(target, crm_ids)}

    async def changes(self, polled: base.Polled, cursor: str, limit: int, now: dt.datetime) -> base.Page:  # noqa: ARG002
        """Return what changed behind a sequence number, the oldest first."""
        query = {"after": cursor or "0", "limit": str(limit)}
        answer = await self._send("GET", f"/{polled.crm_object}", "search", query=query)
        told = _checked(answer, writes=False)["changes"]
        seen = [
            base.Seen(
                one["ref"],
                dt.datetime.fromisoformat(one["at"]),
                {} if one["gone"] else _fields(one, polled.fields),
            )
            for one in told
        ]
        onward = str(told[-1]["seq"]) if told else cursor
        kept = tuple(item for item in seen if item.fields)
        return base.Page(
            kept, tuple(item for item in seen if not item.fields), onward, more=len(told) >= limit
        )

    async def test_connection(self) -> base.Report:
        """Ask for one change."""
        try:
            _checked(await self._send("GET", "/cards", "read", query={"limit": "1"}), writes=False)
        except base.CallFailed as failed:
            return base.Report(ok=False, findings=(explain("Rolodex", failed.error),))
        return base.Report(ok=True, findings=("Rolodex: the key is accepted",))

    async def aclose(self) -> None:
        """Close connections."""
        await self._http.aclose()

    async def _put(self, target: base.Target, write: base.Write) -> base.Outcome:
        body = {"fields": dict(write.fields), "must_exist": bool(write.crm_id)}
        place = _card(target.crm_object, write.crm_id or write.external_id)
        answer = await self._send("PUT", place, "write", body=body)
        if answer.status in {GONE, INVALID}:
            kind = base.ErrorClass.NOT_FOUND if answer.status == GONE else base.ErrorClass.VALIDATION
            told = answer.json() or {}
            code, field = str(told.get("code", "")), str(told.get("field", ""))
            return base.Failed(
                base.VendorError(kind, code, "the card is refused", answer.status, field=field)
            )
        return base.Written(str(_checked(answer, writes=True)["ref"]), created=answer.status == CREATED)

    async def _send(self, method: str, path: str, kind: Any, **more: Any) -> Answer:
        return await self._http.send(Request(method, path, "/{cards}/{ref}", kind, **more))


def _card(cards: str, ref: str) -> str:
    return f"/{cards}/{quote(ref, safe='')}"


def _fields(card: Any, names: Sequence[str]) -> dict[str, Any]:
    return {name: card["fields"].get(name) or None for name in names}


def _checked(answer: Answer, *, writes: bool) -> Any:
    if answer.status not in {OK, CREATED}:
        raise base.CallFailed(calls.failure_of_status(answer, writes=writes))
    return required_json(answer, writes=writes)


VENDOR: base.Vendor = RolodexVendor()
