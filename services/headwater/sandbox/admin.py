"""Owns `/_sandbox/...`: health, faults, options, arrival log, records, calls, silent edits, reset. For tests and operators only."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

import msgspec
from pydantic import BaseModel, ConfigDict, ValidationError
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.routing import Route

from headwater.sandbox.accounts import ACCOUNT_NAME, Account, AccountOptions
from headwater.sandbox.faults import FaultPlan

if TYPE_CHECKING:
    from starlette.requests import Request

    from headwater.sandbox.fleet import Fleet

Model = TypeVar("Model", bound=BaseModel)

ARRIVALS_MAX = 10_000
_ARRIVALS_USUAL = 1_000


class Edit(BaseModel):
    """One record that changes behind everybody's back: no API call, no webhook, no modification time.

    As formulas, roll-ups and repairs by the vendor's own people do. Fields by which records are found cannot be.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    object: str
    id: str
    fields: dict[str, Any]


class Edits(BaseModel):
    """Records that change together."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    edits: tuple[Edit, ...]


class Reset(BaseModel):
    """What a reset does besides forgetting."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    seed: bool = True
    """Plant the shipped records again."""


def admin(fleet: Fleet) -> Starlette:
    """The application below `/_sandbox`."""
    desk = _AdminDesk(fleet)
    place = "/_sandbox/{vendor}/{account}"
    return Starlette(
        routes=[
            Route("/_sandbox/health", desk.health),
            Route(f"{place}/faults", desk.faults, methods=["GET", "PUT", "DELETE"]),
            Route(f"{place}/options", desk.options, methods=["GET", "PUT"]),
            Route(f"{place}/arrivals", desk.arrivals),
            Route(f"{place}/records", desk.records),
            Route(f"{place}/calls", desk.calls),
            Route(f"{place}/edits", desk.edits, methods=["POST"]),
            Route(f"{place}/reset", desk.reset, methods=["POST"]),
        ]
    )


class _AdminDesk:
    def __init__(self, fleet: Fleet) -> None:
        self._fleet = fleet

    async def health(self, _request: Request) -> Response:
        accounts = [{"vendor": vendor, "account": name} for vendor, name in self._fleet.names()]
        return _json({"status": "ok", "accounts": accounts})

    async def faults(self, request: Request) -> Response:
        account = self._account(request)
        if request.method != "GET":
            plan = await _model(request, FaultPlan) if request.method == "PUT" else FaultPlan()
            with self._fleet.database.transaction():
                account.faults.arm(plan)
        return _json({"faults": account.faults.report()})

    async def options(self, request: Request) -> Response:
        account = self._account(request)
        if request.method == "PUT":
            wanted = await _body(request)
            merged = {**account.options.model_dump(), **(wanted if isinstance(wanted, dict) else {})}
            account.set_options(_checked(AccountOptions, merged), self._fleet.now_ms())
        return _json(account.options.model_dump())

    async def arrivals(self, request: Request) -> Response:
        after = _number(request, "after", 0)
        limit = min(ARRIVALS_MAX, _number(request, "limit", _ARRIVALS_USUAL))
        lines = self._account(request).arrivals.page(after, limit)
        named = {"vendor": request.path_params["vendor"], "account": request.path_params["account"]}
        last = lines[-1]["sequence"] if lines else after
        return _json({"arrivals": [{**named, **line} for line in lines], "after": last})

    async def records(self, request: Request) -> Response:
        account = self._account(request)
        wanted = request.query_params.get("object")
        kinds = (wanted,) if wanted else self._fleet.vendors[account.vendor].kinds
        return _json({"records": {kind: _dump(account, kind) for kind in kinds}})

    async def edits(self, request: Request) -> Response:
        account = self._account(request)
        wanted = await _model(request, Edits)
        with self._fleet.database.transaction():
            for one in wanted.edits:
                record = account.records.live(one.object, one.id)
                if record is None:
                    raise HTTPException(404, f"no {one.object} {one.id}")
                fields = {
                    name: value
                    for name, value in {**record.fields, **one.fields}.items()
                    if value is not None
                }
                account.records.update(record, fields, record.updated_ms, ())
        return _json({"edited": len(wanted.edits)})

    async def calls(self, request: Request) -> Response:
        return _json(self._account(request).call_report())

    async def reset(self, request: Request) -> Response:
        account = self._account(request)
        plan = await _model(request, Reset)
        self._fleet.reset(account, seed=plan.seed)
        return _json({"status": "ok"})

    def _account(self, request: Request) -> Account:
        vendor, name = request.path_params["vendor"], request.path_params["account"]
        if vendor not in self._fleet.vendors or not ACCOUNT_NAME.match(name):
            raise HTTPException(404, "no such vendor, or not an account name")
        return self._fleet.open(vendor, name)


def _dump(account: Account, kind: str) -> list[dict[str, Any]]:
    names = ("from_object", "from_id", "to_object", "to_id", "type_id")
    links: dict[str, list[dict[str, Any]]] = {}
    for row in account.database.all("dump_associations", account.key, kind):
        links.setdefault(row[1], []).append(dict(zip(names, row, strict=True)))
    return [
        {
            "id": record.record_id,
            "fields": record.fields,
            "created_ms": record.created_ms,
            "updated_ms": record.updated_ms,
            "archived": record.archived,
            "associations": links.get(record.record_id, []),
        }
        for record in account.records.scan(kind, archived=True)
    ]


async def _body(request: Request) -> Any:
    body = await request.body()
    try:
        return msgspec.json.decode(body) if body.strip() else {}
    except msgspec.DecodeError as error:
        raise HTTPException(400, str(error)) from error


async def _model(request: Request, model: type[Model]) -> Model:
    return _checked(model, await _body(request))


def _checked(model: type[Model], content: Any) -> Model:
    try:
        return model.model_validate(content)
    except ValidationError as error:
        raise HTTPException(400, str(error)) from error


def _number(request: Request, name: str, usual: int) -> int:
    text = request.query_params.get(name, str(usual))
    if not text.isdigit():
        raise HTTPException(400, f"{name} must be a whole number")
    return int(text)


def _json(content: Any) -> Response:
    return Response(msgspec.json.encode(content), media_type="application/json")
